"""Overlap and KL of distances: against SciPy's densities, and of sets of which they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import integrate, spatial
from scipy import stats as scipy_stats

from t5music.comparison import resampling
from t5music.comparison.distances import SetDistances

RNG = np.random.default_rng(5)


def peer(candidate: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """(overlap, divergence) by scipy.stats.gaussian_kde and integration."""
    candidate, reference = (part.reshape(len(part), -1) for part in (candidate, reference))
    intra = scipy_stats.gaussian_kde(spatial.distance.pdist(reference))
    inter = scipy_stats.gaussian_kde(spatial.distance.cdist(candidate, reference).ravel())
    places = np.linspace(-5, 40, 20_001)
    one, other = intra(places), inter(places)
    there = (one > 1e-10 * one.max()) | (other > 1e-10 * other.max())
    floored = [np.maximum(part, 1e-10 * part.max())[there] for part in (one, other)]  # as a logarithm needs it
    return float(integrate.simpson(np.minimum(one, other), x=places)), float(scipy_stats.entropy(*floored))


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        (RNG.normal(0, 1, 20), RNG.normal(0.5, 1.5, 25)),
        (RNG.normal(0, 1, (12, 5)), RNG.normal(0.3, 1, (15, 5))),
        (RNG.uniform(0, 4, 30), RNG.exponential(1, 8)),
    ],
)
def test_as_scipy_has_it(candidate: np.ndarray, reference: np.ndarray):
    likeness = SetDistances(candidate, reference).likeness()
    assert likeness is not None
    overlap, divergence = peer(candidate, reference)
    assert likeness.overlap == pytest.approx(overlap, abs=2e-3)
    assert likeness.divergence == pytest.approx(divergence, abs=2e-3)


def test_sets_that_are_far_apart_do_not_overlap():
    likeness = SetDistances(RNG.normal(100, 1, 20), RNG.normal(0, 1, 20)).likeness()
    assert likeness is not None
    assert likeness.overlap < 1e-3
    assert likeness.divergence > 5


def test_distances_that_are_all_the_same():
    same = SetDistances(np.zeros(6), np.zeros(5))
    assert same.likeness() == (1.0, 0.0)
    moved = SetDistances(np.ones(6), np.zeros(5)).likeness()
    assert moved is not None
    assert moved.overlap < 0.01
    assert math.isinf(moved.divergence)
    weights = resampling.draws(6, np.random.default_rng(0), 50), resampling.draws(5, np.random.default_rng(1), 50)
    assert set(same.resampled(*weights)[0]) == {1.0}


def test_too_few_pieces_and_pieces_without_the_feature():
    assert SetDistances(np.arange(3.0), np.arange(9.0)).likeness() is None
    assert SetDistances(np.array([1, 2, 3, math.nan]), np.arange(9.0)).likeness() is None
    full = np.arange(6.0) ** 2
    with_gaps = SetDistances(np.append(full, math.nan), np.append(full + 1, math.nan))
    assert with_gaps.likeness() == SetDistances(full, full + 1).likeness()


def test_a_resample_is_the_set_that_was_drawn():
    candidate, reference = RNG.normal(0, 1, 7), RNG.normal(1, 1, 6)
    ones = (np.ones((3, 7)), np.ones((3, 6)))
    pairs = SetDistances(candidate, reference)
    whole = pairs.likeness()
    assert whole is not None
    assert pairs.resampled(*ones)[0] == pytest.approx([whole.overlap] * 3)
    # Without a piece, distances are those of the others.
    weights = ones[0].copy(), ones[1].copy()
    weights[0][0, 2] = weights[1][0, 3] = 0
    without = peer(np.delete(candidate, 2), np.delete(reference, 3))[0]
    assert pairs.resampled(*weights)[0][0] == pytest.approx(without, abs=2e-3)
    # A piece that is drawn twice counts twice in distances from others, and has none from itself.
    weights[0][1], weights[1][1, 0] = 2, 2
    rows = [0, 0, *range(1, 6)]
    distances = np.abs(reference[rows][:, None] - reference[rows])[np.triu_indices(7, 1)]
    intra = scipy_stats.gaussian_kde(distances[distances > 0])
    inter = scipy_stats.gaussian_kde(np.abs(candidate[:, None] - reference[rows]).ravel())
    places = np.linspace(-10, 20, 20_001)
    # The bandwidth of the inter distances is that of twice as many, as each piece of candidate was drawn twice.
    inter.set_bandwidth((2 * 7 * 7) ** -0.2 * np.sqrt((98 / 97) / (49 / 48)))
    expected = integrate.simpson(np.minimum(intra(places), inter(places)), x=places)
    assert pairs.resampled(*weights)[0][1] == pytest.approx(float(expected), abs=2e-3)


@given(
    candidate=hnp.arrays(float, st.integers(4, 9), elements=st.integers(-5, 5).map(float)),
    reference=hnp.arrays(float, st.integers(4, 9), elements=st.integers(-5, 5).map(float)),
    scale=st.sampled_from([0.001, 7.0]),
    shift=st.integers(-9, 9),
)
def test_any_sets(candidate: np.ndarray, reference: np.ndarray, scale: float, shift: int):
    likeness = SetDistances(candidate, reference).likeness()
    assert likeness is not None
    assert 0 <= likeness.overlap <= 1 + 1e-9
    assert likeness.divergence >= -1e-9
    moved = SetDistances(scale * (candidate + shift), scale * (reference + shift)).likeness()
    assert moved is not None
    assert moved.overlap == pytest.approx(likeness.overlap, abs=1e-6)
    weights = (resampling.draws(len(part), np.random.default_rng(0), 20) for part in (candidate, reference))
    overlaps, divergences = SetDistances(candidate, reference).resampled(*weights)
    there = ~np.isnan(overlaps)
    assert ((overlaps[there] >= 0) & (overlaps[there] <= 1 + 1e-9)).all()
    assert (divergences[there] >= -1e-9).all()
