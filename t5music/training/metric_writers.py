"""Metric writers: a run's metrics as JSON lines and as TensorBoard event files.

`metrics.jsonl` holds what depends only on the run's arguments, one object per line, so it is the same byte for byte
whether or not the run was interrupted; `timing.jsonl` holds measurements of time. TensorBoard shows both.

The event records are built here from TensorBoard's protocol buffers, because clu's `metric_writers` imports TensorFlow,
and so does TensorBoard's own `EventFileWriter` (through `tensorboard.compat`) wherever TensorFlow is installed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from t5music import files
from t5music.errors import DataError

METRICS_FILE = "metrics.jsonl"
TIMING_FILE = "timing.jsonl"


class MetricWriter:
    """Appends metrics to a run's folder; every write is flushed, so that a killed run loses no line."""

    def __init__(self, folder: str | os.PathLike[str], *, resume_step: int = 0) -> None:
        """Opens the files, after dropping the lines of later steps.

        Args:
            folder: the run's folder.
            resume_step: the step from which the run goes on.

        Raises:
            DataError: the folder cannot be written.
        """
        self._folder = Path(folder)
        for name in (METRICS_FILE, TIMING_FILE):
            _drop_after(self._folder / name, resume_step)
        try:
            self._lines = {
                name: open(self._folder / name, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
                for name in (METRICS_FILE, TIMING_FILE)
            }
            # TensorBoard reads the files of a folder in the order of their names.
            name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
            self._events = RecordWriter(open(self._folder / name, "xb"))  # noqa: SIM115
            self._event(file_version="brain.Event:2")
            # TensorBoard hides what an earlier process wrote for this step and later ones.
            self._event(step=resume_step + 1, session_log=SessionLog(status=SessionLog.START))
        except OSError as error:
            raise self._error(error) from error

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes reproducible metrics; a number that is not finite becomes null, because JSON has no such numbers."""
        self._write(METRICS_FILE, step, metrics)

    def write_timing(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes metrics that depend on the machine and its clock."""
        self._write(TIMING_FILE, step, metrics)

    def close(self) -> None:
        """Closes all files; the writer cannot be used afterwards."""
        for file in (*self._lines.values(), self._events):
            # Every write is flushed and reports its failure; on a full disk, closing must not hide that report.
            with contextlib.suppress(OSError):
                file.close()

    def _write(self, name: str, step: int, metrics: Mapping[str, float]) -> None:
        line = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
        try:
            self._lines[name].write(json.dumps({"step": step, **line}, allow_nan=False) + "\n")
            self._lines[name].flush()
            values = [Summary.Value(tag=key, simple_value=value) for key, value in metrics.items()]
            self._event(step=step, summary=Summary(value=values))
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> DataError:
        return DataError(f"cannot write metrics into {self._folder}: {error.strerror or error}")

    def _event(self, **fields: Any) -> None:
        self._events.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self._events.flush()


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a metrics file.

    Returns:
        The lines in order, without a last line that was not written whole.

    Raises:
        DataError: a line is not JSON.
    """
    lines = []
    for line in Path(path).read_text(encoding="utf-8").splitlines(keepends=True):
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
