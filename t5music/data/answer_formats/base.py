"""What every format of answers has, and how ids are looked up."""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, PAD_ID, Ids, Vocabulary
from t5music.errors import ConfigError
from t5music.music.encodings.grammar import UNBOUNDED as UNBOUNDED

Array = Any  # of NumPy or JAX
State = Any


@dataclass(frozen=True)
class Format(abc.ABC):
    """The form of an answer. Every answer ends with EOS, which is legal exactly where the form is complete.

    No state is a dead end: some id is always legal. An answer that would not fit `max_length` is steered to its end.
    """

    vocabulary: Vocabulary

    @abc.abstractmethod
    def start(self, inputs: ArrayLike, max_length: int) -> State:
        """The state before the answers to int [batch, source] inputs, of `max_length` ids at most, EOS included."""

    @abc.abstractmethod
    def allowed(self, state: State, xp: Any) -> Array:
        """bool [batch, vocabulary.size]: the ids that may come next. After EOS it means nothing."""

    @abc.abstractmethod
    def advance(self, state: State, ids: Array, xp: Any) -> State:
        """The state after one more id a row, int [batch], legal or not."""

    def stand_ins(self, state: State, xp: Any) -> tuple[Array, Array] | None:
        """Ids that stand for another one; see `Promised.stand_ins`. None where there never are any."""
        del state, xp
        return None

    def check(self, inputs: ArrayLike, answers: Sequence[ArrayLike], max_length: int = UNBOUNDED) -> NDArray[np.int64]:
        """Where each answer (ids without EOS) first breaks the form: int64 [batch], -1 for one that does not.

        The answer's own length stands for an end that comes too soon. `max_length`: ids that there was room for.
        """
        rows = [np.append(np.asarray(answer, np.int32), np.int32(EOS_ID)) for answer in answers]
        lengths = np.array([len(row) for row in rows], int)
        ids = np.zeros((len(rows), lengths.max(initial=0)), np.int32)
        for row, answer in zip(ids, rows, strict=True):
            row[: len(answer)] = answer
        state = self.start(inputs, max_length)
        first = np.full(len(rows), -1)
        for step in range(ids.shape[1]):
            legal = self.allowed(state, np)[np.arange(len(rows)), ids[:, step]]
            wrong = ~legal & (first < 0) & (step < lengths)
            first[wrong] = step
            state = self.advance(state, ids[:, step], np)
        return first

    def _mask(self, end: Array, parts: Sequence[Array], xp: Any) -> Array:
        """bool [batch, size] of `end` [batch], whether EOS is legal, and what is legal of the bytes and all later ids.

        parts: bool [batch, n] or ints (so many ids that are not legal), in the order of the ids.
        """
        batch = end.shape[0]
        no = functools.partial(xp.zeros, dtype=bool)
        special = [no((batch, EOS_ID)), end[:, None], no((batch, FIRST_BYTE - EOS_ID - 1))]
        return xp.concatenate(
            [*special, *(no((batch, part)) if isinstance(part, int) else part for part in parts)], axis=1
        )


def before_eos(inputs: Ids) -> NDArray[np.bool_]:
    """True [batch, source] at the ids before each row's first EOS or padding."""
    return np.logical_and.accumulate((inputs != EOS_ID) & (inputs != PAD_ID), axis=1)


def require_single_ids(vocabulary: Vocabulary, words: Sequence[str]) -> None:
    """Raises ConfigError for a word that is not one id."""
    for word in words:
        if len(vocabulary.encode(word)) != 1:
            raise ConfigError(f"{word!r} must be one id of the vocabulary: an event word, a note label or a sentinel")


def mask_of(vocabulary: Vocabulary, words: Sequence[str]) -> NDArray[np.bool_]:
    """bool [size], True at the ids of words of one id each."""
    mask = np.zeros(vocabulary.size, bool)
    for word in words:
        mask[vocabulary.encode(word)] = True
    return mask
