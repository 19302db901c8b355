"""Prefetch: batches made ahead in a thread, with the position after the last one that was given out."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
Item = TypeVar("Item", covariant=True)


class Positioned(Protocol[Item]):
    """An endless iterator with a position."""

    def __next__(self) -> Item: ...

    def get_state(self) -> Any:
        """The position after the last item; whoever has it may keep it."""

    def set_state(self, state: Any) -> None:
        """Goes to a position."""


class Prefetch(Iterator[T], Generic[T]):
    """An iterator that makes some items ahead in a thread. Its position is that of what was given out.

    The thread starts with the first item. It ends with the iterator, with `close`, and when an item cannot be made:
    that error is raised where the item is due, each time.
    """

    def __init__(self, source: Positioned[T], ahead: int) -> None:
        """`ahead`: items that wait at most, at least 1."""
        self._source, self._ahead = source, ahead
        self._state = source.get_state()
        self._is_ahead = False  # the source, of the items that were given out
        self._worker: _Worker[T] | None = None

    def __next__(self) -> T:
        if self._worker is None:
            if self._is_ahead:
                self._source.set_state(self._state)
            self._is_ahead = True
            self._worker = _Worker(self._source, self._ahead)
            self._stop = weakref.finalize(self, self._worker.stop)
        item, self._state = self._worker.take()
        return item

    def get_state(self) -> Any:
        """The position after the last item that was given out."""
        return self._state

    def set_state(self, state: Any) -> None:
        """Goes to a position; what was made ahead is thrown away."""
        self.close()
        self._source.set_state(state)
        self._state, self._is_ahead = state, False

    def close(self) -> None:
        """Ends the thread and waits for it; the next item starts another one."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            self._stop.detach()
            worker.stop()
            worker.thread.join()


class _Worker(Generic[T]):
    """The thread, which must not hold the iterator, and what it has made."""

    def __init__(self, source: Positioned[T], ahead: int) -> None:
        self._source = source
        self._items: queue.Queue[tuple[T, Any] | BaseException] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="t5music-prefetch", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                outcome: tuple[T, Any] | BaseException = (next(self._source), self._source.get_state())
            except BaseException as error:
                outcome = error
            self._items.put(outcome)
            if isinstance(outcome, BaseException):
                return

    def take(self) -> tuple[T, Any]:
        item = self._items.get()
        if isinstance(item, BaseException):
            self._items.put(item)  # for whoever asks again
            raise item
        return item

    def stop(self) -> None:
        """Tells the thread to end; it may still be making one item."""
        self._stopped.set()
        while True:  # it may be waiting for room
            try:
                self._items.get_nowait()
            except queue.Empty:
                return
