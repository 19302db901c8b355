"""remi's grid: its meters, durations and tempi, and how a score's bars are laid on it.

Times are in ticks of 480 a quarter. A position is 40 ticks (12 a quarter), the shortest bar, 1/32, is 60 ticks; every
bar is a whole number of 1/32 notes.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.score import Score

TICKS = 480  # a quarter
POSITION = 40  # ticks
POSITIONS = 144  # of the longest bar, 12 quarters
UNIT = 60  # ticks of 1/32 note
UNITS_PER_QUARTER = TICKS // UNIT
MAX_UNITS = 96  # of the longest bar
# The most bars that a piece may have: 11 hours of 4/4 at tempo 120, and below 2 ** 28 ticks whatever the meters.
MAX_BARS = 20_000

METERS = tuple(
    (numerator, denominator)
    for denominator in (1, 2, 4, 8, 16, 32)
    for numerator in range(1, 17)
    if numerator * 32 // denominator <= MAX_UNITS
)
_METER_INDEX = {meter: index for index, meter in enumerate(METERS)}
METER_UNITS = np.array([numerator * 32 // denominator for numerator, denominator in METERS])
COMMON_TIME = _METER_INDEX[4, 4]

# In positions: exact up to two quarters, then in steps that keep the nearest one within 4 %; 32 quarters at most.
DURATIONS = np.concatenate(
    [np.arange(1, 25), np.arange(26, 49, 2), np.arange(52, 97, 4), np.arange(104, 193, 8), np.arange(208, 385, 16)]
)
# In quarters a minute: the nearest one is within 2.5 %, and between 40 and 160, where most music is, 1 away at most.
TEMPI = np.concatenate([np.arange(20, 41), np.arange(42, 161, 2), np.arange(168, 321, 8)])


def nearest_index(values: NDArray, scale: NDArray) -> NDArray[np.int64]:
    """The index of the nearest entry of the rising `scale` for each value; half way: the greater."""
    return np.searchsorted((scale[1:] + scale[:-1]) / 2, values, side="right")


@functools.lru_cache(maxsize=1024)
def meters_of(units: int, numerator: int, denominator: int) -> tuple[int, ...]:
    """Indices into METERS of bars that last `units` together, for a bar of which numerator/denominator was stated.

    The stated meter where it has that length and is one of METERS; else one meter of the same length, with the
    denominator nearest to the stated one; else two or more of which the first are as long as possible.
    """
    if units > MAX_UNITS:
        return (*meters_of(MAX_UNITS, 12, 4), *meters_of(units - MAX_UNITS, numerator, denominator))
    if numerator * 32 == units * denominator and (numerator, denominator) in _METER_INDEX:
        return (_METER_INDEX[numerator, denominator],)
    lengths = METER_UNITS
    same = np.flatnonzero(lengths == units)
    if len(same):
        distance = [abs(np.log2(METERS[index][1] / denominator)) for index in same]
        return (int(same[np.argmin(distance)]),)
    first = int(lengths[lengths < units].max())
    return (*meters_of(first, numerator, denominator), *meters_of(units - first, numerator, denominator))


def lay_bars(score: Score) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bars of METERS up to the score's last onset, and two more.

    Every bar line of the score becomes one, moved to the nearest 1/32 note (so by nothing in most music); a bar that no
    meter of METERS is as long as gets more than one. Raises MidiError for more than MAX_BARS bars.

    Returns edges (int64 [bars + 1], ticks of 480 a quarter) and the bars' indices into METERS (int64 [bars]).
    """
    resolution = score.ticks_per_quarter
    last = score.notes[-1:].copy()
    last["duration"] = 1
    score = replace(score, notes=last, meters=score.meters[score.meters["tick"] <= last["onset"]])
    _check_bars(_bars(score))  # before anything of that size is made
    lines, stated = score.bars()
    last_length = max(1, int(stated[-1][0]) * 4 * resolution // int(stated[-1][1]))
    lines = np.append(lines, lines[-1] + last_length)
    units = np.diff((2 * lines * UNITS_PER_QUARTER + resolution) // (2 * resolution))
    kinds = np.column_stack([units, stated])[units > 0]
    kinds = np.concatenate([kinds, np.tile(_ending(stated[-1]), (2, 1))])  # a note may round up beyond the last line

    kinds, which = np.unique(kinds, axis=0, return_inverse=True)
    covers = [meters_of(*map(int, kind)) for kind in kinds]
    counts = np.array([len(cover) for cover in covers])
    begins = np.cumsum(counts) - counts
    which = which.reshape(-1)
    within = np.arange(counts[which].sum()) - np.repeat(np.cumsum(counts[which]) - counts[which], counts[which])
    meters = np.concatenate(covers)[np.repeat(begins[which], counts[which]) + within].astype(np.int64)
    _check_bars(int(counts[which[:-2]].sum()))
    edges = np.concatenate([[0], np.cumsum(METER_UNITS[meters] * UNIT)])
    return edges, meters


def _ending(meter: NDArray) -> NDArray[np.int64]:
    """(units, numerator, denominator) of a whole bar of the meter, at least a unit long."""
    numerator, denominator = int(meter[0]), int(meter[1])
    return np.array([max(1, numerator * 32 // denominator), numerator, denominator])


def _bars(score: Score) -> int:
    """How many bars the score has."""
    meters = score.meters
    whole = 4 * score.ticks_per_quarter
    starts = np.concatenate([[0], meters["tick"], [score.end_tick]])
    lengths = np.maximum(1, meters["numerator"].astype(np.int64) * whole // meters["denominator"])
    return int(np.sum(-(-np.diff(starts) // np.append(whole, lengths))))  # 4/4 until the first meter; rounded up


def _check_bars(bars: int) -> None:
    if bars > MAX_BARS:
        raise MidiError(f"the piece has {bars} bars and remi takes at most {MAX_BARS}: crop it")


def place(ticks: NDArray, resolution: int, edges: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bar and the nearest position in it (half way: the later) of ticks of `resolution` a quarter.

    A tick to which the end of its bar is as near as a position is at position 0 of the next bar. Ticks beyond the last
    edge are placed in the bar after the last one.
    """
    scaled, lines, step = ticks * TICKS, edges * resolution, POSITION * resolution
    bars = np.searchsorted(lines[:-1], scaled, side="right") - 1
    into, left = scaled - lines[bars], lines[bars + 1] - scaled
    positions = (into + step // 2) // step
    over = (left <= np.abs(into - positions * step)) | (positions * step >= into + left)
    return bars + over, np.where(over, 0, positions)


class Laid(NamedTuple):
    """A score's notes on the grid, in the order of their words; of several notes of a key that begin together one.

    Attributes:
        edges: bar lines, int64 [bars + 1], ticks of 480 a quarter.
        meters: the bars' indices into METERS, int64 [bars].
        notes: which notes of the score, int64 [n]; the following are of these.
        bars: the bar of each.
        starts: where each begins, in ticks.
        lengths: positions it lasts, up to the next note of its key.
        room: positions up to the next note of its key (or very many).
    """

    edges: NDArray[np.int64]
    meters: NDArray[np.int64]
    notes: NDArray[np.int64]
    bars: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    room: NDArray[np.int64]


def lay_notes(score: Score) -> Laid:
    """Lays a score that has notes on the grid. Raises MidiError for more than MAX_BARS bars."""
    notes, resolution = score.notes, score.ticks_per_quarter
    edges, meters = lay_bars(score)
    bars, positions = place(notes["onset"], resolution, edges)
    starts = edges[bars] + POSITION * positions
    programs, pitches = notes["program"].astype(np.int64), notes["pitch"].astype(np.int64)
    lengths = (notes["onset"] + notes["duration"]) * TICKS - starts * resolution
    lengths = np.maximum(1, (lengths + POSITION * resolution // 2) // (POSITION * resolution))
    ends = starts + lengths * POSITION
    distinct, ends, following = separate(programs * 128 + pitches, starts, ends, notes["velocity"])
    order = np.lexsort((pitches[distinct], programs[distinct], starts[distinct]))
    distinct, starts = distinct[order], starts[distinct][order]
    lengths, room = (ends[order] - starts) // POSITION, (following[order] - starts) // POSITION
    return Laid(edges, meters, distinct, bars[distinct], starts, lengths, room)


def separate(keys: NDArray, starts: NDArray, ends: NDArray, velocities: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Makes notes of equal keys (program and pitch) follow one another.

    Of notes that start together the longest stays (of those the loudest); a note that is still sounding when the same
    key is struck again ends there, and the later note lasts as long as any of them would have. So every distinct onset
    stays, and what sounds at any time stays.

    Returns, by key and start: which notes stay (indices), their new ends, and the next start of the key (or very much).
    """
    order = np.lexsort((velocities, ends, starts, keys))
    keys, starts, ends = keys[order], starts[order], ends[order]
    lift = np.cumsum(np.diff(keys, prepend=keys[:1]) > 0) * (int(ends.max(initial=0)) + 1)
    ends = np.maximum.accumulate(ends + lift) - lift  # of each key, the greatest end so far
    last = np.append((np.diff(keys) > 0) | (np.diff(starts) > 0), True)[: len(keys)]
    order, keys, starts, ends = order[last], keys[last], starts[last], ends[last]
    following = np.where(np.append(np.diff(keys) == 0, False)[: len(keys)], np.roll(starts, -1), np.iinfo(np.int64).max)
    return order, np.minimum(ends, following), following
