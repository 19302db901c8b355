"""Recovery of masked notes: the recoverer's loss on a batch, and how hard each note was to recover."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from t5music.model.config import PAD_ID
from t5music.model.network import T5
from t5music.training.losses import LossSums, token_losses
from t5music.training.note_masking import note_masks
from t5music.training.note_masking.note_masks import Words


class Recovery(NamedTuple):
    """How well the recoverer recovered the notes of a batch.

    Attributes:
        sums: over the batch, weighted by families.
        changed: True at the heads of masked notes that the inputs do not show, bool [batch, inputs].
        hardness: the loss of each masked note, at its head, float32 [batch, inputs].
        correct: words recovered, float32 [families].
        total: words masked, float32 [families].
    """

    sums: LossSums
    changed: jax.Array
    hardness: jax.Array
    correct: jax.Array
    total: jax.Array


def recover(
    model: T5,
    tokens: jax.Array,
    notes: jax.Array,
    masked: jax.Array,
    words: Words,
    weights: jax.Array,
    lengths: tuple[int, int],
    keys: jax.Array,
    *,
    z_loss: float,
    deterministic: bool = False,
) -> Recovery:
    """Recovers masked notes: as spans with an encoder-decoder, in place with an encoder alone.

    Args:
        model: the recoverer.
        tokens: the music, int32 [batch, inputs], each row with EOS.
        notes: from `note_masks.heads`, int32 [batch, inputs].
        masked: True at the heads of masked notes, bool [batch, inputs].
        words: what the vocabulary's ids are to a note.
        weights: of the families' words, float32 [families].
        lengths: row lengths of inputs and targets.
        keys: two random keys, of the masks and of dropout.
        z_loss: see `losses`.
        deterministic: without dropout.
    """
    in_place = model.config.encoder_only
    in_masked = note_masks.of_notes(masked, notes)  # [batch, inputs]
    if in_place:
        rows = note_masks.in_place(tokens, in_masked, notes, words, keys[0])
        logits = model(rows.inputs, None, deterministic=deterministic, rngs=keys[1])  # [batch, targets, rows]
    else:
        rows = note_masks.as_spans(tokens, in_masked, words, lengths)
        decoder_inputs = note_masks.shifted(rows.targets)  # [batch, targets]
        logits = model(rows.inputs, decoder_inputs, deterministic=deterministic, rngs=keys[1])  # [batch, targets, rows]
    losses = token_losses(logits, rows.targets, z_loss=z_loss)  # [batch, targets] each
    is_target = (rows.targets != PAD_ID).astype(jnp.float32)  # [batch, targets]
    family = jnp.asarray(words.family)[rows.targets]  # [batch, targets]
    target_weights = is_target * jnp.where(family >= 0, weights[family], 1.0)  # [batch, targets]
    sums = LossSums(
        loss=jnp.sum(losses.loss * target_weights),
        z_loss=jnp.sum(losses.z_loss * target_weights),
        weight=jnp.sum(is_target),
        correct=jnp.sum(losses.correct * is_target),
    )
    of_family = jax.nn.one_hot(family, len(weights)) * is_target[..., None]  # [batch, targets, families]
    sources = jnp.maximum(rows.sources, 0)
    note = jnp.where(rows.sources >= 0, jnp.take_along_axis(notes, sources, axis=1), -1)  # [batch, targets]
    # In place, a tenth of the chosen notes stay as they were; their loss does not say how hard they are to recover.
    changed = masked & (rows.inputs != tokens) if in_place else masked  # [batch, inputs]
    hardness = note_masks.sums(losses.loss * target_weights, note, tokens.shape[1])  # [batch, inputs]
    return Recovery(
        sums,
        changed,
        jax.lax.stop_gradient(hardness),
        jnp.sum(of_family * losses.correct[..., None], axis=(0, 1)),
        jnp.sum(of_family, axis=(0, 1)),
    )
