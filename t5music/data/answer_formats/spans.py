"""Spans: answers that are sentinels in order, each with the words of its span."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.data.answer_formats.base import Array, Format, before_eos
from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, PAD_ID
from t5music.music.encodings.grammar import fits, int32s


class SpansState(NamedTuple):
    """int32 [batch] each."""

    room: Array  # ids that may still be written, without EOS
    number: Array  # sentinels so far
    sentinels: Array  # in the whole answer
    owed: Array  # 1 where a word must come before anything else may
    begun: Array  # 1 where words may come
    bare: Array  # 1 where the last sentinel has no words


@dataclass(frozen=True)
class Spans(Format):
    """Sentinels in order, each followed by one word or more.

    Attributes:
        encoding: name of the encoding whose words fill the spans; None for any text.
        denoising: the answer is the inputs' other half, as in `objectives`: a sentinel stands for each part of the text
            that is in the inputs, so where the inputs begin with a sentinel the answer begins with words, and where
            they do not end with one the answer ends with a sentinel. Otherwise there is one sentinel for each of the
            inputs'.
    """

    encoding: str | None = None
    denoising: bool = True

    @functools.cached_property
    def _words(self) -> NDArray[np.bool_]:
        """bool [size - FIRST_BYTE - sentinels], True at the ids that may fill a span."""
        stop = self.vocabulary.size - self.vocabulary.sentinels
        every = np.ones(stop, bool) if self.encoding is None else self.vocabulary.event_mask(self.encoding)
        return every[FIRST_BYTE:stop]

    def start(self, inputs: ArrayLike, max_length: int) -> SpansState:
        inputs = np.asarray(inputs)
        is_sentinel = (inputs >= self.vocabulary.size - self.vocabulary.sentinels) & before_eos(inputs)
        sentinels = is_sentinel.sum(axis=1)
        lead = bare = np.zeros(len(inputs), bool)
        if self.denoising:
            lengths = before_eos(inputs).sum(axis=1)
            rows = np.arange(len(inputs))
            lead = is_sentinel[:, 0]
            bare = (sentinels > 0) & ~is_sentinel[rows, np.maximum(lengths - 1, 0)]
            sentinels = sentinels - lead + bare  # parts of the inputs: one more than sentinels, less empty ones
        batch = len(inputs)
        begin = int32s(batch, lead)
        return SpansState(
            int32s(batch, max_length - 1), int32s(batch, 0), int32s(batch, sentinels), begin, begin, int32s(batch, bare)
        )

    def allowed(self, state: SpansState, xp: Any) -> Array:
        left = state.sentinels - state.number
        rest = 2 * left - state.bare * (left > 0)  # words and sentinels still to come after the span that is begun
        needed = rest + state.owed
        word = (state.begun == 1) & fits(rest, needed, state.room, xp)
        sentinel = (left > 0) & (state.owed == 0)
        numbers = np.arange(self.vocabulary.sentinels)[::-1]  # of the last ids
        next_one = sentinel[:, None] & (numbers == state.number[:, None])
        end = (needed == 0) | (state.room <= 0)
        return self._mask(end, [self._words & word[:, None], next_one], xp)

    def advance(self, state: SpansState, ids: Array, xp: Any) -> SpansState:
        sentinel = ids >= self.vocabulary.size - self.vocabulary.sentinels
        word = ~sentinel & (ids != PAD_ID) & (ids != EOS_ID)
        number = state.number + sentinel
        full = 1 - state.bare * (number >= state.sentinels)  # 0 at a sentinel that has no words
        return SpansState(
            state.room - (sentinel | word),
            number,
            state.sentinels,
            xp.where(sentinel, full, state.owed * ~word),
            xp.where(sentinel, full, state.begun),
            state.bare,
        )
