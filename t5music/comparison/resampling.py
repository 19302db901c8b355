"""Resampling: bootstrap intervals over pieces, by percentiles, the same for the same seed.

A resample is a number for each piece: how often it was drawn. All figures of a comparison use the same resamples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST = 5  # pieces, or listeners; of fewer there is no interval


class Interval(NamedTuple):
    """A bootstrap interval of CONFIDENCE."""

    low: float
    high: float


def draws(count: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """How often each of `count` pieces is drawn, float64 [resamples, count]; each row adds up to `count`."""
    return rng.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)


def means(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each resample, float64 [resamples].

    Args:
        values: [pieces]; those that are NaN do not count.
        weights: [resamples, pieces], as `draws` gives them.
    """
    is_there = ~np.isnan(values)
    totals = weights[:, is_there].sum(axis=1)
    return np.divide(
        weights[:, is_there] @ values[is_there], totals, out=np.full(len(weights), math.nan), where=totals > 0
    )


def interval(figures: NDArray[np.float64]) -> Interval | None:
    """The percentiles of a figure's resamples [resamples]; None where a tenth of them or more have no figure."""
    finite = figures[np.isfinite(figures)]
    if len(finite) < 0.9 * len(figures) or not len(finite):
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(finite, [tail, 100 - tail])
    return Interval(float(low), float(high))


def centred_interval(
    value: float, figures: NDArray[np.float64], least: float = -math.inf, most: float = math.inf
) -> Interval | None:
    """The same of a distance, which resamples make greater throughout, because they hold some pieces twice.

    The percentiles are moved so that the resamples' median is the figure itself.

    Args:
        value: the figure of all pieces.
        figures: of the resamples, [resamples].
        least: what the figure cannot be below.
        most: what it cannot be above.
    """
    within = interval(figures)
    if within is None:
        return None
    shift = value - float(np.median(figures[np.isfinite(figures)]))
    return Interval(*(min(max(edge + shift, least), most) for edge in within))
