"""Sprint: as many whole stages of a study as fit a time limit, the most valuable first; the next sprint goes on.

Which stages come first is the order of every run of a study (`order`). Of the stages that could run, a sprint begins
the first one that fits the time left, by what stages of its shape took on this machine (`pace`). A training whose shape
was never timed here runs a few steps of its own, and is put off if it would not fit and another stage comes first.
Where nothing fits, the first training goes on until the limit. It is stopped at a checkpoint, from which the next
sprint goes on to the same bits. Any other stage that is not over at the limit is stopped, and begins again some time.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from t5music.studies.grid import TRAIN, Stage
from t5music.studies.pace import Meter, Paces

MARGIN = 1.1  # times what is expected: machines vary
TRIAL = 0.5  # times a guess: a training of which there is no more than that is timed unless it is far too long
SAVING_SECONDS = 1.0  # for a checkpoint; a training is stopped so long, and its longest step, before the limit


class TimeIsUp(KeyboardInterrupt):
    """A stage that cannot be stopped between steps was stopped at the limit."""


class Sprint:
    """A time limit, and which stages are begun within it.

    Args:
        seconds: until the limit, from now on.
        paces: what stages take here.

    Attributes:
        paces: what stages take here.
        stopped: whether the stage that runs, or the last one that ran, was stopped by the sprint.
    """

    def __init__(self, seconds: float, paces: Paces) -> None:
        self.paces = paces
        self.stopped = self._judged = False
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds until the limit; negative after it."""
        return self._end - time.monotonic()

    def fits(self, stage: Stage) -> bool:
        """Whether a stage is expected to be over before the limit, as far as anything is known of it."""
        seconds = self.paces.measured(stage)
        if seconds is not None:
            return self._fits(seconds)
        guess = self.paces.expected(stage)
        if guess is None:
            return self._fits(self.paces.start(stage))  # it is tried
        return self._fits(guess * TRIAL if stage.kind == TRAIN else guess)

    def choose(self, stages: Sequence[Stage]) -> list[Stage]:
        """The stages to begin, the first one that no other process has: those that fit, then trainings to stop.

        Args:
            stages: that could run, the most valuable first.
        """
        fitting = [stage for stage in stages if self.fits(stage)]
        longer = [stage for stage in stages if stage.kind == TRAIN and stage not in fitting]
        return fitting + [stage for stage in longer if self._fits(self.paces.start(stage))]

    def stops(self, stage: Stage, step: int, meter: Meter, ready: Sequence[Stage]) -> bool:
        """Whether a training stops after a step: at the limit, or because it does not fit and another comes first.

        Args:
            stage: the training.
            step: the step.
            meter: of its steps.
            ready: the stages that could run, this one among them.
        """
        if self.left() <= meter.longest + SAVING_SECONDS:
            self.stopped = True
        elif meter.credible and not self._judged:
            self._judged = True
            self.paces.time(stage, meter)
            if not self._fits((stage.steps - step) * meter.seconds / meter.steps):
                self.stopped = self.choose(ready)[:1] not in ([], [stage])
        return self.stopped

    @contextlib.contextmanager
    def limit(self, meter: Meter) -> Iterator[None]:
        """Has what runs meanwhile end at the limit, unless it is a training that has begun its steps and stops itself.

        Where the system has no alarms (Windows), and outside the main thread, it runs to its end.

        Raises:
            TimeIsUp: the limit is reached.
        """
        self.stopped = self._judged = False
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            yield
            return

        def ring(number: int, frame: FrameType | None) -> None:
            if not meter.begun:
                self.stopped = True
                raise TimeIsUp("the time of the sprint is up")

        former = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(self.left(), 0.001))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)

    def _fits(self, seconds: float) -> bool:
        return self.left() > seconds * MARGIN + SAVING_SECONDS
