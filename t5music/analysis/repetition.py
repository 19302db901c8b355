"""Repetition: how alike the bars of a piece are, and the longest loop.

Two notes are the same where they begin at the same place of their bars and have the same duration, pitch and program;
velocities and tracks do not count. Places and durations are rounded to 1/12 quarters, remi's grid. A bar is what begins
in it: one through which a note is only held is empty.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.analysis.longest_run import STEPS_PER_QUARTER
from t5music.music.score import Score

LONGEST_LAG = 40  # bars; that of Museformer's similarity error
LEAST_TIMES = 3  # that a pattern is heard in a loop: written music states a phrase twice (AAB)
MOST_BARS = 10_000  # a damaged file may have millions

Note = tuple[int, int, int, int]  # place in the bar, duration, pitch, program; in steps


class Bar(NamedTuple):
    """What begins in a bar.

    Attributes:
        notes: without doubles.
        steps: how long the bar is.
    """

    notes: frozenset[Note]
    steps: int


def bars_of(score: Score) -> list[Bar]:
    """The bars of a piece, from the first to the last in which a note begins; none of a piece of over MOST_BARS."""
    if not len(score.notes) or score.bar_count > MOST_BARS:
        return []
    starts, meters = score.bars()
    numerator, denominator = meters[-1].tolist()
    edges = np.append(starts, starts[-1] + max(1, numerator * 4 * score.ticks_per_quarter // denominator))
    notes = score.notes
    index = np.searchsorted(starts, notes["onset"], side="right") - 1
    rows = np.stack(
        [
            _steps(notes["onset"] - starts[index], score),
            np.maximum(1, _steps(notes["duration"], score)),
            notes["pitch"],
            notes["program"],
        ],
        axis=1,
    ).tolist()
    contents: list[set[Note]] = [set() for _ in starts]
    for bar, row in zip(index.tolist(), rows, strict=True):
        contents[bar].add(tuple(row))
    lengths = _steps(np.diff(edges), score).tolist()
    first, last = int(index.min()), int(index.max())
    return [Bar(frozenset(contents[bar]), lengths[bar]) for bar in range(first, last + 1)]


def _steps(ticks: NDArray, score: Score) -> NDArray[np.int64]:
    """Ticks as 1/12 quarters, halves rounded up."""
    return (2 * ticks * STEPS_PER_QUARTER + score.ticks_per_quarter) // (2 * score.ticks_per_quarter)


def similarity_by_lag(bars: list[Bar]) -> NDArray[np.float64]:
    """Museformer's L_t (Yu et al., NeurIPS 2022): how alike bars are that lie t = 1..LONGEST_LAG bars apart.

    Two bars' likeness is the number of notes that both have over the number that either has. Of two empty bars there
    is none.

    Returns:
        float64 [LONGEST_LAG], from 0 to 1; NaN for lags at which the piece has no pair of bars.
    """
    result = np.full(LONGEST_LAG, math.nan)
    for lag in range(1, min(LONGEST_LAG, len(bars) - 1) + 1):
        pairs = [(a.notes, b.notes) for a, b in zip(bars, bars[lag:], strict=False) if a.notes or b.notes]
        if pairs:
            result[lag - 1] = np.mean([len(a & b) / len(a | b) for a, b in pairs])
    return result


def self_similarity(bars: list[Bar]) -> float:
    """The mean of `similarity_by_lag` over the lags that the piece has; NaN of fewer than two bars."""
    lags = similarity_by_lag(bars)
    return float(np.nanmean(lags)) if not np.isnan(lags).all() else math.nan


def groove_consistency(bars: list[Bar]) -> float:
    """One minus the mean share of steps at which only one of two neighbouring bars has an onset (Wu and Yang 2020).

    Bars of different lengths are not compared. NaN where no two neighbours are of one length.
    """
    onsets = [{note[0] for note in bar.notes} for bar in bars]
    distances = [
        len(a ^ b) / bar.steps
        for a, b, bar, following in zip(onsets, onsets[1:], bars, bars[1:], strict=False)
        if bar.steps == following.steps > 0
    ]
    return float(1 - np.mean(distances)) if distances else math.nan


def longest_loop(bars: list[Bar]) -> int:
    """The longest loop in bars: a pattern of whole bars, heard LEAST_TIMES or more in a row; 0 where there is none.

    All its bars count, those of a last, unfinished time too. Silence is no loop: a pattern has at least one note.
    """
    numbers: dict[Bar, int] = {}
    contents = np.array([numbers.setdefault(bar, len(numbers)) for bar in bars], np.int64)
    is_empty = np.array([not bar.notes for bar in bars], bool)
    longest = 0
    for period in range(1, len(bars) // LEAST_TIMES + 1):
        same = np.concatenate([[False], contents[period:] == contents[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1]).reshape(-1, 2)  # where runs of equal bars begin and end
        for begin, end in edges.tolist():
            length = end - begin + period
            if length >= LEAST_TIMES * period and length > longest and not is_empty[begin : begin + period].all():
                longest = length
    return longest
