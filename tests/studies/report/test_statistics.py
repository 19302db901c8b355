"""Means, deviations, bold and tests, against scipy and by hand."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from t5music.evaluation.example_tallies import Tallies
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
TEN = [83.28 + 0.235 * (9 / 10) ** 0.5 * sign for sign in (1, -1) * 5]  # values with just that deviation


def test_bold_is_within_two_deviations_of_the_best_as_in_t5s_tables():
    assert statistics.deviation(TEN) == pytest.approx(0.235)
    rows = statistics.bold(GLUE, TEN, higher_is_better=True)
    assert rows == {"baseline", "span 2", "span 3"}  # 82.85 is .69 below, two deviations are .47


def test_bold_where_less_is_better_and_the_edge_counts():
    values = [1.0, 2.0, 3.0, 2.0, 2.0]  # the deviation is the root of a half
    edge = 2.0 + 2 * statistics.deviation(values)
    rows = statistics.bold({"a": 2.0, "b": edge, "c": edge + 0.01}, values, higher_is_better=False)
    assert rows == {"a", "b"}


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (TEN[:4], {"span 2"}),  # too few seeds to say what is as good
        ([], {"span 2"}),
        ([83.28] * 5, {"span 2"}),  # five that agree
        ([83.28, 83.28, 83.28, 83.28, 84.0], {"baseline", "span 2", "span 3"}),
    ],
)
def test_bold_needs_five_seeds_of_the_baseline(baseline: list[float], expected: set[str]):
    assert statistics.bold(GLUE, baseline, higher_is_better=True) == expected


def test_bold_without_rows():
    assert statistics.bold({}, [], higher_is_better=True) == set()


def test_the_interval_over_seeds_is_that_of_all_resamples():
    """Of three seeds there are 27 resamples: the least mean, that of three times the least, has one in 27 of them."""
    values = [0.0, 3.0, 9.0]
    means = sorted(sum(draw) / 3 for draw in itertools.product(values, repeat=3))
    interval = statistics.seed_interval(values)
    assert interval is not None
    assert (interval.low, interval.high) == (means[0], means[-1]) == (0.0, 9.0)  # 1 / 27 is more than 2.5 %
    assert not interval.pieces
    assert statistics.seed_interval([1.0]) is None
    assert statistics.seed_interval([0.5] * 3) == (0.5, 0.5, False)


def test_the_order_of_the_seeds_changes_no_interval():
    values = np.random.default_rng(2).normal(size=5).tolist()
    assert len({statistics.seed_interval(order) for order in itertools.permutations(values)}) == 1


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8))
@settings(max_examples=20, deadline=None)
def test_an_interval_over_seeds_lies_within_them(values: list[float]):
    interval = statistics.seed_interval(values)
    assert interval is not None
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def tallies(right: list[float]) -> Tallies:
    return Tallies(right, [1.0] * len(right))


def test_the_interval_over_pieces_by_hand():
    """Two pieces, one of which the setting alone gets right: resamples have it never, once or twice (1/4, 1/2, 1/4)."""
    interval = statistics.piece_interval([(tallies([1.0, 1.0]), tallies([0.0, 1.0]))])
    assert interval == (0.0, 1.0, True)


def test_the_interval_of_one_seed_over_many_pieces_is_about_the_normal_one():
    rng = np.random.default_rng(3)
    ours, other = (rng.random(400) < share for share in (0.6, 0.5))
    interval = statistics.piece_interval(
        [(tallies(ours.astype(float).tolist()), tallies(other.astype(float).tolist()))]
    )
    differences = ours.astype(float) - other
    error = 1.96 * differences.std() / 20
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(
        (differences.mean() - error, differences.mean() + error), abs=0.01
    )


def test_pieces_that_a_paired_comparison_shares_widen_nothing():
    """Both get the same pieces right: the difference is none, whichever pieces are drawn."""
    figure = tallies([1.0, 0.0, 1.0, 1.0])
    assert statistics.piece_interval([(figure, figure)] * 3) == (0.0, 0.0, True)


def test_the_interval_over_seeds_and_pieces_is_wider_than_over_seeds():
    rng = np.random.default_rng(4)
    pairs = [tuple(tallies((rng.random(37) < share).astype(float).tolist()) for share in (0.5, 0.4)) for _ in range(5)]
    both = statistics.piece_interval(pairs)
    seeds = statistics.seed_interval([np.mean(ours.parts) - np.mean(other.parts) for ours, other in pairs])
    assert both is not None
    assert seeds is not None
    assert both.high - both.low > seeds.high - seeds.low
    assert statistics.piece_interval(pairs[::-1]) == both


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.integers(1, 4), st.randoms())
@settings(max_examples=20, deadline=None)
def test_a_difference_that_all_pieces_and_seeds_have_is_the_interval(wholes: list[int], seeds: int, random):
    """Figures of 3/4 and 1/2 on every piece, of whatever weight."""
    pair = [Tallies([share * whole for whole in wholes], list(wholes)) for share in (0.75, 0.5)]
    interval = statistics.piece_interval([tuple(pair)] * seeds)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.25, 0.25))


def test_pieces_cannot_be_resampled_where_they_differ_or_are_one():
    assert statistics.piece_interval([(tallies([1.0, 0.0]), tallies([1.0]))]) is None
    assert statistics.piece_interval([(tallies([1.0]), tallies([0.0]))]) is None
    assert statistics.piece_interval([]) is None


def test_paired_p_is_scipys_over_the_seeds_in_common():
    ours = {0: 0.71, 1: 0.74, 2: 0.70, 3: 0.73, 4: 0.72, 7: 0.1}
    reference = {2: 0.66, 1: 0.69, 0: 0.68, 4: 0.67, 3: 0.68, 5: 0.9}
    expected = stats.ttest_rel([0.71, 0.74, 0.70, 0.73, 0.72], [0.68, 0.69, 0.66, 0.68, 0.67]).pvalue
    assert statistics.paired_p(ours, reference) == pytest.approx(expected, rel=1e-12)


def test_paired_p_by_hand():
    # Differences 1 to 5: t = 3 / (sqrt(2.5) / sqrt 5) = 4.2426 with four degrees of freedom, where
    # p = 1 - sin(a) (1 + cos(a)^2 / 2) and tan(a) = t / 2.
    angle = np.arctan(3 * 2**0.5 / 2)
    expected = 1 - np.sin(angle) * (1 + np.cos(angle) ** 2 / 2)
    p = statistics.paired_p({seed: seed + 1.0 for seed in range(5)}, dict.fromkeys(range(5), 0.0))
    assert p == pytest.approx(expected, abs=1e-12)


FIVE = dict(enumerate([1.0, 2.0, 3.0, 5.0, 8.0]))


@pytest.mark.parametrize(
    ("ours", "reference", "expected"),
    [
        ({0: 1.0}, {0: 2.0}, None),
        (FIVE, {seed + 5: value for seed, value in FIVE.items()}, None),
        ({seed: FIVE[seed] for seed in range(4)}, {0: 0.0, 1: 5.0, 2: 1.0, 3: 2.0}, None),  # too few
        (FIVE, FIVE, 1.0),
        (FIVE, {seed: value - 1.0 for seed, value in FIVE.items()}, None),
        ({seed: value + 0.1 for seed, value in FIVE.items()}, FIVE, None),  # the same but for rounding
    ],
)
def test_paired_p_where_nothing_can_be_tested(
    ours: dict[int, float], reference: dict[int, float], expected: float | None
):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert statistics.paired_p(ours, reference) == expected


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
