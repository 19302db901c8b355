"""Progress: how far a study is, as the line before each stage and as the lines after a sprint say it."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping
from pathlib import Path

from t5music import locks
from t5music.studies import stage_folders
from t5music.studies.grid import TRAIN, Cell, Stage
from t5music.studies.pace import Paces
from t5music.training.cost.plan import duration


class Progress:
    """How far some stages are, by their folders.

    Args:
        stages: each with the first cell that needs it, in the order to run them.
        folder: the folder that holds their folders.
        paces: what stages take here.
    """

    def __init__(self, stages: Mapping[Stage, Cell], folder: Path, paces: Paces) -> None:
        self._stages, self._folder, self._paces = stages, folder, paces

    def line(self, stage: Stage) -> str:
        """The line printed before a stage runs: how many are finished, its name, and the time left."""
        rest = self._unfinished()
        running = sum(locks.holder(self._folder / each.folder / locks.FILE) is not None for each in rest)
        seconds = self._time_left(rest)
        time_left = ""
        if seconds is not None:
            minutes = seconds / max(1, running) / 60
            time_left = f", about {minutes:.0f} min left" if minutes >= 1 else ", less than a minute left"
        return f"\n[{len(self._stages) - len(rest) + 1}/{len(self._stages)}] {self._name(stage)}{time_left}"

    def after_sprint(self, finished_before: int) -> str:
        """What is done after a sprint, what is next, and how long the rest is expected to take.

        Args:
            finished_before: number of stages that were finished before it.
        """
        rest = self._unfinished()
        count = len(self._stages) - len(rest)
        lines = [
            f"sprint: {count} of {len(self._stages)} stages are finished, {count - finished_before} by this sprint"
        ]
        failed = [stage for stage in rest if stage_folders.read(self._folder / stage.folder).get("status") == "failed"]
        if failed:
            lines.append(f"failed: {len(failed)}, the first one {self._name(failed[0])}; the next sprint tries again")
        following = next((stage for stage in rest if stage not in failed), None)
        if following is not None:
            seconds = self._paces.expected(following)
            step = self._paces.steps_done(following) if following.kind == TRAIN else 0
            done = f"; {step:,} of {following.steps:,} steps are done" if step else ""
            time = "" if seconds is None else f"; about {duration(seconds)}"
            lines.append(f"next: {self._name(following)}{done}{time}")
        if rest:
            seconds = self._time_left(rest)
            unmeasured = sum(self._paces.measured(stage) is None for stage in rest)
            time = "not known yet" if seconds is None else f"about {duration(seconds)}, one after the other"
            guess = f" ({unmeasured} of them guessed by others)" if unmeasured and seconds is not None else ""
            lines.append(f"the rest: {len(rest)} stages{guess}, {time}")
        return "\n".join(lines)

    def finished(self) -> int:
        """The number of stages that are finished."""
        return len(self._stages) - len(self._unfinished())

    def _unfinished(self) -> list[Stage]:
        documents = {stage: stage_folders.read(self._folder / stage.folder) for stage in self._stages}
        return [stage for stage, document in documents.items() if document.get("status") != "finished"]

    def _time_left(self, stages: Collection[Stage]) -> float | None:
        """The seconds that stages take one after the other; of which nothing is known, the mean of the others."""
        seconds = [seconds for stage in stages if (seconds := self._paces.expected(stage)) is not None]
        return statistics.mean(seconds) * len(stages) if seconds else None

    def _name(self, stage: Stage) -> str:
        cell = self._stages[stage]
        return f"{stage.name} of {cell.setting!r}, seed {cell.seed} ({stage.folder})"
