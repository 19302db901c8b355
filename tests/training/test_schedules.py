"""Rates: golden values of the T5 papers' schedules, and optax's own schedules as the oracle of the others."""

import jax
import numpy as np
import optax
import pytest

from t5music.errors import ConfigError
from t5music.training import schedules


def test_truncated_rsqrt_is_flat_then_falls():
    rate = schedules.truncated_rsqrt()
    for step, expected in [(0, 0.01), (1, 0.01), (10_000, 0.01), (40_000, 0.005), (1_000_000, 0.001)]:
        np.testing.assert_allclose(rate(step), expected, rtol=1e-6)
    np.testing.assert_allclose(schedules.truncated_rsqrt(100)(25), 0.1, rtol=1e-6)


def test_constant_is_the_fine_tuning_rate():
    np.testing.assert_allclose([schedules.constant()(step) for step in (0, 10**6)], 0.001, rtol=1e-7)


def test_warmup_rsqrt_meets_its_peak():
    rate = schedules.warmup_rsqrt(0.5, 100)
    for step, expected in [(0, 0.0), (50, 0.25), (100, 0.5), (400, 0.25)]:
        np.testing.assert_allclose(rate(step), expected, rtol=1e-6)


@pytest.mark.parametrize("step", [0, 1, 9, 10, 11, 57, 100, 500])
def test_warmup_cosine_and_linear_equal_optax(step):
    cosine = optax.warmup_cosine_decay_schedule(0.0, 3.0, 10, 100, end_value=0.3)
    linear = optax.warmup_constant_schedule(0.0, 3.0, 10)
    np.testing.assert_allclose(schedules.warmup_cosine(3.0, 10, 100, final=0.3)(step), cosine(step), rtol=1e-5)
    if step <= 10:
        np.testing.assert_allclose(schedules.warmup_linear(3.0, 10, 100)(step), linear(step), rtol=1e-6)
    else:
        expected = optax.linear_schedule(3.0, 0.3, 90)(step - 10)
        np.testing.assert_allclose(schedules.warmup_linear(3.0, 10, 100, final=0.3)(step), expected, rtol=1e-5)


def test_no_warmup_starts_at_the_peak():
    np.testing.assert_allclose(schedules.warmup_cosine(2.0, 0, 10)(0), 2.0)


@pytest.mark.parametrize(
    "rate",
    [
        schedules.truncated_rsqrt(),
        schedules.constant(0.1),
        schedules.warmup_rsqrt(1.0, 10),
        schedules.warmup_linear(1.0, 5, 20),
        schedules.warmup_cosine(1.0, 5, 20),
    ],
)
def test_a_traced_step_gives_the_same_float32(rate):
    for step in (0, 3, 12, 99):
        traced = jax.jit(rate)(np.int32(step))
        assert traced.dtype == np.float32
        np.testing.assert_allclose(traced, rate(step), rtol=1e-6)


@pytest.mark.parametrize("make", [lambda: schedules.warmup_cosine(1.0, 20, 20), lambda: schedules.truncated_rsqrt(0)])
def test_impossible_steps_are_config_errors(make):
    with pytest.raises(ConfigError, match="warmup_steps"):
        make()
