"""Learning rates: functions step -> rate, usable as optax schedules.

`step` counts finished updates, from 0, and may be a Python int or a traced integer array; the rate is a float32 array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from t5music.errors import ConfigError

Schedule = Callable[[Any], jax.Array]


def truncated_rsqrt(warmup_steps: int = 10_000) -> Schedule:
    """1 / sqrt(max(step, warmup_steps)): T5's pre-training rate, flat at 0.01 for its 10,000 first steps, no ramp."""
    _require(warmup_steps > 0, f"truncated_rsqrt.warmup_steps is {warmup_steps}; it must be at least 1")
    return lambda step: 1.0 / jnp.sqrt(jnp.maximum(_float(step), warmup_steps))


def constant(rate: float = 1e-3) -> Schedule:
    """The same rate at every step; T5 fine-tunes at 0.001."""
    return lambda step: jnp.full(jnp.shape(step), rate, jnp.float32)


def warmup_rsqrt(peak: float, warmup_steps: int) -> Schedule:
    """A line from 0 to `peak` at `warmup_steps`, then peak * sqrt(warmup_steps / step)."""
    _require(warmup_steps > 0, f"warmup_rsqrt.warmup_steps is {warmup_steps}; it must be at least 1")

    def rate(step: Any) -> jax.Array:
        step = _float(step)
        return peak * jnp.minimum(step / warmup_steps, jnp.sqrt(warmup_steps / jnp.maximum(step, warmup_steps)))

    return rate


def warmup_linear(peak: float, warmup_steps: int, total_steps: int, final: float = 0.0) -> Schedule:
    """A line from 0 to `peak` at `warmup_steps`, then a line to `final` at `total_steps`, which stays."""
    return _warmup_then(lambda done: 1.0 - done, "warmup_linear", peak, warmup_steps, total_steps, final)


def warmup_cosine(peak: float, warmup_steps: int, total_steps: int, final: float = 0.0) -> Schedule:
    """A line from 0 to `peak` at `warmup_steps`, then half a cosine to `final` at `total_steps`, which stays."""
    return _warmup_then(
        lambda done: 0.5 * (1.0 + jnp.cos(jnp.pi * done)), "warmup_cosine", peak, warmup_steps, total_steps, final
    )


def _warmup_then(
    shape: Callable[[jax.Array], jax.Array], name: str, peak: float, warmup_steps: int, total_steps: int, final: float
) -> Schedule:
    """`shape` maps the share of the decay that is done, in [0, 1], to the share of (peak - final) that remains."""
    _require(
        0 <= warmup_steps < total_steps,
        f"{name}.warmup_steps is {warmup_steps} and total_steps {total_steps}; the first must be the smaller",
    )

    def rate(step: Any) -> jax.Array:
        step = _float(step)
        done = jnp.clip((step - warmup_steps) / (total_steps - warmup_steps), 0.0, 1.0)
        decayed = final + (peak - final) * shape(done)
        return jnp.where(step < warmup_steps, peak * step / max(warmup_steps, 1), decayed)

    return rate


def _float(step: Any) -> jax.Array:
    return jnp.asarray(step, jnp.float32)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
