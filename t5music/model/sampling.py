"""Sampling: which token comes next, by temperature, top-k, top-p and min-p or greedily."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Mode(NamedTuple):
    """What is compiled into a program: what is False leaves its work out of the loop.

    Attributes:
        draws: tokens are drawn; otherwise the likeliest is taken, and nothing else counts.
        sorts: by top-k or top-p.
        has_floor: by min-p.
    """

    draws: bool = False
    sorts: bool = False
    has_floor: bool = False


GREEDY = Mode()


class SamplingSettings(NamedTuple):
    """How to sample, as scalars of the compiled program.

    Attributes:
        temperature: float32 [], what logits are divided by.
        top_k: int32 [], as many of the likeliest tokens are left to choose among.
        top_p: float32 [], the probability that those left have together.
        min_p: float32 [], the least probability of those left, as a share of the greatest.
    """

    temperature: np.float32 | jax.Array
    top_k: np.int32 | jax.Array
    top_p: np.float32 | jax.Array
    min_p: np.float32 | jax.Array


def next_tokens(
    logits: jax.Array, row_keys: jax.Array, step: jax.Array | int, settings: SamplingSettings, mode: Mode
) -> jax.Array:
    """Chooses a token for every row.

    Args:
        logits: float32 [batch, vocab_size]; -inf where a token may not come.
        row_keys: random key of every row, [batch].
        step: number of the step, which is folded into the keys.
        settings: of the sampling; not read when greedy.
        mode: which of the settings count.

    Returns:
        int32 [batch].
    """
    if not mode.draws:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    logits = logits / settings.temperature
    if mode.sorts:
        logits = filter_top_k_top_p(logits, settings.top_k, settings.top_p)
    if mode.has_floor:
        logits = filter_min_p(logits, settings.min_p)
    step_keys = jax.vmap(jax.random.fold_in, (0, None))(row_keys, step)  # [batch]
    return jax.vmap(jax.random.categorical)(step_keys, logits).astype(jnp.int32)


def filter_top_k_top_p(
    logits: jax.Array, top_k: int | np.int32 | jax.Array, top_p: float | np.float32 | jax.Array
) -> jax.Array:
    """Sets to -inf what is not among the `top_k` likeliest, or not needed to reach probability `top_p` among them.

    What is exactly as likely as the last one left is left too; at least one stays. [batch, vocab_size] -> the same.
    """
    ordered = -jnp.sort(-logits, axis=-1)  # [batch, vocab_size], likeliest first
    ranks = jnp.arange(logits.shape[-1])
    among = jnp.where(ranks < top_k, ordered, -jnp.inf)
    probabilities = jax.nn.softmax(among, axis=-1)
    likelier = jnp.cumsum(probabilities, axis=-1) - probabilities  # probability of all that come before
    stays = (likelier < top_p) & (ranks < top_k)
    least = jnp.min(jnp.where(stays, ordered, jnp.inf), axis=-1, keepdims=True)  # [batch, 1]
    return jnp.where(logits >= least, logits, -jnp.inf)


def filter_min_p(logits: jax.Array, min_p: float | np.float32 | jax.Array) -> jax.Array:
    """Sets to -inf what is less probable than `min_p` times the likeliest. [batch, vocab_size] -> the same.

    Where the model is sure, few tokens are left, and many where it is not (Nguyen et al., "Turning up the heat: min-p
    sampling for creative and coherent LLM outputs", ICLR 2025). The likeliest always stays.
    """
    least = jnp.max(logits, axis=-1, keepdims=True) + jnp.log(min_p)  # [batch, 1]
    return jnp.where(logits >= least, logits, -jnp.inf)
