"""Masks of whole notes, worked out where the model runs: which words make a note, and rows in which notes are masked.

All arrays are in the places of a row's words; a note is known by the place of its head, the word with its pitch. So a
score, a mask or a loss of notes is an array [batch, length] of which the heads' places count.

    words    Bar TimeSig_4/4 Pos_0 Pitch_60 Duration_12 Pitch_64 Duration_6 Pos_12 Pitch_67 Duration_6 </s>
    heads             -      3     3        3           5        5          8      8        8           -
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from t5music.model.config import EOS_ID, PAD_ID

MASKED, CHANGED = 0.8, 0.1  # of chosen notes, as BERT's: shares that are masked, and that become others; the rest stays


class Words(NamedTuple):
    """What the vocabulary's ids are to a note.

    Attributes:
        family: int32 [rows], the family of each word that belongs to a note, -1 for all others.
        head: bool [rows], True at the words that say a note's pitch.
        leads: bool [rows], True at the words of a note that come before its head.
        bar: bool [rows], True at the words that no note reaches across.
        firsts, sizes: int32 [families], the first id of each family, and how many it has.
        sentinel: the id of the first sentinel; the others go down from it.
        sentinels: how many there are.
    """

    family: NDArray[np.int32]
    head: NDArray[np.bool_]
    leads: NDArray[np.bool_]
    bar: NDArray[np.bool_]
    firsts: NDArray[np.int32]
    sizes: NDArray[np.int32]
    sentinel: int
    sentinels: int


class Masked(NamedTuple):
    """Rows in which notes are masked, as the model is asked for them.

    Attributes:
        inputs: int32 [batch, inputs], what the encoder reads.
        targets: int32 [batch, targets], what is to be said; 0 where nothing is.
        sources: int32 [batch, targets], the place of each target among the row's words, -1 for sentinels and the end.
    """

    inputs: jax.Array
    targets: jax.Array
    sources: jax.Array


def heads(tokens: jax.Array, words: Words) -> jax.Array:
    """The place of each word's note (of its head), -1 for words of none: int [batch, length] -> int32, alike."""
    length = tokens.shape[1]
    places = jnp.arange(length, dtype=jnp.int32)
    head = jnp.asarray(words.head)[tokens]
    before = jax.lax.cummax(jnp.where(head, places, -1), axis=1)
    after = jax.lax.cummin(jnp.where(head, places, length), axis=1, reverse=True)
    found = jnp.where(jnp.asarray(words.leads)[tokens], after, before)
    bars = jnp.cumsum(jnp.asarray(words.bar)[tokens], axis=1)
    there = jnp.take_along_axis(bars, jnp.clip(found, 0, length - 1), axis=1) == bars
    belongs = (jnp.asarray(words.family)[tokens] >= 0) & (found >= 0) & (found < length) & there
    return jnp.where(belongs, found, -1)


def of_notes(values: jax.Array, notes: jax.Array) -> jax.Array:
    """What the heads' places say, at each word: [batch, length] and `heads`'s result -> [batch, length], 0 without."""
    spread = jnp.take_along_axis(values, jnp.maximum(notes, 0), axis=1)
    return jnp.where(notes >= 0, spread, jnp.zeros_like(spread))


def sums(values: jax.Array, notes: jax.Array, length: int) -> jax.Array:
    """The sum over each note's words, at its head: [batch, n] and the places of their heads -> [batch, length]."""
    empty = jnp.zeros(length + 1, values.dtype)
    return jax.vmap(lambda row, at: empty.at[at].add(row))(values, jnp.where(notes >= 0, notes, length))[:, :-1]


def highest(scores: jax.Array, allowed: jax.Array, count: jax.Array) -> jax.Array:
    """The `count` [batch] highest of the allowed places of each row: bool [batch, length]; of equal ones the first."""
    order = jnp.argsort(jnp.where(allowed, -scores, jnp.inf), axis=1, stable=True)
    return (jnp.argsort(order, axis=1) < count[:, None]) & allowed


def as_spans(tokens: jax.Array, masked: jax.Array, words: Words, lengths: tuple[int, int]) -> Masked:
    """Span corruption with these spans: runs of masked words become sentinels, and the targets say what they were.

    Args:
        tokens: int [batch, length], each row with EOS.
        masked: bool [batch, length].
        words: see Words.
        lengths: of inputs and targets; what is longer loses its end.
    """
    inner = (tokens != PAD_ID) & (tokens != EOS_ID)
    inputs, _ = _fold(tokens, masked & inner, words, lengths[0])
    targets, sources = _fold(tokens, ~masked & inner, words, lengths[1])
    return Masked(inputs, targets, sources)


def in_place(tokens: jax.Array, masked: jax.Array, notes: jax.Array, words: Words, key: jax.Array) -> Masked:
    """BERT's masking of these notes: 8 in 10 become <extra_id_0>, word for word, 1 other words of their families.

    Targets are the true words at the places of masked notes, 0 elsewhere.
    """
    draw, other = jax.random.split(key)
    fate = of_notes(jax.random.uniform(draw, tokens.shape), notes)
    family = jnp.asarray(words.family)[tokens]
    numbers = jax.random.randint(other, tokens.shape, 0, jnp.maximum(jnp.asarray(words.sizes)[family], 1))
    inputs = jnp.where(fate < MASKED, words.sentinel, jnp.asarray(words.firsts)[family] + numbers)
    inputs = jnp.where(masked & (fate < MASKED + CHANGED), inputs, tokens).astype(tokens.dtype)
    places = jnp.broadcast_to(jnp.arange(tokens.shape[1], dtype=jnp.int32), tokens.shape)
    return Masked(inputs, jnp.where(masked, tokens, PAD_ID), jnp.where(masked, places, -1))


def shifted(targets: jax.Array) -> jax.Array:
    """What a decoder reads to say these targets: [batch, targets], one place later."""
    return jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))


def _fold(tokens: jax.Array, dropped: jax.Array, words: Words, length: int) -> tuple[jax.Array, jax.Array]:
    """The tokens with each run of dropped ones as one sentinel, [batch, length], and the place of each token kept."""
    first = dropped & ~jnp.pad(dropped[:, :-1], ((0, 0), (1, 0)))
    written = jnp.where(first, words.sentinel + 1 - jnp.cumsum(first, axis=1), tokens)
    kept = (first | ~dropped) & (tokens != PAD_ID)
    at = jnp.where(kept, jnp.cumsum(kept, axis=1) - 1, length)  # beyond the end: left out
    places = jnp.arange(tokens.shape[1], dtype=jnp.int32)
    source = jnp.where(first | (tokens == EOS_ID), -1, places)

    def put(fill: int, row: jax.Array, where: jax.Array) -> jax.Array:
        return jnp.full(length, fill, jnp.int32).at[where].set(row, mode="drop")

    folded = jax.vmap(lambda row, where: put(PAD_ID, row, where))(written.astype(jnp.int32), at)
    return folded, jax.vmap(lambda row, where: put(-1, row, where))(jnp.broadcast_to(source, tokens.shape), at)
