"""Stopping at a signal, and agreeing among the processes of a run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Sets the yielded event at the first SIGINT or SIGTERM; a second one does what it would have done without this."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(number, former[signal.Signals(number)])
        # Not print: the signal may have come in the middle of one.
        os.write(2, b"\nstopping: finishing this step and saving; once more to stop at once\n")

    for number in former:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def agreed(stop: threading.Event, *, settle: bool) -> bool:
    """Returns whether to stop, the same on all processes; they ask each other only where `settle` is true."""
    if jax.process_count() == 1:
        return stop.is_set()
    return settle and bool(np.any(multihost_utils.process_allgather(np.int32(stop.is_set()))))


def gather(position: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the JSON values that the processes passed, one each, on all processes."""
    if jax.process_count() == 1:
        return [dict(position)]
    text = np.frombuffer(json.dumps(position).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(text.size))
    texts = multihost_utils.process_allgather(np.pad(text, (0, int(sizes.max()) - text.size)))
    return [json.loads(bytes(row[:size])) for row, size in zip(texts, sizes, strict=True)]


def union(positions: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the positions of all processes in one: nested dicts that agree where they name the same."""
    merged: dict[str, Any] = {}
    for position in positions:
        for name, value in position.items():
            both = isinstance(value, dict) and name in merged
            merged[name] = union([merged[name], value]) if both else value
    return merged
