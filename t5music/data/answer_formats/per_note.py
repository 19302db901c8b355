"""PerNote: answers with one word for each note of the input."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.data.answer_formats.base import Array, Format, before_eos, mask_of, require_single_ids
from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, PAD_ID
from t5music.errors import ConfigError, DataError
from t5music.music.encodings.grammar import int32s


class PerNoteState(NamedTuple):
    notes: Array  # int32 [batch, most], their words, which end with the row
    left: Array  # int32 [batch], ids that are still to be written, two for each note


@dataclass(frozen=True)
class PerNote(Format):
    """The word of each note of the inputs, and after it one word of a few (`objectives.EchoNotes`).

    Attributes:
        words: the answer words, each of which must be one id.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words:
            raise ConfigError("answers per note need words to choose from, and there are none")
        require_single_ids(self.vocabulary, self.words)

    @functools.cached_property
    def _legal(self) -> NDArray[np.bool_]:
        """bool [size], True at the answer words."""
        return mask_of(self.vocabulary, self.words)

    def longest(self, inputs: ArrayLike) -> int:
        """How many ids the longest answer to one of the inputs has, EOS included."""
        return 2 * int(self._is_note(np.asarray(inputs)).sum(axis=1).max(initial=0)) + 1

    def start(self, inputs: ArrayLike, max_length: int) -> PerNoteState:
        """As `Format.start`. Raises DataError for a row with more notes than an answer has room for."""
        inputs = np.asarray(inputs)
        is_note = self._is_note(inputs)
        counts = is_note.sum(axis=1)
        if (2 * counts >= max_length).any():
            row = int(np.argmax(counts))
            raise DataError(f"row {row} has {counts[row]} notes, two words each: too many for max_length {max_length}")
        notes = np.full((len(inputs), max(1, counts.max(initial=0))), EOS_ID, np.int32)
        for row, words, noted in zip(notes, inputs, is_note, strict=True):
            row[len(row) - noted.sum() :] = words[noted]
        return PerNoteState(notes, int32s(len(inputs), 2 * counts))

    def allowed(self, state: PerNoteState, xp: Any) -> Array:
        most = state.notes.shape[1]
        place = xp.clip(most - (state.left + 1) // 2, 0, most - 1)
        note = xp.take_along_axis(state.notes, place[:, None], axis=1) == xp.arange(FIRST_BYTE, self.vocabulary.size)
        legal = xp.where((state.left % 2 == 0)[:, None], note, self._legal[None, FIRST_BYTE:])
        return self._mask(state.left <= 0, [legal & (state.left > 0)[:, None]], xp)

    def advance(self, state: PerNoteState, ids: Array, xp: Any) -> PerNoteState:
        return state._replace(left=state.left - ((ids != PAD_ID) & (ids != EOS_ID)))

    def _is_note(self, inputs: NDArray) -> NDArray[np.bool_]:
        return self.vocabulary.is_note[inputs] & before_eos(inputs)
