"""Windows of whole bars, and the nearest of some values: what kinds of examples need to cut scores."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike

from t5music.music.score import Score


def bar_windows(score: Score, bars: int) -> list[tuple[int, int]]:
    """(start, end) in ticks of a score's windows of so many bars, the last one of what is left; none without notes."""
    starts, meters = score.bars()
    if not len(score.notes):
        return []
    last = 4 * score.ticks_per_quarter * int(meters[-1][0]) // int(meters[-1][1])
    edges = [*starts[::bars].tolist(), max(int(starts[-1]) + last, score.end_tick)]
    return list(itertools.pairwise(edges))


def nearest(values: ArrayLike, target: float) -> int:
    """The index of the value (of [values]) nearest to the target; the first of several."""
    return int(np.argmin(np.abs(np.asarray(values) - target)))
