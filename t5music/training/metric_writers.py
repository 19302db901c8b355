"""Metric writers: a run's metrics as JSON lines, and in what tracks it.

`metrics.jsonl` holds what depends only on the run's arguments, one object per line, so it is the same byte for byte
whether or not the run was interrupted; `timing.jsonl` holds measurements of time. Trackers show both, and samples:
TensorBoard's event files, and whatever --track adds.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t5music import files
from t5music.errors import DataError
from t5music.files import AppendedFile
from t5music.storage import path_of
from t5music.training.trackers import opening
from t5music.training.trackers.base import Sample, Tracker

METRICS_FILE = "metrics.jsonl"
TIMING_FILE = "timing.jsonl"


class MetricWriter:
    """Appends metrics to a run's folder so that a killed run loses no line up to its last checkpoint."""

    def __init__(
        self, folder: str | os.PathLike[str], *, resume_step: int = 0, further: Sequence[Tracker] = ()
    ) -> None:
        """Opens the files, after dropping the lines of later steps.

        Args:
            folder: the run's folder.
            resume_step: the step from which the run goes on.
            further: trackers beside TensorBoard; they raise nothing.

        Raises:
            DataError: the folder cannot be written.
        """
        self._folder = path_of(folder)
        for name in (METRICS_FILE, TIMING_FILE):
            _drop_after(self._folder / name, resume_step)
        try:
            self._lines = {name: AppendedFile(self._folder / name) for name in (METRICS_FILE, TIMING_FILE)}
        except OSError as error:
            raise self._error(error) from error
        self._trackers = [opening.tensorboard(self._folder, first_step=resume_step + 1), *further]

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes reproducible metrics; a number that is not finite becomes null, because JSON has no such numbers."""
        self._write(METRICS_FILE, step, metrics)

    def write_timing(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes metrics that depend on the machine and its clock."""
        self._write(TIMING_FILE, step, metrics)

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        """Has trackers show samples of a step; they are files of the run already."""
        for tracker in self._trackers if samples else ():
            tracker.show(step, samples)

    def sync(self) -> None:
        """Writes what a bucket does not have yet (`files.AppendedFile`): before each checkpoint."""
        try:
            for file in self._lines.values():
                file.sync()
        except OSError as error:
            raise self._error(error) from error
        for tracker in self._trackers:
            tracker.sync()

    def close(self) -> None:
        """Closes all files; the writer cannot be used afterwards."""
        for tracker in self._trackers:
            tracker.close()
        for file in self._lines.values():
            # Every write is flushed and reports its failure; on a full disk, closing must not hide that report.
            with contextlib.suppress(OSError):
                file.close()

    def _write(self, name: str, step: int, metrics: Mapping[str, float]) -> None:
        line = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
        try:
            self._lines[name].write((json.dumps({"step": step, **line}, allow_nan=False) + "\n").encode())
        except OSError as error:
            raise self._error(error) from error
        for tracker in self._trackers:
            tracker.write(step, metrics)

    def _error(self, error: OSError) -> DataError:
        return DataError(f"cannot write metrics into {self._folder}: {error.strerror or error}")


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a metrics file.

    Returns:
        The lines in order, without a last line that was not written whole.

    Raises:
        DataError: a line is not JSON.
    """
    lines = []
    for line in path_of(path).read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            if line.endswith("\n"):
                raise DataError(f"{path}: line {len(lines) + 1} is not JSON") from None
    return lines


def _drop_after(path: Path, step: int) -> None:
    """Rewrites a metrics file without the lines of steps after `step`, which the run will write again."""
    lines = read_metrics(path) if path.exists() else []
    files.write_text(path, "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= step))
