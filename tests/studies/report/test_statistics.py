"""Means, deviations, bold and tests, against scipy and by hand."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from scipy import stats

from t5music.studies.report import statistics


def test_mean_and_deviation_are_numpys():
    values = [0.71, 0.73, 0.78, 0.2]
    assert statistics.mean(values) == pytest.approx(np.mean(values), rel=1e-15)
    assert statistics.deviation(values) == pytest.approx(np.std(values, ddof=1), rel=1e-14)
    assert statistics.deviation([0.5]) is None


def test_seeds_that_agree_have_their_own_value_and_no_deviation():
    assert statistics.mean([0.2222] * 3) == 0.2222  # a sum of floats divided by 3 is not
    assert statistics.deviation([0.2222] * 3) == 0.0


def test_the_order_of_the_seeds_changes_no_digit():
    values = np.random.default_rng(0).normal(size=5).tolist()
    results = {(statistics.mean(p), statistics.deviation(p)) for p in itertools.permutations(values)}
    assert len(results) == 1


# T5's table 1 and section 3.3: GLUE of a few rows, with the baseline's deviation of .235 (Raffel et al. 2019).
GLUE = {"baseline": 83.28, "span 2": 83.54, "span 3": 83.49, "span 10": 82.85, "no pre-training": 66.22}


def test_bold_is_within_one_deviation_of_the_best():
    deviations = {"baseline": 0.235, "span 2": 9.0}
    rows = statistics.bold(GLUE, deviations, baseline="baseline", higher_is_better=True)
    assert rows == {"span 2", "span 3"}  # 83.28 is .26 below


def test_bold_where_less_is_better_and_the_edge_counts():
    rows = statistics.bold({"a": 2.0, "b": 2.5, "c": 2.51}, {"a": 0.5}, baseline="a", higher_is_better=False)
    assert rows == {"a", "b"}


@pytest.mark.parametrize(
    ("deviations", "expected"),
    [
        ({"baseline": None, "span 2": 0.1}, {"span 2", "span 3"}),  # the best's own
        ({"baseline": None, "span 2": None}, {"span 2"}),  # only the best
        ({"baseline": 0.0, "span 2": 5.0}, {"span 2"}),  # the baseline has one, and it is nothing
    ],
)
def test_bold_without_the_baselines_deviation(deviations: dict[str, float | None], expected: set[str]):
    assert statistics.bold(GLUE, deviations, baseline="baseline", higher_is_better=True) == expected


def test_bold_without_rows():
    assert statistics.bold({}, {}, baseline="baseline", higher_is_better=True) == set()


def test_paired_p_is_scipys_over_the_seeds_in_common():
    ours = {0: 0.71, 1: 0.74, 2: 0.70, 7: 0.1}
    theirs = {2: 0.66, 1: 0.69, 0: 0.68, 5: 0.9}
    expected = stats.ttest_rel([0.71, 0.74, 0.70], [0.68, 0.69, 0.66]).pvalue
    assert statistics.paired_p(ours, theirs) == pytest.approx(expected, rel=1e-12)


def test_paired_p_by_hand():
    # Differences 1, 2, 3: t = 2 / (1 / sqrt 3) = 3.4641, and with two degrees of freedom p = 1 - t / sqrt(t^2 + 2).
    assert statistics.paired_p({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 0.0, 2: 0.0}) == pytest.approx(0.0741799, abs=1e-7)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({0: 1.0}, {0: 2.0}, None),
        ({0: 1.0, 1: 2.0}, {2: 1.0, 3: 2.0}, None),
        ({0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.0, 1: 2.0, 2: 3.0}, 1.0),
        ({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 1.0, 2: 2.0}, None),
        ({0: 1.1, 1: 2.1, 2: 3.1}, {0: 1.0, 1: 2.0, 2: 3.0}, None),  # the same but for rounding
    ],
)
def test_paired_p_where_nothing_can_be_tested(ours: dict[int, float], theirs: dict[int, float], expected: float | None):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert statistics.paired_p(ours, theirs) == expected


def test_holm_by_hand():
    corrected = statistics.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": None})
    assert corrected == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06, "e": None})
    assert statistics.holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


def test_holm_is_the_closed_test_of_bonferronis():
    """A row is rejected where Bonferroni rejects every set of rows it is in: its p is the greatest of theirs."""
    p = dict(zip("abcde", np.random.default_rng(1).uniform(0, 0.3, 5).tolist(), strict=True))
    subsets = [s for size in range(1, 6) for s in itertools.combinations(p, size)]
    expected = {row: max(min(1.0, len(s) * min(p[o] for o in s)) for s in subsets if row in s) for row in p}
    assert statistics.holm(p) == pytest.approx(expected)
