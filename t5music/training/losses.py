"""Losses: T5's cross entropy summed over target tokens, with z-loss and label smoothing (T5X's `losses`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from t5music.model.network import T5

Z_LOSS = 1e-4  # the coefficient of T5X and Mesh TensorFlow for pre-training and fine-tuning


class LossSums(NamedTuple):
    """Sums over the weighted target tokens of a batch, float32 [] each.

    `loss`, `z_loss` and `correct` divided by `weight` are means per token. `loss` includes `z_loss`, as in T5X: their
    difference is the cross entropy in nats.

    Attributes:
        loss: in nats, z-loss included.
        z_loss: the z-loss in it.
        weight: sum of the weights.
        correct: tokens that are the likeliest.
    """

    loss: jax.Array
    z_loss: jax.Array
    weight: jax.Array
    correct: jax.Array


class TokenLosses(NamedTuple):
    """The loss of every target token, without weights.

    Attributes:
        loss: in nats, z-loss included, float32 [batch, length].
        z_loss: the z-loss in it, float32 [batch, length].
        correct: whether the token is the likeliest, bool [batch, length].
    """

    loss: jax.Array
    z_loss: jax.Array
    correct: jax.Array


def token_losses(
    logits: jax.Array, targets: jax.Array, *, z_loss: float = Z_LOSS, label_smoothing: float = 0.0
) -> TokenLosses:
    """Returns each token's loss as T5X's `compute_weighted_cross_entropy` computes it.

    A token's loss is log Z - logit[target] + z_loss * (log Z)^2, where Z is the softmax normaliser over all rows. Its
    gradient, (1 + 2 * z_loss * log Z) * softmax - onehot, comes from automatic differentiation and equals T5X's
    hand-written one. With label smoothing s, the target distribution is 1 - s on the target and s / (rows - 1)
    elsewhere; its entropy is subtracted, so that a perfect prediction has the loss 0.

    Args:
        logits: [batch, length, rows] of any float type; the loss is computed in float32.
        targets: [batch, length] integers in [0, rows).
        z_loss: coefficient of log^2 Z.
        label_smoothing: in [0, 1).
    """
    logits = logits.astype(jnp.float32)  # [batch, length, rows]
    rows = logits.shape[-1]
    log_z = jax.nn.logsumexp(logits, axis=-1)  # [batch, length]
    # A comparison with an iota, unlike a gather, is element-wise and so is its gradient: logits sharded over the
    # vocabulary are never collected on one device.
    is_target = jax.lax.broadcasted_iota(targets.dtype, logits.shape, logits.ndim - 1) == targets[..., None]
    target_logit = jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)  # [batch, length]
    if label_smoothing:
        on = 1.0 - label_smoothing
        off = label_smoothing / (rows - 1)
        entropy = -(on * math.log(on) + (rows - 1) * off * math.log(off))
        loss = log_z - (on - off) * target_logit - off * jnp.sum(logits, axis=-1) - entropy  # [batch, length]
    else:
        loss = log_z - target_logit  # [batch, length]
    z = z_loss * jnp.square(log_z)  # [batch, length]
    return TokenLosses(loss + z, z, jnp.argmax(logits, axis=-1) == targets)


def cross_entropy(logits: jax.Array, targets: jax.Array, weights: jax.Array, **options: float) -> LossSums:
    """Returns the weighted sums of `token_losses` over a batch.

    Args:
        logits: [batch, length, rows] of any float type.
        targets: [batch, length] integers in [0, rows).
        weights: [batch, length] float; 0 leaves a position out.
        options: `z_loss` and `label_smoothing`, see `token_losses`.
    """
    tokens = token_losses(logits, targets, **options)  # [batch, length] each
    weights = weights.astype(jnp.float32)  # [batch, length]
    return LossSums(
        loss=jnp.sum(tokens.loss * weights),
        z_loss=jnp.sum(tokens.z_loss * weights),
        weight=jnp.sum(weights),
        correct=jnp.sum(tokens.correct * weights),
    )


def logits_of(model: T5, batch: Mapping[str, jax.Array], key: jax.Array | None = None) -> jax.Array:
    """Returns the logits of a batch.

    Args:
        model: the model.
        batch: from the loader, packed or not; for a decoder-only model from a loader with `decoder_only`, for an
            encoder alone from one with `head`.
        key: of dropout; None for none.

    Returns:
        [batch, targets, rows].
    """
    return model(
        batch.get("encoder_input_tokens"),
        batch.get("decoder_input_tokens"),
        encoder_segment_ids=batch.get("encoder_segment_ids"),
        decoder_segment_ids=batch.get("decoder_segment_ids"),
        decoder_causal_attention=batch.get("decoder_causal_attention"),
        deterministic=key is None,
        rngs=key,
    )


def teacher_forced(
    model: T5, batch: Mapping[str, jax.Array], key: jax.Array | None = None, **options: float
) -> LossSums:
    """Returns the loss sums of a batch under teacher forcing.

    Args:
        model: the model.
        batch: see `logits_of`.
        key: of dropout; None for none.
        options: `z_loss` and `label_smoothing`, see `token_losses`.
    """
    logits = logits_of(model, batch, key)  # [batch, targets, rows]
    return cross_entropy(logits, batch["decoder_target_tokens"], batch["decoder_loss_weights"], **options)
