"""Answer formats: which ids may come next in an answer, up to its end.

Each format is a grammar over the ids of the vocabulary (see `t5music.music.encodings`): written once for NumPy and JAX,
its state a NamedTuple of arrays with the batch first. `start` reads what it needs from the batch's inputs; then

    legal = answer_formats.Music(vocabulary, "remi")
    tokens = decoding.generate(model, inputs, max_length=512, grammar=(legal, legal.start(inputs, 512)))

writes answers that cannot be wrong in form, and `legal.check(inputs, targets)` says where a given one is.

| format | an answer is | of its inputs it reads |
|---|---|---|
| Music | the words of one encoding | its words, where the answer continues them |
| Label | one text of a label set | nothing |
| PerNote | each note's word and then one word of a few | the notes |
| Spans | sentinels in order, each with the words of its span | how many sentinels there are |
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, PAD_ID, Ids, Vocabulary
from t5music.errors import ConfigError, DataError, nearest
from t5music.music import encodings
from t5music.music.encodings.grammar import UNBOUNDED, fits, int32s

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


# ------------------------------------------------------------------------------------------------------------- music


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
        _single(self.vocabulary, [self.begins] if self.begins else [])

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
        return _mask_of(self.vocabulary, [self.begins] if self.begins else [])

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


# ------------------------------------------------------------------------------------------------------------- label


class LabelState(NamedTuple):
    """int32 [batch]."""

    node: Array  # of the tree of all labels' ids, the root first


@dataclass(frozen=True)
class Label(Format):
    """One of a set of labels, each any text.

    Attributes:
        labels: at least one, each of one id or more.
    """

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels or not all(self.labels):
            raise ConfigError(f"a label set needs one label or more, none of them empty, not {self.labels}")

    @functools.cached_property
    def _tree(self) -> NDArray[np.int32]:
        """int32 [nodes, size]: the node that each id leads to from each node, -1 where it is illegal.

        EOS leads from the end of a label to the end of that node's labels: itself.
        """
        children: list[dict[int, int]] = [{}]
        for label in self.labels:
            node = 0
            for token in self.vocabulary.encode(label).tolist():
                if token not in children[node]:
                    children[node][token] = len(children)
                    children.append({})
                node = children[node][token]
            children[node][EOS_ID] = node
        tree = np.full((len(children), self.vocabulary.size), -1, np.int32)
        for node, edges in enumerate(children):
            tree[node, list(edges)] = list(edges.values())
        return tree

    def start(self, inputs: ArrayLike, max_length: int) -> LabelState:
        longest = max(len(self.vocabulary.encode(label)) for label in self.labels)
        if longest + 1 > max_length:
            raise ConfigError(f"the longest label has {longest} ids, and max_length {max_length} has no room for it")
        return LabelState(int32s(len(np.asarray(inputs)), 0))

    def allowed(self, state: LabelState, xp: Any) -> Array:
        return xp.asarray(self._tree >= 0)[state.node]

    def advance(self, state: LabelState, ids: Array, xp: Any) -> LabelState:
        ids = xp.clip(ids, 0, self.vocabulary.size - 1)
        return LabelState(xp.maximum(xp.asarray(self._tree)[state.node, ids], 0))


# ---------------------------------------------------------------------------------------------------------- per note


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
        _single(self.vocabulary, self.words)

    @functools.cached_property
    def _legal(self) -> NDArray[np.bool_]:
        """bool [size], True at the answer words."""
        return _mask_of(self.vocabulary, self.words)

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
        return self.vocabulary.is_note[inputs] & _before_eos(inputs)


# ------------------------------------------------------------------------------------------------------------- spans


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
        is_sentinel = (inputs >= self.vocabulary.size - self.vocabulary.sentinels) & _before_eos(inputs)
        sentinels = is_sentinel.sum(axis=1)
        lead = bare = np.zeros(len(inputs), bool)
        if self.denoising:
            lengths = _before_eos(inputs).sum(axis=1)
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


def _before_eos(inputs: Ids) -> NDArray[np.bool_]:
    """True [batch, source] at the ids before each row's first EOS or padding."""
    return np.logical_and.accumulate((inputs != EOS_ID) & (inputs != PAD_ID), axis=1)


def _single(vocabulary: Vocabulary, words: Sequence[str]) -> None:
    """Raises ConfigError for a word that is not one id."""
    for word in words:
        if len(vocabulary.encode(word)) != 1:
            raise ConfigError(f"{word!r} must be one id of the vocabulary: an event word, a note label or a sentinel")


def _mask_of(vocabulary: Vocabulary, words: Sequence[str]) -> NDArray[np.bool_]:
    """bool [size], True at the ids of words of one id each."""
    mask = np.zeros(vocabulary.size, bool)
    for word in words:
        mask[vocabulary.encode(word)] = True
    return mask
