"""Choice of notes: which notes of a batch are masked, what the masker learns from them, and which notes are frozen.

Arrays are in the places of a row's words; those of notes count at the places of the notes' heads (see `note_masks`).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from t5music.training.note_masking import note_masks
from t5music.training.note_masking.settings import HARDEST, PUBLISHED, Masking
from t5music.training.train_state import Params


class Choice(NamedTuple):
    """The notes of a batch, at the places of their heads.

    Attributes:
        scores: the masker's scores, from 0 to 1, float32 [batch, inputs].
        is_head: True at the heads, bool [batch, inputs].
        allowed: True at the heads of notes that are not frozen, bool [batch, inputs].
        masked: True at the heads of notes that are masked, bool [batch, inputs].
    """

    scores: jax.Array
    is_head: jax.Array
    allowed: jax.Array
    masked: jax.Array


def score(states: jax.Array, params: Params) -> jax.Array:
    """The masker's head, a layer of `wi` and `bi`, a ReLU, and a sigmoid unit of `wo` and `bo`.

    Args:
        states: the encoder's states, [..., d_model].
        params: "wi" [d_model, hidden], "bi" [hidden], "wo" [hidden], "bo" [].

    Returns:
        The score of each place, from 0 to 1, float32 [...].
    """
    hidden = jax.nn.relu(states.astype(jnp.float32) @ params["wi"] + params["bi"])  # [..., hidden]
    return jax.nn.sigmoid(hidden @ params["wo"] + params["bo"])


def choose(
    masking: Masking, scores: jax.Array, is_head: jax.Array, is_open: jax.Array, most_runs: int, key: jax.Array
) -> Choice:
    """Masks the notes with the highest scores of each row.

    Args:
        masking: the share of notes to mask.
        scores: float32 [batch, inputs].
        is_head: bool [batch, inputs].
        is_open: False at the heads of frozen notes, bool [batch, inputs].
        most_runs: the largest number of notes in a row, which is how many runs of masked words can be told apart.
        key: of the shares.
    """
    allowed = is_head & is_open  # [batch, inputs]
    low, high = masking.share
    share = jax.random.uniform(key, (len(scores),), minval=low, maxval=high)  # [batch]
    count = jnp.minimum(
        share * jnp.sum(allowed, axis=1), jnp.minimum(masking.most * jnp.sum(is_head, axis=1), most_runs)
    )  # [batch]
    count = jnp.maximum(jnp.floor(count).astype(jnp.int32), 1)  # at least one, so that every row has targets
    masked = note_masks.highest(jax.lax.stop_gradient(scores), allowed, count)
    return Choice(scores, is_head, allowed, masked)


def teaching_loss(
    masking: Masking, choice: Choice, changed: jax.Array, hardness: jax.Array, key: jax.Array
) -> jax.Array:
    """The masker's loss: the mean over rows of its squared errors on the hardest and on the easiest notes.

    With the paper's labels, the hardest notes are to score 1 and the easiest 0. The published code turns the sign of
    the whole table of losses with every row, and so on every second row asks for something else: notes that were not
    masked are to score 1, and the hardest of the masked ones 0. Which of those it takes is not determined (their losses
    are equal there); here chance draws them. A frozen note has the score 0 there, whatever the masker says.

        hardness of four masked notes   3 1 2 4; two of each count
        paper, and even rows            1 for 4 3, 0 for 1 2
        published, odd rows             1 for two notes that were not masked, 0 for 4 3

    Args:
        masking: how many notes count, and their labels.
        choice: the notes, and the masker's scores.
        changed: True at the heads of notes that had to be recovered, bool [batch, inputs].
        hardness: the loss of each of these notes, float32 [batch, inputs].
        key: of what is drawn by chance.

    Returns:
        float32 [].
    """
    is_published = masking.labels == PUBLISHED
    masked = jnp.sum(choice.masked if is_published else changed, axis=1)  # [batch]
    count = jnp.floor(masking.labelled * masked).astype(jnp.int32)
    count = jnp.where(masked > 1, jnp.maximum(count, 1), 0)  # a single note is neither hard nor easy
    scores = choice.scores
    ones = note_masks.highest(hardness, changed, count)  # [batch, inputs]
    zeros = note_masks.highest(-hardness, changed, count)  # [batch, inputs]
    if is_published:
        chance = jax.random.uniform(key, scores.shape)
        unmasked = note_masks.highest(chance, choice.is_head & ~changed, count)  # [batch, inputs]
        odd = (jnp.arange(len(count)) % 2 == 1)[:, None]  # [batch, 1]
        ones, zeros = jnp.where(odd, unmasked, ones), jnp.where(odd, ones, zeros)
        scores = jnp.where(choice.allowed, scores, 0.0)
    errors = ones * jnp.square(scores - 1) + zeros * jnp.square(scores)  # [batch, inputs]
    return jnp.mean(jnp.sum(errors, axis=1) / jnp.maximum(count, 1))


def freeze(masking: Masking, is_open: jax.Array, choice: Choice, key: jax.Array) -> jax.Array:
    """Freezes some notes of each row and thaws some.

    Args:
        masking: how many notes, and which.
        is_open: False at the heads of notes frozen before, bool [batch, inputs].
        choice: the notes.
        key: of the shares and of what is frozen and thawed by chance.

    Returns:
        False at the heads of notes frozen now, bool [batch, inputs].
    """
    keys = jax.random.split(key, 4)
    rows = (len(choice.masked),)
    low, high = masking.frozen
    share = jax.random.uniform(keys[0], rows, minval=low, maxval=high)  # [batch]
    count = jnp.floor(share * jnp.sum(choice.allowed, axis=1)).astype(jnp.int32)  # [batch]
    scores = choice.scores if masking.freezing == HARDEST else jax.random.uniform(keys[1], choice.scores.shape)
    probability = jax.random.uniform(keys[2], rows, maxval=masking.thawed)[:, None]  # [batch, 1]
    thawed = jax.random.uniform(keys[3], choice.scores.shape) < probability  # [batch, inputs]
    return (is_open & ~note_masks.highest(scores, choice.allowed, count)) | thawed
