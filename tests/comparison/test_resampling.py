"""Resampling: intervals of which the coverage and the limits are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from t5music.comparison import resampling


def test_an_interval_of_a_mean_is_about_two_standard_errors_wide():
    values = np.random.default_rng(0).normal(3, 2, 100)
    within = resampling.interval(resampling.means(values, resampling.draws(100, np.random.default_rng(1))))
    assert within is not None
    error = values.std() / 10
    assert within.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert within.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_pieces_without_a_value_do_not_count():
    weights = np.array([[1.0, 1, 1], [0, 3, 0], [3, 0, 0]])
    means = resampling.means(np.array([2, math.nan, 4]), weights)
    assert means[[0, 2]].tolist() == [3, 2]
    assert math.isnan(means[1])
    assert resampling.interval(np.array([1.0, math.nan])) is None
    assert resampling.interval(np.full(5, math.inf)) is None


def test_a_centred_interval_is_within_its_limits():
    figures = np.linspace(0.5, 0.9, 1001)
    within = resampling.centred_interval(0.95, figures, 0, 1)
    assert within is not None
    assert within.low == pytest.approx(0.95 - 0.19, abs=1e-3)
    assert within.high == 1


def test_draws_are_the_same_for_a_seed_and_add_up():
    one, other, another = (resampling.draws(9, np.random.default_rng(seed), 50) for seed in (1, 1, 2))
    assert (one == other).all()
    assert (one != another).any()
    assert (one.sum(axis=1) == 9).all()
