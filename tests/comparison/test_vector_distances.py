"""Distances in an encoder's space: by their formulas, and of sets of which they are known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from t5music.comparison import resampling
from t5music.comparison.vector_distances import KernelDistance, frechet, frechet_resampled

RNG = np.random.default_rng(2)
CANDIDATE, REFERENCE = RNG.normal(0.2, 1.5, (40, 6)), RNG.normal(0, 1, (30, 6)) @ RNG.normal(0, 1, (6, 6))


def test_frechet_by_its_formula():
    one, other = np.cov(CANDIDATE.T), np.cov(REFERENCE.T)
    root = scipy.linalg.sqrtm(one @ other).real
    expected = np.square(CANDIDATE.mean(0) - REFERENCE.mean(0)).sum() + np.trace(one + other - 2 * root)
    assert frechet(CANDIDATE, REFERENCE) == pytest.approx(expected)
    assert frechet(CANDIDATE, CANDIDATE) == pytest.approx(0, abs=1e-9)
    assert frechet(CANDIDATE, CANDIDATE + 3) == pytest.approx(6 * 9)


def test_frechet_of_a_resample_is_that_of_the_pieces_drawn():
    weights = resampling.draws(40, RNG, 3), resampling.draws(30, RNG, 3)
    expected = [
        frechet(np.repeat(CANDIDATE, a.astype(int), axis=0), np.repeat(REFERENCE, b.astype(int), axis=0))
        for a, b in zip(*weights, strict=True)
    ]
    assert frechet_resampled(CANDIDATE, REFERENCE, *weights) == pytest.approx(expected)


@pytest.mark.parametrize("pieces", [2, 6])
def test_frechet_needs_more_pieces_than_numbers(pieces: int):
    with pytest.raises(ValueError, match="needs more than 6 pieces"):
        frechet(CANDIDATE[:pieces], REFERENCE)
    frechet(CANDIDATE[:7], REFERENCE)


def test_the_kernel_distance_by_its_formula():
    candidate, reference = CANDIDATE[:5], REFERENCE[:4]
    mean, scale = reference.mean(0), reference.std(0).mean()

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float(((x - mean) / scale @ ((y - mean) / scale) / 6 + 1) ** 3)

    expected = sum(kernel(x, y) for i, x in enumerate(candidate) for j, y in enumerate(candidate) if i != j) / 20
    expected += sum(kernel(x, y) for i, x in enumerate(reference) for j, y in enumerate(reference) if i != j) / 12
    expected -= 2 * sum(kernel(x, y) for x in candidate for y in reference) / 20
    assert KernelDistance(candidate, reference).distance() == pytest.approx(expected)


def test_the_kernel_distance_of_alike_sets_is_about_zero_and_of_others_above():
    alike = [KernelDistance(RNG.normal(0, 1, (20, 6)), RNG.normal(0, 1, (20, 6))).distance() for _ in range(200)]
    assert abs(np.mean(alike)) < 4 * np.std(alike) / np.sqrt(200)
    apart = KernelDistance(RNG.normal(1, 1, (20, 6)), RNG.normal(0, 1, (20, 6))).distance()
    assert apart > max(alike)


def test_intervals_of_a_distance_hold_it():
    kernel = KernelDistance(CANDIDATE, REFERENCE)
    value = kernel.distance()
    figures = kernel.resampled(resampling.draws(40, RNG), resampling.draws(30, RNG))
    within = resampling.centred_interval(value, figures)
    assert within is not None
    assert within.low < value < within.high


def test_pieces_that_are_all_the_same():
    same = np.full((6, 4), 0.1, np.float32)
    kernel = KernelDistance(same, same)
    assert kernel.distance() == pytest.approx(0)
    assert frechet(same, same) == pytest.approx(0, abs=1e-9)
    apart = KernelDistance(same + np.float32(1), same).distance()
    assert np.isfinite(apart)
    assert apart > 0
