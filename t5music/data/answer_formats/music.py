"""Music: answers in the words of one encoding."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.data.answer_formats.base import UNBOUNDED, Array, Format, State, mask_of, require_single_ids
from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, PAD_ID, Ids
from t5music.errors import ConfigError, nearest
from t5music.music import encodings
from t5music.music.encodings.grammar import int32s

CLOSING = 8  # words of room that are too few for a note of its own bar, position, program and loudness


class MusicState(NamedTuple):
    begun: Array  # int32 [batch], 0 until the first word is said that the answer must begin with
    words: State  # of the grammar
    closing: Array  # int32 [batch], words of room below which an answer that is to fill its room ends
    noted: Array  # int32 [batch], 1 once there is a note
    silent: Array  # int32 [batch], bars that have begun since the last note
    most_silent: Array  # int32 [batch], such bars at most


@dataclass(frozen=True)
class Music(Format):
    """The words of one encoding, as `t5music.music.encodings` has them.

    Attributes:
        encoding: name of the encoding.
        complete, inside: see `grammar.Grammar`.
        continues: the answer goes on where the words of this encoding among the inputs end; with `begins`, those before
            the first `begins`.
        begins: the answer's first word, which must be one id ('<extra_id_0>' where a gap is filled in); '' if none.
        fill: answers are as long as they can be: EOS only where no word is legal any more, or where so little room is
            left that no whole note need fit. There they end, and no stray note is squeezed in.
        programs: see `grammar.Grammar`.
        needs_note: EOS only behind a note, unless no word is legal: an answer of silence is none.
        promised: the encoding's grammar within bounds, in place of `complete`, `inside` and `programs`; `start` takes
            the bounds. None for none.
    """

    encoding: str
    complete: bool = True
    inside: bool = False
    continues: bool = False
    begins: str = ""
    fill: bool = False
    programs: tuple[int, ...] | None = None
    needs_note: bool = False
    promised: encodings.Promised | None = None

    def __post_init__(self) -> None:
        if self.encoding not in self.vocabulary.encodings:
            names = self.vocabulary.encodings
            raise ConfigError(
                f"no encoding {self.encoding!r} (there are {', '.join(names)}){nearest(self.encoding, names)}"
            )
        require_single_ids(self.vocabulary, [self.begins] if self.begins else [])

    @functools.cached_property
    def _rules(self) -> encodings.Grammar | encodings.Promised:
        if self.promised is not None:
            return self.promised
        return encodings.grammar_of(self.encoding, complete=self.complete, inside=self.inside, programs=self.programs)

    @functools.cached_property
    def _event_of(self) -> NDArray[np.int32]:
        """int32 [size], the event that each id is; one beyond the last for an id that is none."""
        ids = self.vocabulary.event_ids(self.encoding)
        events = np.full(self.vocabulary.size, len(ids), np.int32)
        events[ids] = np.arange(len(ids))
        return events

    @functools.cached_property
    def _begins_bar(self) -> NDArray[np.bool_]:
        """bool [events + 1], True at the event that begins a bar; False at the last, which is none."""
        return np.array([*(word == "Bar" for word in encodings.get(self.encoding).words), False])

    @functools.cached_property
    def _is_note(self) -> NDArray[np.bool_]:
        """bool [events + 1], True at the events that begin a note; False at the last, which is none."""
        return np.append(encodings.get(self.encoding).is_note, False)

    @functools.cached_property
    def _first(self) -> NDArray[np.bool_]:
        """bool [size], True at `begins`."""
        return mask_of(self.vocabulary, [self.begins] if self.begins else [])

    def start(
        self,
        inputs: ArrayLike,
        max_length: int,
        *,
        prompts: Sequence[ArrayLike] | None = None,
        bounds: Sequence[Any] | None = None,
        most_silent: ArrayLike = UNBOUNDED,
    ) -> MusicState:
        """As `Format.start`.

        Args:
            inputs: int [batch, source].
            max_length: ids of an answer, at most, EOS included.
            prompts: event ids to continue, one array a row, in place of those of the inputs.
            bounds: of each row, where the format is `promised`.
            most_silent: bars that may begin in a row before the next note begins, at least 1: int or int [batch]. It
                binds encodings with bars.

        Raises:
            ConfigError: bounds that can never be met.
        """
        inputs = np.asarray(inputs)
        room = max_length - 1 - bool(self.begins)
        if prompts is None and self.continues:
            prompts = [self.vocabulary.decode_events(self.encoding, row) for row in self._before(inputs)]
        if isinstance(self._rules, encodings.Promised):
            assert bounds is not None
            words = self._rules.after(prompts or [[]] * len(inputs), room, bounds)
        else:
            words = self._rules.start(len(inputs), room) if prompts is None else self._rules.after(prompts, room)
        closing = int32s(len(inputs), min(CLOSING, max(0, room // 2)))
        none = int32s(len(inputs), 0)
        return MusicState(
            int32s(len(inputs), int(not self.begins)), words, closing, none, none, int32s(len(inputs), most_silent)
        )

    def _before(self, inputs: Ids) -> Ids:
        """The inputs, with padding from the first `begins` on."""
        return np.where(np.logical_or.accumulate(self._first[inputs], axis=1), PAD_ID, inputs)

    def allowed(self, state: MusicState, xp: Any) -> Array:
        words = self._rules.allowed(state.words, xp)  # [batch, words]
        end = self._rules.end(state.words, xp) | (state.words.room <= 0)
        heard = words & ~(self._begins_bar[:-1] & (state.silent >= state.most_silent)[:, None])
        # Bars that are owed may be empty where there is no room for more.
        words = xp.where((xp.any(heard, axis=1) | end)[:, None], heard, words)
        if self.needs_note:
            end = end & ((state.noted == 1) | ~xp.any(words, axis=1))
        if self.fill:
            words = words & ~(end & (state.words.room < state.closing))[:, None]
            end = end & ~xp.any(words, axis=1)
        words = xp.concatenate([words, xp.zeros((len(words), 1), bool)], axis=1)
        legal = self._mask(end, [words[:, self._event_of[FIRST_BYTE:]]], xp)
        return xp.where((state.begun == 1)[:, None], legal, self._first) if self.begins else legal

    def stand_ins(self, state: MusicState, xp: Any) -> tuple[Array, Array] | None:
        result = self.promised.stand_ins(state.words, xp) if self.promised is not None else None
        if result is None:
            return None
        passing, target = result
        passing = xp.concatenate([passing, xp.zeros((len(passing), 1), bool)], axis=1)
        ids = self.vocabulary.event_ids(self.encoding)
        ends = np.arange(self.vocabulary.size) == EOS_ID
        stands = xp.where(target >= 0, xp.asarray(ids)[xp.maximum(target, 0)], -1)
        return passing[:, self._event_of] | ends, stands

    def advance(self, state: MusicState, ids: Array, xp: Any) -> MusicState:
        events = xp.asarray(self._event_of)[xp.clip(ids, 0, self.vocabulary.size - 1)]
        words = self._rules.advance(state.words, events, xp)
        noted, bar = (xp.asarray(table)[events] for table in (self._is_note, self._begins_bar))  # bool [batch]
        return MusicState(
            xp.ones_like(state.begun),
            words,
            state.closing,
            state.noted | noted,
            xp.where(noted, 0, state.silent + bar),
            state.most_silent,
        )
