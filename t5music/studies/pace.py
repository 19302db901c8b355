"""Pace: how long stages take on this machine, by what stages of the same shape took here.

Trainings of one shape differ in their number of steps and in their seed, so the time of a step of one is that of all.
Other stages of one shape take as long as a whole.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from t5music.studies import stage_folders
from t5music.studies.grid import TRAIN, Stage
from t5music.training.checkpoints import layout

TIMED_STEPS, TIMED_SECONDS = 5, 2.0  # at least, before a step's time is believed


class Meter:
    """Times the steps of a training while it runs.

    Attributes:
        start: seconds until the first step was done, most of it for compilation; 0 before that.
        steps: number of steps after the first one.
        seconds: time of these steps, with the evaluations and checkpoints between them.
        longest: seconds of the longest one of them.
        end: seconds after them until the training was over, with its last step; 0 unless it is.
    """

    def __init__(self) -> None:
        self.start = self.seconds = self.longest = self.end = 0.0
        self.steps = -1
        self._last = time.monotonic()

    @property
    def begun(self) -> bool:
        """Whether a step is done."""
        return self.steps >= 0

    @property
    def credible(self) -> bool:
        """Whether enough steps were timed."""
        return self.steps >= TIMED_STEPS and self.seconds >= TIMED_SECONDS

    def count(self) -> None:
        """Notes that another step is done."""
        now = time.monotonic()
        passed, self._last = now - self._last, now
        if self.begun:
            self.seconds += passed
            self.longest = max(self.longest, passed)
        else:
            self.start = passed
        self.steps += 1

    def finish(self) -> None:
        """Notes that the training is over."""
        self.end = time.monotonic() - self._last

    def to_json(self) -> dict[str, float]:
        """What `stage.json` has of it."""
        seconds = {"start": self.start, "seconds": self.seconds, "end": self.end}
        return {"steps": self.steps, **{name: round(value, 3) for name, value in seconds.items()}}


class Paces:
    """What the stages in a folder took that ran on this machine.

    Args:
        folder: the folder that holds the folders of stages, of whatever studies.
        stages: those whose time is to be estimated.
    """

    def __init__(self, folder: Path, stages: Sequence[Stage]) -> None:
        self._folder = folder
        self._names = {stage.fingerprint: stage.name for stage in stages}
        self._documents: dict[str, Mapping[str, Any]] = {}
        for path in sorted(folder.glob(f"*/{stage_folders.STAGE_FILE}")):
            self.learn(path.parent.name, stage_folders.read(path.parent))

    def learn(self, folder: str, document: Mapping[str, Any]) -> None:
        """Takes note of a stage.json; of another machine it says nothing.

        Args:
            folder: the name of the stage's folder.
            document: the content of its stage.json.
        """
        if document.get("machine") == stage_folders.machine():
            self._documents[folder] = document

    def time(self, stage: Stage, meter: Meter) -> None:
        """Takes note of a training that runs."""
        document = stage_folders.begin(stage, self._folder / stage.folder)
        self.learn(stage.folder, document | {"timing": meter.to_json()})

    def steps_done(self, stage: Stage) -> int:
        """The step of a training's last checkpoint; 0 without one."""
        steps = layout.steps_of(self._folder / stage.folder / layout.FOLDER)
        return steps[-1] if steps else 0

    def start(self, stage: Stage) -> float:
        """The seconds until a training's first step, by trainings of its shape, else by any; 0 where none was timed."""
        timings = self._timings(stage) or [timing for _, timing in self._trainings()]
        return statistics.mean(timing["start"] for timing in timings) if timings else 0.0

    def measured(self, stage: Stage) -> float | None:
        """The seconds that a stage still takes, by stages of the same shape; None where none was timed here.

        Where none of them is finished, and this one was stopped and cannot go on from there, at least the time it had.
        """
        if stage.kind == TRAIN:
            timings = self._timings(stage)
            longest = max(timings, key=lambda timing: timing["steps"], default=None)
            return None if longest is None else self._seconds_of_training(stage, [longest])
        seconds = [
            document["seconds"]
            for document in self._documents.values()
            if document["shape"] == stage.shape and document["status"] == "finished"
        ]
        return max(seconds) if seconds else self._documents.get(stage.folder, {}).get("stopped_after")

    def expected(self, stage: Stage) -> float | None:
        """As `measured`; else a guess by stages of the same name in these studies, or at least of the same kind."""
        seconds = self.measured(stage)
        if seconds is not None:
            return seconds
        if stage.kind == TRAIN:
            trainings = [(self._name(document), timing) for document, timing in self._trainings()]
            timings = [timing for name, timing in trainings if name == stage.name]
            timings = timings or [timing for name, timing in trainings if name is not None]
            return self._seconds_of_training(stage, timings) if timings else None
        finished = [
            (self._name(document), document["seconds"])
            for document in self._documents.values()
            if document["kind"] == stage.kind and document["status"] == "finished"
        ]
        times = [seconds for name, seconds in finished if name == stage.name]
        times = times or [seconds for name, seconds in finished if name is not None]
        return statistics.mean(times) if times else None

    def _name(self, document: Mapping[str, Any]) -> str | None:
        """The name of the stage of such a stage.json; None where it is of other studies."""
        return self._names.get(document["fingerprint"])

    def _trainings(self) -> Iterator[tuple[Mapping[str, Any], Mapping[str, float]]]:
        """The stage.json and the timing of every training that was timed."""
        for document in self._documents.values():
            if document.get("timing", {"steps": 0})["steps"] > 0:
                yield document, document["timing"]

    def _timings(self, stage: Stage) -> list[Mapping[str, float]]:
        """A training's timing, or those of all trainings of its shape where it was not timed itself."""
        timings = {
            document["fingerprint"]: timing
            for document, timing in self._trainings()
            if document["shape"] == stage.shape
        }
        return [timings[stage.fingerprint]] if stage.fingerprint in timings else list(timings.values())

    def _seconds_of_training(self, stage: Stage, timings: Sequence[Mapping[str, float]]) -> float:
        """The start, what the steps that are left take at the mean of these timings, and the end."""
        ends = statistics.mean(timing["start"] + timing["end"] for timing in timings)
        step = statistics.mean(timing["seconds"] / timing["steps"] for timing in timings)
        return ends + max(0, stage.steps - self.steps_done(stage)) * step
