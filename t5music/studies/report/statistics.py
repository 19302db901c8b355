"""The statistics of a table: means and deviations over seeds, what is bold, and what differs from the baseline.

Everything here takes and gives plain numbers. Sums are exact (Python's own `statistics` adds fractions), so that the
order of the seeds changes no digit.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

SIGNIFICANT = 0.05  # of a p value after Holm's correction
_ROUNDING = 1e-12  # relative; differences that vary less than that differ in their rounding only


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of one value or more."""
    return statistics.mean(values)


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation (n - 1); None of fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def best(means: Mapping[str, float], *, higher_is_better: bool) -> str | None:
    """The row with the best mean, the first of several; None without rows."""
    return (max if higher_is_better else min)(means, key=means.__getitem__, default=None)


def bold(
    means: Mapping[str, float],
    deviations: Mapping[str, float | None],
    *,
    baseline: str,
    higher_is_better: bool,
) -> set[str]:
    """The rows that T5's tables print in bold: all within one standard deviation of the column's best.

    The deviation is the baseline's (Raffel et al. 2019, section 3.1.2, who repeated the baseline alone). Where the
    baseline has none, it is the best row's own; where that has none either, only the best is bold, and what equals it.

    Args:
        means: row -> mean, rows without a result left out.
        deviations: row -> standard deviation over the seeds, None of fewer than two.
        baseline: its row; it may be missing.
        higher_is_better: whether the greatest or the least mean is the best.
    """
    winner = best(means, higher_is_better=higher_is_better)
    if winner is None:
        return set()
    margin = deviations.get(baseline)
    if margin is None:
        margin = deviations.get(winner) or 0.0
    return {row for row, value in means.items() if abs(value - means[winner]) <= margin}


def paired_p(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    """The two-sided p value of Student's paired t-test over the seeds that both have.

    Args:
        ours, theirs: seed -> value.

    Returns:
        None where there is nothing to test with: fewer than two seeds in common, or differences that are all the same
        and not zero, whose deviation would be estimated as none at all (a few files of a small test set, by chance).
        1.0 where there is no difference.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return None
    one, other = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
    if one == other:
        return 1.0
    differences = [a - b for a, b in zip(one, other, strict=True)]
    spread = max(differences) - min(differences)
    if spread <= _ROUNDING * max(map(abs, (*one, *other))):
        return None
    from scipy import stats  # a second of importing

    return float(stats.ttest_rel(one, other).pvalue)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's correction (1979): the p values of a family of tests, so that one false alarm in it is as rare as p says.

    The k-th least of m p values is multiplied by m - k + 1, and none is less than one before it. What was not tested
    (None) is no part of the family and stays None.
    """
    tested = sorted((p, row) for row, p in p_values.items() if p is not None)
    corrected: dict[str, float | None] = dict.fromkeys(p_values)
    highest = 0.0
    for number, (p, row) in enumerate(tested):
        highest = max(highest, min(1.0, p * (len(tested) - number)))
        corrected[row] = highest
    return corrected
