"""Statistics of a table: mean, deviation, what is bold, bootstrap intervals, paired t-test, Holm's correction.

All functions take and return plain numbers, and none depends on the order of the seeds: sums are exact (Python's
`statistics` adds fractions), and what is resampled is sorted first.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.evaluation.example_tallies import Tallies

SIGNIFICANT = 0.05  # a p value below it, after Holm's correction
FEWEST_SEEDS = 5  # with fewer there is neither a test nor a deviation to compare by
BOLD_DEVIATIONS = 2.0  # of the baseline, from the best: T5's rule
CONFIDENCE = 0.95
RESAMPLES = 9999
_DRAWS = 1 << 21  # numbers at a time when pieces are resampled
_ROUNDING = 1e-12  # relative; differences that vary less than this differ only by rounding


class Interval(NamedTuple):
    """A bootstrap interval of CONFIDENCE.

    Attributes:
        low: its lower end.
        high: its upper end.
        pieces: whether pieces were resampled, too, and not the seeds alone.
    """

    low: float
    high: float
    pieces: bool


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of one value or more."""
    return statistics.mean(values)


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation (n - 1); None of fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def best(means: Mapping[str, float], *, higher_is_better: bool) -> str | None:
    """The row with the best mean, the first of several; None without rows."""
    return (max if higher_is_better else min)(means, key=means.__getitem__, default=None)


def bold(means: Mapping[str, float], baseline: Sequence[float], *, higher_is_better: bool) -> set[str]:
    """The rows that T5's tables print in bold: all within two standard deviations of the column's best.

    The deviation is the baseline's (Raffel et al. 2019, section 3.1.5, from ten runs of the baseline alone). Of a
    baseline with fewer than FEWEST_SEEDS seeds nothing is known that rows could be compared by: only the best is bold,
    and rows equal to it.

    Args:
        means: row -> mean; rows without a result are left out.
        baseline: the baseline's values, one for each seed.
        higher_is_better: whether the greatest or the least mean is the best.
    """
    winner = best(means, higher_is_better=higher_is_better)
    if winner is None:
        return set()
    spread = deviation(baseline) if len(baseline) >= FEWEST_SEEDS else None
    margin = 0.0 if spread is None else BOLD_DEVIATIONS * spread
    return {row for row, value in means.items() if abs(value - means[winner]) <= margin}


def paired_p(values: Mapping[int, float], baseline: Mapping[int, float]) -> float | None:
    """The two-sided p value of Student's paired t-test over the seeds that both have.

    Args:
        values: seed -> value.
        baseline: seed -> value of what it is compared with.

    Returns:
        The p value; 1.0 where there is no difference. None where there is nothing to test with: fewer than FEWEST_SEEDS
        seeds in common, or differences that are all equal and not zero (in a small test set this happens by chance),
        because their standard deviation would be estimated as zero.
    """
    seeds = sorted(values.keys() & baseline.keys())
    if len(seeds) < FEWEST_SEEDS:
        return None
    pairs = [(values[seed], baseline[seed]) for seed in seeds]
    if all(value == base for value, base in pairs):
        return 1.0
    differences = [value - base for value, base in pairs]
    spread = max(differences) - min(differences)
    if spread <= _ROUNDING * max(abs(number) for pair in pairs for number in pair):
        return None
    from scipy import stats  # takes a second to import

    return float(stats.ttest_rel(*zip(*pairs, strict=True)).pvalue)


def seed_interval(differences: Sequence[float]) -> Interval | None:
    """The interval of a mean over seeds, by bootstrap (percentiles); None of fewer than two seeds.

    Of three seeds, it is about their range: it is as narrow as they happen to lie, and no more is known.
    """
    if len(differences) < 2:
        return None
    from scipy import stats  # takes a second to import

    result = stats.bootstrap(
        (sorted(differences),),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return Interval(float(result.confidence_interval.low), float(result.confidence_interval.high), pieces=False)


def piece_interval(pairs: Sequence[tuple[Tallies, Tallies]]) -> Interval | None:
    """The interval of a mean difference over seeds and pieces, both resampled at once, by bootstrap (percentiles).

    All seeds are tested on the same pieces, so that a resample draws seeds and, for all of them, pieces.

    Args:
        pairs: for each seed the figure and the one it is compared with, as tallies of the same pieces.

    Returns:
        The interval; None without seeds, of a single piece, and where the numbers of pieces differ.
    """
    sizes = {len(column) for pair in pairs for tallies in pair for column in tallies}
    if len(sizes) != 1 or max(sizes) < 2:
        return None
    (pieces,) = sizes
    ordered = sorted(pairs, key=lambda pair: [list(column) for tallies in pair for column in tallies])
    figure, other = (
        [np.array([pair[side][column] for pair in ordered], float).T for column in (0, 1)] for side in (0, 1)
    )  # of each side parts and wholes, [pieces, seeds]
    rng = np.random.default_rng(0)
    seed_weights = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), RESAMPLES) / len(pairs)
    means = []
    for start in range(0, RESAMPLES, max(1, _DRAWS // pieces)):
        weights = seed_weights[start : start + max(1, _DRAWS // pieces)]  # [resamples, seeds]
        draws = rng.multinomial(pieces, np.full(pieces, 1 / pieces), len(weights))  # [resamples, pieces]
        means.append((weights * (_ratios(draws, *figure) - _ratios(draws, *other))).sum(axis=1))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(np.concatenate(means), [tail, 100 - tail])
    return Interval(float(low), float(high), pieces=True)


def _ratios(draws: NDArray[np.int64], parts: NDArray, wholes: NDArray) -> NDArray[np.float64]:
    """The figure of every resample of pieces, [resamples, seeds]; nan where nothing of it was drawn."""
    totals = draws @ wholes
    return np.divide(draws @ parts, totals, out=np.full(totals.shape, np.nan), where=totals > 0)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's correction (1979) of the p values of a family of tests, which bounds the chance of any false alarm in it.

    The k-th smallest of m p values is multiplied by m - k + 1, and none is less than the one before it. A row that was
    not tested (None) does not belong to the family and stays None.

    Args:
        p_values: row -> p value, None where there was no test.
    """
    tested = sorted((p, row) for row, p in p_values.items() if p is not None)
    corrected: dict[str, float | None] = dict.fromkeys(p_values)
    highest = 0.0
    for number, (p, row) in enumerate(tested):
        highest = max(highest, min(1.0, p * (len(tested) - number)))
        corrected[row] = highest
    return corrected
