"""Statistics of a table: mean, standard deviation, what is bold, paired t-test against the baseline, Holm's correction.

All functions take and return plain numbers. Sums are exact (Python's `statistics` adds fractions), so that the order of
the seeds changes no digit.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

SIGNIFICANT = 0.05  # a p value below it, after Holm's correction
_ROUNDING = 1e-12  # relative; differences that vary less than this differ only by rounding


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

    The deviation is the baseline's (Raffel et al. 2019, section 3.1.2, repeated the baseline alone). Where the baseline
    has none, it is that of the best row; where this has none either, only the best row is bold, and rows equal to it.

    Args:
        means: row -> mean; rows without a result are left out.
        deviations: row -> standard deviation over the seeds, None of fewer than two.
        baseline: the baseline's row; it may be missing.
        higher_is_better: whether the greatest or the least mean is the best.
    """
    winner = best(means, higher_is_better=higher_is_better)
    if winner is None:
        return set()
    margin = deviations.get(baseline)
    if margin is None:
        margin = deviations.get(winner) or 0.0
    return {row for row, value in means.items() if abs(value - means[winner]) <= margin}


def paired_p(values: Mapping[int, float], baseline: Mapping[int, float]) -> float | None:
    """The two-sided p value of Student's paired t-test over the seeds that both have.

    Args:
        values: seed -> value.
        baseline: seed -> value of the baseline.

    Returns:
        The p value; 1.0 where there is no difference. None where there is nothing to test with: fewer than two seeds in
        common, or differences that are all equal and not zero (in a small test set this happens by chance), because
        their standard deviation would be estimated as zero.
    """
    seeds = sorted(values.keys() & baseline.keys())
    if len(seeds) < 2:
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
