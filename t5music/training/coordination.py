"""Coordination: one run at a time in a folder, stopping at a signal, and agreement among the processes of a run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from t5music import locks
from t5music.errors import CheckpointError
from t5music.storage import path_of


@contextlib.contextmanager
def only_run(model_dir: str | Path) -> Iterator[None]:
    """Holds the lock of a run's folder; the first process does so for all processes of the run.

    Raises:
        CheckpointError: another run is at work in the folder, on all processes.
        DataError: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        holder = None
        if jax.process_index() == 0:
            holder = stack.enter_context(locks.attempt(path_of(model_dir) / locks.FILE))
        if multihost_utils.broadcast_one_to_all(np.int32(holder is not None)):
            raise CheckpointError(
                f"{model_dir} is being written by {holder or 'another run'}: wait until that has ended, or take "
                "another MODEL_DIR (--model_dir)"
            )
        yield


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Sets the yielded event at the first SIGINT or SIGTERM; the second one has its usual effect."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, former[signal.Signals(number)])
        # Not `print`, because the signal may have interrupted one.
        os.write(2, b"\nstopping: finishing this step and saving; once more to stop at once\n")

    for number in former:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def agreed(stop: threading.Event, *, settle: bool) -> bool:
    """Returns whether to stop, the same on all processes.

    Args:
        stop: set on the processes that received a signal.
        settle: whether several processes ask each other; where they do not, they go on.
    """
    if jax.process_count() == 1:
        return stop.is_set()
    return settle and bool(np.any(multihost_utils.process_allgather(np.int32(stop.is_set()))))


def gather(position: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the positions of all processes, on all processes.

    Args:
        position: this process's, as JSON values.
    """
    if jax.process_count() == 1:
        return [dict(position)]
    text = np.frombuffer(json.dumps(position).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(text.size))
    texts = multihost_utils.process_allgather(np.pad(text, (0, int(sizes.max()) - text.size)))
    return [json.loads(bytes(row[:size])) for row, size in zip(texts, sizes, strict=True)]


def union(positions: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the union of several processes' positions: nested dicts that agree where they have the same keys."""
    merged: dict[str, Any] = {}
    for position in positions:
        for name, value in position.items():
            nested = isinstance(value, dict) and name in merged
            merged[name] = union([merged[name], value]) if nested else value
    return merged
