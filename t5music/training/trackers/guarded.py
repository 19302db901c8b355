"""Guarded trackers: one that fails is said once and left alone, and one that waits for a network does so by itself.

A training must neither stop nor wait because of what shows it.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

from t5music.errors import DataError
from t5music.training.trackers.base import Sample, Tracker

WAITING = 2000  # calls; what a tracker that does not keep up is given beyond is dropped, and said at the end
CLOSE_SECONDS = 60.0  # for what is still on its way when a training ends

Call = Callable[[Tracker], object]


class Guarded:
    """A tracker that raises nothing: after its first failure, which is printed, it is left alone."""

    def __init__(self, name: str, make: Callable[[], Tracker]) -> None:
        """Begins to track; `make` opens the tracker of this name."""
        self.name = name
        self._tracker: Tracker | None = None
        self._attempt(lambda: setattr(self, "_tracker", make()))

    def url(self) -> str:
        """As of `Tracker`; '' of one that has failed."""
        return "" if self._tracker is None else self._tracker.url()

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """As of `Tracker`."""
        self._call(lambda tracker: tracker.write(step, numbers))

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        """As of `Tracker`."""
        self._call(lambda tracker: tracker.show(step, samples))

    def sync(self) -> None:
        """As of `Tracker`."""
        self._call(lambda tracker: tracker.sync())

    def close(self) -> None:
        """As of `Tracker`."""
        self._call(lambda tracker: tracker.close())

    def _call(self, call: Call) -> None:
        if self._tracker is not None:
            self._attempt(lambda: call(self._tracker))  # type: ignore[arg-type]

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (Exception, SystemExit) as error:  # of many types; wandb has ended the process where it had no key
            failed, self._tracker = self._tracker, None
            if failed is not None:
                with contextlib.suppress(Exception):
                    failed.close()
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            print(f"t5music: warning: {self.name} shows this run no longer: {reason}", file=sys.stderr, flush=True)


class Background:
    """A guarded tracker in a thread of its own, which the training does not wait for."""

    def __init__(self, name: str, make: Callable[[], Tracker], remember: Callable[[str], object]) -> None:
        """Begins to track in the background.

        Args:
            name: of the tracker.
            make: opens it, in its thread.
            remember: called with its address once that is known.
        """
        self.name = name
        self._make, self._remember = make, remember
        self._calls: queue.Queue[Call | None] = queue.Queue()
        self._dropped = 0
        self._url = ""
        self._thread = threading.Thread(target=self._run, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def url(self) -> str:
        """As of `Tracker`; '' before it is known."""
        return self._url

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """As of `Tracker`."""
        self._put(lambda tracker: tracker.write(step, dict(numbers)))

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        """As of `Tracker`."""
        self._put(lambda tracker: tracker.show(step, samples))

    def sync(self) -> None:
        """Nothing: what is on its way arrives by itself."""

    def close(self) -> None:
        """Waits for what is still on its way, but not for long."""
        self._calls.put(None)
        self._thread.join(CLOSE_SECONDS)
        text = ""
        if self._thread.is_alive():
            text = "does not answer; what it does not have yet is in the run's folder"
        elif self._dropped:
            text = f"was too slow for {self._dropped} lines and samples; they are in the run's folder"
        if text:
            print(f"t5music: warning: {self.name} {text}", file=sys.stderr, flush=True)

    def _put(self, call: Call) -> None:
        if self._calls.qsize() < WAITING:
            self._calls.put(call)
        else:
            self._dropped += 1

    def _run(self) -> None:
        tracker = Guarded(self.name, self._make)
        self._url = tracker.url()
        if self._url:
            print(f"{self.name}: {self._url}", file=sys.stderr, flush=True)
            with contextlib.suppress(DataError):  # the training finds that out by itself
                self._remember(self._url)
        while (call := self._calls.get()) is not None:
            call(tracker)
        tracker.close()
