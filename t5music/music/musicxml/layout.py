"""Layout: the grid and the bars that all parts of a written score share, with its keys and tempi."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t5music.music.musicxml.notation import Grid, grid_of
from t5music.music.score import Score


@dataclass(frozen=True)
class Bar:
    """A bar in units: where it begins and ends, its meter, whether that is stated, whether the bar is as long.

    A pickup is a short bar before all others.
    """

    start: int
    end: int
    meter: tuple[int, int]
    states_meter: bool
    is_full: bool
    is_pickup: bool = False


@dataclass(frozen=True)
class Layout:
    """The grid and the bars of a score, the same for all its parts."""

    grid: Grid
    resolution: int
    bars: list[Bar]
    keys: list[tuple[int, int, bool]]  # (unit, fifths, minor)
    tempi: list[tuple[int, int]]  # (unit, microseconds a quarter)

    @classmethod
    def of(cls, score: Score) -> Layout:
        lines, meters = score.bars()
        resolution = score.ticks_per_quarter
        last = int(lines[-1]) + max(1, int(meters[-1][0]) * 4 * resolution // int(meters[-1][1]))
        lines = np.append(lines, last)
        spans = (score.notes, score.pedals)
        ends = [array["onset"] + array["duration"] for array in spans]
        grid = grid_of(
            [score.notes["onset"], ends[0], lines],
            [score.pedals["onset"], ends[1], score.tempos["tick"], score.keys["tick"]],
            resolution,
        )
        units = _units(lines, resolution, grid)
        bars: list[Bar] = []
        for start, end, meter in zip(units[:-1].tolist(), units[1:].tolist(), meters.tolist(), strict=True):
            if end > start:
                stated = (meter[0], meter[1])
                full = stated[0] * 4 * grid.units == (end - start) * stated[1]
                bars.append(Bar(start, end, stated, not bars or bars[-1].meter != stated, full))
        if len(bars) > 1 and not bars[0].is_full:
            bars[0] = dataclasses.replace(bars[0], is_pickup=True)
        keys = [(unit, *row[1:]) for unit, row in _at_units(score.keys, resolution, grid, bars)]
        tempi = [(unit, row[1]) for unit, row in _at_units(score.tempos, resolution, grid, bars)]
        return cls(grid, resolution, bars, keys, tempi)

    @functools.cached_property
    def bar_starts(self) -> list[int]:
        """Where the bars begin."""
        return [bar.start for bar in self.bars]

    def units(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ticks in units, the nearest ones."""
        return _units(ticks, self.resolution, self.grid)


def _units(ticks: NDArray[np.int64], resolution: int, grid: Grid) -> NDArray[np.int64]:
    return (2 * ticks.astype(np.int64) * grid.units + resolution) // (2 * resolution)


def _at_units(changes: NDArray, resolution: int, grid: Grid, bars: list[Bar]) -> list[tuple[int, tuple]]:
    """The changes before the end of the bars with their units, of several at one unit the last."""
    at = _units(changes["tick"], resolution, grid).tolist()
    rows = dict(zip(at, changes.tolist(), strict=True))
    return [(unit, row) for unit, row in rows.items() if unit < bars[-1].end]
