"""Note masks: which words make a note, and rows in which whole notes are masked, computed on the model's devices.

All arrays are in the places of a row's words. The place of a note is that of its head, the word with its pitch: scores,
masks or losses of notes are arrays [batch, length] in which the places of the heads count.

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

MASKED, REPLACED = 0.8, 0.1  # BERT's shares of chosen notes: masked, and replaced by others; the rest stays


class Words(NamedTuple):
    """What the vocabulary's ids are to a note.

    Attributes:
        family: the family of each word that belongs to a note, -1 for all others, int32 [rows].
        head: True at the words for a note's pitch, bool [rows].
        leads: True at the words of a note that come before its head, bool [rows].
        bar: True at the words across which no note reaches, bool [rows].
        firsts: the first id of each family, int32 [families].
        sizes: the number of ids of each family, int32 [families].
        sentinel: the id of the first sentinel; the others count down from it.
        sentinels: the number of sentinels.
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
    """Rows in which notes are masked.

    Attributes:
        inputs: the encoder's inputs, int32 [batch, inputs].
        targets: the words to recover, 0 where there is none, int32 [batch, targets].
        sources: the place of each target among the row's words, -1 for sentinels and EOS, int32 [batch, targets].
    """

    inputs: jax.Array
    targets: jax.Array
    sources: jax.Array


def heads(tokens: jax.Array, words: Words) -> jax.Array:
    """Finds the note that each word belongs to.

    Args:
        tokens: int [batch, length].
        words: what the vocabulary's ids are to a note.

    Returns:
        The place of the head of each word's note, -1 for words of no note, int32 [batch, length].
    """
    length = tokens.shape[1]
    places = jnp.arange(length, dtype=jnp.int32)  # [length]
    head = jnp.asarray(words.head)[tokens]  # [batch, length]
    before = jax.lax.cummax(jnp.where(head, places, -1), axis=1)  # [batch, length], the last head so far
    after = jax.lax.cummin(jnp.where(head, places, length), axis=1, reverse=True)  # [batch, length], the next head
    place = jnp.where(jnp.asarray(words.leads)[tokens], after, before)  # [batch, length]
    bars = jnp.cumsum(jnp.asarray(words.bar)[tokens], axis=1)  # [batch, length]
    same_bar = jnp.take_along_axis(bars, jnp.clip(place, 0, length - 1), axis=1) == bars  # [batch, length]
    belongs = (jnp.asarray(words.family)[tokens] >= 0) & (place >= 0) & (place < length) & same_bar
    return jnp.where(belongs, place, -1)


def of_notes(values: jax.Array, notes: jax.Array) -> jax.Array:
    """Spreads values of notes over the notes' words.

    Args:
        values: at the places of heads, [batch, length].
        notes: from `heads`, int32 [batch, length].

    Returns:
        At each word the value of its note, 0 for words of no note, [batch, length].
    """
    spread = jnp.take_along_axis(values, jnp.maximum(notes, 0), axis=1)  # [batch, length]
    return jnp.where(notes >= 0, spread, jnp.zeros_like(spread))


def sums(values: jax.Array, notes: jax.Array, length: int) -> jax.Array:
    """Sums values over each note's words.

    Args:
        values: [batch, n].
        notes: the place of the head that each value belongs to, -1 for none, int32 [batch, n].
        length: of the rows with the heads.

    Returns:
        At each head the sum over its note, 0 elsewhere, [batch, length].
    """
    empty = jnp.zeros(length + 1, values.dtype)  # the last place takes the values of no note
    places = jnp.where(notes >= 0, notes, length)  # [batch, n]
    return jax.vmap(lambda row, row_places: empty.at[row_places].add(row))(values, places)[:, :-1]


def highest(scores: jax.Array, allowed: jax.Array, count: jax.Array) -> jax.Array:
    """Chooses the places with the highest scores; of equal ones the first.

    Args:
        scores: [batch, length].
        allowed: the places to choose from, bool [batch, length].
        count: how many to choose in each row, int [batch].

    Returns:
        bool [batch, length].
    """
    order = jnp.argsort(jnp.where(allowed, -scores, jnp.inf), axis=1, stable=True)  # [batch, length]
    return (jnp.argsort(order, axis=1) < count[:, None]) & allowed


def as_spans(tokens: jax.Array, masked: jax.Array, words: Words, lengths: tuple[int, int]) -> Masked:
    """Span corruption with the masked words as spans: each run of them becomes a sentinel; the targets are the runs.

    Args:
        tokens: int [batch, length], each row with EOS.
        masked: bool [batch, length].
        words: what the vocabulary's ids are to a note.
        lengths: of inputs and targets; longer rows lose their ends.
    """
    inner = (tokens != PAD_ID) & (tokens != EOS_ID)  # [batch, length]
    inputs, _ = _fold(tokens, masked & inner, words, lengths[0])  # [batch, inputs]
    targets, sources = _fold(tokens, ~masked & inner, words, lengths[1])  # [batch, targets] each
    return Masked(inputs, targets, sources)


def in_place(tokens: jax.Array, masked: jax.Array, notes: jax.Array, words: Words, key: jax.Array) -> Masked:
    """BERT's masking of notes: of 10 notes, 8 become <extra_id_0>, word for word, and 1 other words of their families.

    The targets are the true words at the places of masked notes, 0 elsewhere.

    Args:
        tokens: int [batch, length], each row with EOS.
        masked: True at all words of masked notes, bool [batch, length].
        notes: from `heads`, int32 [batch, length].
        words: what the vocabulary's ids are to a note.
        key: of what becomes of each note, and of other words.
    """
    fate_key, words_key = jax.random.split(key)
    fate = of_notes(jax.random.uniform(fate_key, tokens.shape), notes)  # [batch, length], the same in a whole note
    family = jnp.asarray(words.family)[tokens]  # [batch, length]
    numbers = jax.random.randint(words_key, tokens.shape, 0, jnp.maximum(jnp.asarray(words.sizes)[family], 1))
    inputs = jnp.where(fate < MASKED, words.sentinel, jnp.asarray(words.firsts)[family] + numbers)  # [batch, length]
    inputs = jnp.where(masked & (fate < MASKED + REPLACED), inputs, tokens).astype(tokens.dtype)
    places = jnp.broadcast_to(jnp.arange(tokens.shape[1], dtype=jnp.int32), tokens.shape)  # [batch, length]
    return Masked(inputs, jnp.where(masked, tokens, PAD_ID), jnp.where(masked, places, -1))


def shifted(targets: jax.Array) -> jax.Array:
    """The decoder's inputs for targets of one row each: the targets one place later, int32 [batch, targets]."""
    return jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))


def _fold(tokens: jax.Array, dropped: jax.Array, words: Words, length: int) -> tuple[jax.Array, jax.Array]:
    """Replaces each run of dropped tokens by a sentinel.

    Args:
        tokens: int [batch, n].
        dropped: bool [batch, n].
        words: what the vocabulary's ids are to a note.
        length: of the new rows; longer ones lose their ends.

    Returns:
        (the new rows, the place of each of their words among the tokens, -1 for sentinels and EOS),
        int32 [batch, length] each.
    """
    first = dropped & ~jnp.pad(dropped[:, :-1], ((0, 0), (1, 0)))  # [batch, n], where runs begin
    symbols = jnp.where(first, words.sentinel + 1 - jnp.cumsum(first, axis=1), tokens)  # [batch, n]
    remains = (first | ~dropped) & (tokens != PAD_ID)  # [batch, n]
    target_places = jnp.where(remains, jnp.cumsum(remains, axis=1) - 1, length)  # [batch, n]; `length` is left out
    places = jnp.arange(tokens.shape[1], dtype=jnp.int32)  # [n]
    sources = jnp.where(first | (tokens == EOS_ID), -1, places)  # [batch, n]

    def put(fill: int, row: jax.Array, row_places: jax.Array) -> jax.Array:
        return jnp.full(length, fill, jnp.int32).at[row_places].set(row, mode="drop")

    rows = jax.vmap(lambda row, at: put(PAD_ID, row, at))(symbols.astype(jnp.int32), target_places)
    return rows, jax.vmap(lambda row, at: put(-1, row, at))(jnp.broadcast_to(sources, tokens.shape), target_places)
