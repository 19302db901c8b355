"""Lanes: the fixed number of independent streams that a batch is made of.

A lane has its own position in the mixture and packs its own rows, so which host reads it changes nothing. Of each
task's visits lane l takes l, l + L, l + 2L, ... of L lanes; every lane mixes the tasks at the mixture's rates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from t5music.data.loading.mixing_order import Schedule
from t5music.data.loading.packing import Packer, Pair
from t5music.data.loading.task_stream import TaskStream
from t5music.errors import DataError

Visit = tuple[int, int]  # (task, number of the visit)

DRAWS_WITHOUT_TARGETS = 10_000  # after so many in a row nothing will come any more


@dataclasses.dataclass(frozen=True)
class LaneState:
    """The position of a lane.

    Attributes:
        draws: visits drawn, per task.
        delivered: examples in rows given out, per task.
        waiting: each open row's age and the visits whose examples wait in it.
    """

    draws: tuple[int, ...]
    delivered: tuple[int, ...]
    waiting: tuple[tuple[int, tuple[Visit, ...]], ...]

    def to_json(self) -> dict[str, Any]:
        """The state in lists of numbers."""
        waiting = [[age, [list(visit) for visit in row]] for age, row in self.waiting]
        return {"draws": list(self.draws), "delivered": list(self.delivered), "waiting": waiting}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> LaneState:
        """The inverse of `to_json`."""
        waiting = tuple((age, tuple((task, visit) for task, visit in row)) for age, row in state["waiting"])
        return cls(tuple(state["draws"]), tuple(state["delivered"]), waiting)


class Lane:
    """Rows of examples of one lane."""

    def __init__(
        self,
        streams: Sequence[TaskStream],
        shares: Sequence[float],
        *,
        lane: int,
        lanes: int,
        start: Sequence[int],
        lengths: Mapping[str, int],
        pack: bool,
        decoder_only: bool,
    ) -> None:
        """`start`: where the lane enters the schedule (`mixing_order.lane_starts`); the rest as `train_batches`."""
        self._streams = streams
        self._lane, self._lanes = lane, lanes
        self._start = tuple(start)
        self._schedule = Schedule(shares)
        self._packer: Packer[Visit] | None = Packer(lengths, decoder_only=decoder_only) if pack else None
        self.restore(LaneState((0,) * len(streams), (0,) * len(streams), ()))

    def state(self) -> LaneState:
        """The position after the last row."""
        draws = tuple(count - start for count, start in zip(self._schedule.counts, self._start, strict=True))
        waiting = self._packer.waiting if self._packer else []
        return LaneState(draws, tuple(self._delivered), tuple((age, tuple(visits)) for age, visits in waiting))

    def restore(self, state: LaneState) -> None:
        """Goes to a position; the examples waiting in open rows are made again."""
        self._schedule.seek([count + start for count, start in zip(state.draws, self._start, strict=True)])
        self._delivered = list(state.delivered)
        if self._packer:
            self._packer.restore(
                [(age, [(visit, self._pair(visit)) for visit in visits]) for age, visits in state.waiting]
            )

    def row(self) -> list[Pair]:
        """The examples of the next row; one example without packing.

        Examples with no targets are passed over; DataError when there seem to be no others.
        """
        for _ in range(DRAWS_WITHOUT_TARGETS):
            task = self._schedule.next()
            number = self._schedule.counts[task] - 1 - self._start[task]
            visit = (task, number * self._lanes + self._lane)
            pair = self._pair(visit)
            if not self._streams[task].has_targets(pair):
                continue
            done = self._packer.add(visit, pair) if self._packer else ([visit], [pair])
            if done is not None:
                for task, _ in done[0]:
                    self._delivered[task] += 1
                return done[1]
        names = ", ".join(stream.name for stream in self._streams)
        raise DataError(f"{DRAWS_WITHOUT_TARGETS} examples of {names} in a row have no targets: check the tasks")

    def _pair(self, visit: Visit) -> Pair:
        stream = self._streams[visit[0]]
        return stream.pair(*stream.where(visit[1]))
