"""Schedules of the learning rate: functions step -> rate, usable as optax schedules.

`step` is the number of updates before this one. It may be a Python int or an integer array; the rate is a float32 array
of its shape. Schedules of one formula with the same numbers are equal, so that trainings with equal settings share one
compiled step (`training.pieces`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from t5music.errors import ConfigError

Schedule = Callable[[ArrayLike], jax.Array]


@dataclasses.dataclass(frozen=True)
class _Formula:
    """A schedule: a formula of the step as a float32 array, and the numbers that it is called with."""

    formula: Callable[..., jax.Array]
    numbers: tuple[float, ...]

    def __call__(self, step: ArrayLike) -> jax.Array:
        return self.formula(jnp.asarray(step, jnp.float32), *self.numbers)


def truncated_rsqrt(warmup_steps: int = 10_000) -> Schedule:
    """1 / sqrt(max(step, warmup_steps)): T5's pre-training rate, constant 0.01 for the first 10,000 steps."""
    _require(warmup_steps > 0, f"truncated_rsqrt.warmup_steps is {warmup_steps}; it must be at least 1")
    return _Formula(_truncated_rsqrt, (warmup_steps,))


def constant(rate: float = 1e-3) -> Schedule:
    """The same rate at every step; T5 fine-tunes at 0.001."""
    return _Formula(jnp.full_like, (rate,))


def warmup_rsqrt(peak: float, warmup_steps: int) -> Schedule:
    """Linear from 0 to `peak` at `warmup_steps`, then peak * sqrt(warmup_steps / step)."""
    _require(warmup_steps > 0, f"warmup_rsqrt.warmup_steps is {warmup_steps}; it must be at least 1")
    return _Formula(_warmup_rsqrt, (peak, warmup_steps))


def warmup_linear(peak: float, warmup_steps: int, total_steps: int, final: float = 0.0) -> Schedule:
    """Linear from 0 to `peak` at `warmup_steps`, then linear to `final` at `total_steps`, then constant."""
    _require_order("warmup_linear", warmup_steps, total_steps)
    return _Formula(_warmup_linear, (peak, warmup_steps, total_steps, final))


def warmup_cosine(peak: float, warmup_steps: int, total_steps: int, final: float = 0.0) -> Schedule:
    """Linear from 0 to `peak` at `warmup_steps`, then half a cosine to `final` at `total_steps`, then constant."""
    _require_order("warmup_cosine", warmup_steps, total_steps)
    return _Formula(_warmup_cosine, (peak, warmup_steps, total_steps, final))


def _truncated_rsqrt(step: jax.Array, warmup_steps: int) -> jax.Array:
    return 1.0 / jnp.sqrt(jnp.maximum(step, warmup_steps))


def _warmup_rsqrt(step: jax.Array, peak: float, warmup_steps: int) -> jax.Array:
    return peak * jnp.minimum(step / warmup_steps, jnp.sqrt(warmup_steps / jnp.maximum(step, warmup_steps)))


def _warmup_linear(step: jax.Array, *numbers: float) -> jax.Array:
    return _warmup_then(lambda share: 1.0 - share, step, *numbers)


def _warmup_cosine(step: jax.Array, *numbers: float) -> jax.Array:
    return _warmup_then(lambda share: 0.5 * (1.0 + jnp.cos(jnp.pi * share)), step, *numbers)


def _warmup_then(
    decay: Callable[[jax.Array], jax.Array],
    step: jax.Array,
    peak: float,
    warmup_steps: float,
    total_steps: float,
    final: float,
) -> jax.Array:
    """`decay` maps the share of the steps after the warm-up, in [0, 1], to the share of (peak - final) that is left."""
    share = jnp.clip((step - warmup_steps) / (total_steps - warmup_steps), 0.0, 1.0)
    decayed = final + (peak - final) * decay(share)
    return jnp.where(step < warmup_steps, peak * step / max(warmup_steps, 1), decayed)


def _require_order(name: str, warmup_steps: int, total_steps: int) -> None:
    _require(
        0 <= warmup_steps < total_steps,
        f"{name}.warmup_steps is {warmup_steps} and total_steps is {total_steps}; the first must be the smaller",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
