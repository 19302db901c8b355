"""Metrics of a run as JSON lines and as TensorBoard event files.

`metrics.jsonl` holds what depends on nothing but the run's arguments, one object per line, and so is the same byte for
byte whether or not the run was interrupted; `timing.jsonl` holds what a clock says. TensorBoard shows both.

The event records are put together here from TensorBoard's protocol buffers: clu's `metric_writers` imports TensorFlow,
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
        """Opens the files of `folder`, after dropping all lines of steps after `resume_step`.

        Raises DataError where the folder cannot be written.
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
        except OSError as error:
            raise DataError(f"cannot write metrics into {self._folder}: {error.strerror or error}") from error
        self._event(file_version="brain.Event:2")
        # TensorBoard hides what a former run of this folder wrote from this step on.
        self._event(step=resume_step + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes what is reproducible. A number that is not finite becomes null, for JSON has no other word for it."""
        self._write(METRICS_FILE, step, metrics)

    def write_timing(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes what depends on the machine and its clock."""
        self._write(TIMING_FILE, step, metrics)

    def close(self) -> None:
        """Closes all files; the writer cannot be used afterwards."""
        for file in (*self._lines.values(), self._events):
            # Every write is flushed, and its failure reported then; a full disk must not hide that report here.
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
            raise DataError(f"cannot write metrics into {self._folder}: {error.strerror or error}") from error

    def _event(self, **fields: Any) -> None:
        self._events.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self._events.flush()


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns the lines of a metrics file in order; a last line that was cut off in writing is left out."""
    lines = []
    for line in Path(path).read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            if line.endswith("\n"):
                raise DataError(f"{path}: line {len(lines) + 1} is no JSON") from None
    return lines


def _drop_after(path: Path, step: int) -> None:
    """Rewrites a metrics file without the lines after `step`: the run will write them again."""
    if path.exists():
        kept = [json.dumps(line) + "\n" for line in read_metrics(path) if line["step"] <= step]
        files.write_text(path, "".join(kept))
    else:
        files.write_text(path, "")
