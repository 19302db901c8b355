"""Mixing order: each task's share of a mixture, and whose turn it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from t5music.data.mixing_rates import Rate
from t5music.errors import ConfigError, nearest


def resolve(rates: Mapping[str, Rate], counts: Mapping[str, int]) -> dict[str, float]:
    """Each task's share of a mixture, adding up to 1, given its number of training examples.

    Raises ConfigError for an empty mixture, for a task whose rate is not positive, and for one that shares its rate
    with a task that is not in the mixture.
    """
    if not rates:
        raise ConfigError("a mixture needs at least one task")

    def count(task: str) -> int:
        if task not in counts:
            raise ConfigError(f"the mixture lacks task {task!r}, with which others share a rate{nearest(task, counts)}")
        return counts[task]

    raw = {task: rate.of_task(task, count) for task, rate in rates.items()}
    for task, rate in raw.items():
        if not rate > 0:
            raise ConfigError(f"task {task!r} has mixing rate {rate} with {counts[task]} examples: leave it out")
    total = math.fsum(raw.values())
    return {task: rate / total for task, rate in raw.items()}


class Schedule:
    """The order in which tasks take turns: after n draws task j has had within one draw of shares[j] * n.

    Tijdeman's solution of the chairman assignment problem (1980), which no deterministic order can better: of the tasks
    that are due, the one that would be late first is next. Its whole position is the number of draws of each task.

        shares 1/2, 1/4, 1/4  ->  0 1 2 0  0 1 2 0  ...
    """

    def __init__(self, shares: Sequence[float]) -> None:
        """`shares` are positive and add up to 1."""
        self.shares = tuple(shares)
        self._slack = 1 / (2 * len(shares) - 2) if len(shares) > 1 else 0.0
        self.seek([0] * len(shares))

    def seek(self, counts: Sequence[int]) -> None:
        """Goes to the position after `counts` draws of each task."""
        self.counts = list(counts)
        self._draws = sum(counts)

    def next(self) -> int:
        """The index of the task whose turn it is."""
        self._draws += 1
        due = [
            ((count + 1 - self._slack) / share, task)
            for task, (share, count) in enumerate(zip(self.shares, self.counts, strict=True))
            if share * self._draws - count >= self._slack - 1e-6  # against rounding: somebody is always due
        ]
        task = min(due)[1]
        self.counts[task] += 1
        return task


def lane_starts(shares: Sequence[float], lanes: int) -> list[tuple[int, ...]]:
    """Where each lane enters the schedule (draws of each task before it), so that lanes are not in step.

    Lanes are spread evenly over one period of the rarest task (at most 1,000 draws of the schedule).
    """
    stride = max(1, round(min(1 / min(shares), 1000) / lanes))
    schedule = Schedule(shares)
    starts = []
    for _ in range(lanes):
        starts.append(tuple(schedule.counts))
        for _ in itertools.repeat(None, stride):
            schedule.next()
    return starts
