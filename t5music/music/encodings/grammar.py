"""Grammar: the base class of the encodings' grammars, a state machine over event ids for NumPy and JAX.

A grammar is written once, as functions of arrays with the array module handed in (`xp`: numpy or jax.numpy). Nothing
in it branches on a value and no shape depends on one, so the same code checks a corpus and masks a compiled decoding
loop. Its state is a NamedTuple of arrays, the first dimension of each being the batch.

What is legal is what `encode` writes: every word of every piece is, and whatever is legal decodes without one repair.
Each grammar's docstring says where it allows more than `encode` would write.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import MidiError
from t5music.music.encodings.base import Encoding

Array = Any  # of NumPy or JAX
State = Any  # each grammar's own NamedTuple of arrays

UNBOUNDED = 2**30  # room for as many words as anybody will write
BLOCK = 4096  # steps that `check` judges at once


class Illegal(NamedTuple):
    """One broken rule."""

    place: int  # of the word, from 0; the number of words where they must not end as they do
    word: str  # the event word, "" at the end
    rule: str  # a key of the grammar's RULES, or "end"


@dataclass(frozen=True)
class Report:
    """What `check` found in one sequence of events.

    Attributes:
        words: how many there are.
        illegal: every broken rule, in order; a word that breaks two is there twice.
    """

    words: int
    illegal: tuple[Illegal, ...]

    @property
    def first(self) -> int | None:
        """The index of the first illegal word, `words` if only the end is wrong, None if nothing is."""
        return self.illegal[0].place if self.illegal else None

    @property
    def share(self) -> float:
        """The share of the words that are legal, 1 of none."""
        wrong = {broken.place for broken in self.illegal if broken.place < self.words}
        return 1 - len(wrong) / self.words if self.words else 1.0


@dataclass(frozen=True)
class Grammar(abc.ABC):
    """Which words may come next.

    Attributes:
        complete: the words may end only where a piece can end: nothing sounds on, and what is begun is said. Otherwise
            they may end where `chunks` may cut.
        inside: the words begin inside a piece, as those of `chunks` and `segments` do. What sounds and holds there is
            not known, so what may be legal is.
        programs: the programs that `allowed` lets notes have, DRUMS for percussion, at least one; None for all. Only
            words that state programs are bound by it.

    The room: a state knows how many words may still be written. A word is legal only if the rest of the room can take
    the shortest way to an end, so a sequence cut at that length by whoever writes it still ends as it must. Where the
    room is too small from the start, the words of that shortest way stay legal.
    """

    complete: bool = True
    inside: bool = False
    programs: tuple[int, ...] | None = None

    encoding: ClassVar[Encoding]
    KIND: ClassVar[NDArray[np.int32]]  # [words + 1], of each word, and last the kind of what is no word
    RULES: ClassVar[Mapping[str, str]]  # the name of each rule that a word can break: what it says

    # ----------------------------------------------------------------------------------------------- the state machine

    @abc.abstractmethod
    def start(self, batch: int, room: ArrayLike = UNBOUNDED) -> State:
        """The state before the first word, NumPy arrays of `batch` rows. `room`: words to write, int or int [batch]."""

    @abc.abstractmethod
    def advance(self, state: State, ids: Array, xp: Any) -> State:
        """The state after one more word a row, int [batch], legal or not. An id beyond the words changes nothing."""

    @abc.abstractmethod
    def needed(self, state: State, xp: Any) -> Array:
        """int [batch]: how many words it takes to reach an end; 0 where the words may end."""

    @abc.abstractmethod
    def judge_kinds(self, state: State, kinds: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        """By rule, True [batch, n] where words of these kinds (NumPy, [1 or batch, n]) may keep it.

        What depends on no more than a word's kind is decided here, once for all words of a kind. The state's arrays are
        [batch, 1], without its tables.
        """

    @abc.abstractmethod
    def judge_words(self, state: State, entries: Array, ids: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        """By rule, True [batch, n] where the words `ids` (NumPy, [1 or batch, n]) keep it, their kinds apart.

        The state is that of `judge_kinds`; `entries` are what its tables hold for these ids, [1 or batch, n].
        """

    def entry(self, state: State, ids: NDArray[np.int32], xp: Any) -> Array:
        """What the state's tables hold for one word a row, ids int [batch]: [batch]. 0 where it has no tables."""
        return xp.zeros(ids.shape, np.int32)

    def all_entries(self, state: State, xp: Any) -> Array:
        """What the state's tables hold for every word: [batch or 1, words]."""
        return xp.zeros((1, len(self.encoding.words)), np.int32)

    def allowed(self, state: State, xp: Any) -> Array:
        """bool [batch, words]: the words that may come next."""
        scalars = type(state)(*(field[:, None] if field.ndim == 1 else None for field in state))
        kinds = np.arange(self.KIND[-1], dtype=np.int32)[None]
        legal_kinds = functools.reduce(xp.logical_and, self.judge_kinds(scalars, kinds, xp).values())  # [batch, kinds]
        bits = xp.sum(xp.where(legal_kinds, 1 << kinds, 0), axis=1, keepdims=True, dtype=np.int32)
        every = np.arange(len(self.encoding.words), dtype=np.int32)[None]
        legal = (bits >> self.KIND[every]) & 1 == 1
        return functools.reduce(
            xp.logical_and, self.judge_words(scalars, self.all_entries(state, xp), every, xp).values(), legal
        )

    def end(self, state: State, xp: Any) -> Array:
        """bool [batch]: whether the words may end here."""
        return self.needed(state, xp) <= 0

    # -------------------------------------------------------------------------------------------------- whole sequences

    def after(self, sequences: Sequence[ArrayLike], room: ArrayLike = UNBOUNDED) -> State:
        """The state behind each sequence of events, legal or not (NumPy); `room` counts from there."""
        ids = self._padded(sequences)
        state = self.start(len(ids), UNBOUNDED)
        for step in range(ids.shape[1]):
            state = self.advance(state, ids[:, step], np)
        return state._replace(room=self.start(len(ids), room).room)

    def check(self, sequences: Sequence[ArrayLike], prompts: Sequence[ArrayLike] | None = None) -> list[Report]:
        """What is illegal in each sequence of events, given its prompt's events where there are prompts.

        Many sequences at once cost little more than one. Raises MidiError for ids that the encoding does not have.
        """
        ids = self._padded(sequences)
        lengths = np.array([len(np.atleast_1d(sequence)) for sequence in sequences], int)
        state = self.after(prompts) if prompts is not None else self.start(len(ids))
        wrong: list[list[Illegal]] = [[] for _ in sequences]
        fields = sum(field.ndim == 1 for field in state)  # the tables are the last ones
        ended = np.zeros(len(ids), bool)
        for begin in range(0, ids.shape[1], BLOCK):
            steps = range(begin, min(begin + BLOCK, ids.shape[1]))
            seen, entries = [], []
            for step in steps:
                seen.append(state[:fields])
                entries.append(self.entry(state, ids[:, step], np))
                state = self.advance(state, ids[:, step], np)
                over = lengths == step + 1
                if over.any():
                    ended |= over & self.end(state, np)
            self._collect(type(state), seen, entries, ids[:, steps.start : steps.stop], begin, lengths, wrong)
        ended |= (lengths == 0) & self.end(state, np)
        for row in np.flatnonzero(~ended):
            wrong[row].append(Illegal(int(lengths[row]), "", "end"))
        return [Report(int(n), tuple(broken)) for n, broken in zip(lengths, wrong, strict=True)]

    def _collect(
        self,
        kind: type[State],
        seen: list[tuple[NDArray, ...]],
        entries: list[NDArray],
        ids: NDArray[np.int32],
        begin: int,
        lengths: NDArray,
        wrong: list[list[Illegal]],
    ) -> None:
        """Judges a block of words, [batch, steps], and adds what is illegal to `wrong`."""
        fields = [np.concatenate(field)[:, None] for field in zip(*seen, strict=True)]
        state = kind(*fields, *[None] * (len(kind._fields) - len(fields)))
        words = ids.T.reshape(-1, 1)  # step by step, as in `seen`
        words = np.minimum(words, len(self.encoding.words) - 1)  # padding is not judged
        real = (begin + np.arange(ids.shape[1]))[:, None] < lengths  # [steps, batch]
        by_word = self.judge_words(state, np.concatenate(entries)[:, None], words, np)
        for verdicts in (self.judge_kinds(state, self.KIND[words], np), by_word):
            for name, ok in verdicts.items():
                broken = ~np.broadcast_to(ok, words.shape).reshape(real.shape) & real
                for step, row in np.argwhere(broken):
                    wrong[row].append(Illegal(int(begin + step), self.encoding.words[ids[row, step]], name))
        for broken_rules in wrong:
            broken_rules.sort(key=lambda illegal: illegal.place)

    def _padded(self, sequences: Sequence[ArrayLike]) -> NDArray[np.int32]:
        """The sequences as int32 [batch, longest], padded with an id that is no word."""
        size = len(self.encoding.words)
        arrays = [np.atleast_1d(np.asarray(sequence)) for sequence in sequences]
        out = np.full((len(arrays), max(map(len, arrays), default=0)), size, np.int32)
        for row, array in enumerate(arrays):
            if array.size and (array.min() < 0 or array.max() >= size):
                raise MidiError(f"sequence {row} holds event ids outside 0..{size - 1}, those of {self.encoding.name}")
            out[row, : len(array)] = array
        return out

    def explain(self, illegal: Illegal) -> str:
        """A sentence: which word breaks which rule."""
        if illegal.rule == "end":
            return f"after {illegal.place} words: the music must not end here"
        return f"word {illegal.place + 1}, {illegal.word!r}: {self.RULES[illegal.rule]}"


class Promised(abc.ABC):
    """The grammar of an encoding within bounds on every new note: it writes, as a `Grammar` does.

    It is hashable, and equal where its rules are: what is promised is in its state.
    """

    @abc.abstractmethod
    def after(self, prompts: Sequence[ArrayLike], room: ArrayLike, rows: Sequence[Any]) -> State:
        """The state behind each row's prompt (NumPy), within its bounds; `room` words may be written.

        Raises ConfigError for bounds that cannot be met, or not in this room.
        """

    @abc.abstractmethod
    def allowed(self, state: State, xp: Any) -> Array:
        """bool [batch, words]: the words that may come next."""

    @abc.abstractmethod
    def advance(self, state: State, ids: Array, xp: Any) -> State:
        """The state after one more word a row, int [batch]. An id beyond the words changes nothing."""

    @abc.abstractmethod
    def end(self, state: State, xp: Any) -> Array:
        """bool [batch]: whether the words may end here."""

    def stand_ins(self, state: State, xp: Any) -> tuple[Array, Array] | None:
        """Words that are not legal here because something else must come first, and what they stand for.

        Returns:
            bool [batch, words], the words; and int [batch], the word whose probability takes theirs in, -1 for none.
            None where nothing has to come.
        """
        del state, xp
        return None

    def without_closing(self, events: NDArray[np.int32]) -> NDArray[np.int32]:
        """The events of an answer without a last one that only says that the answer is over."""
        return events


def int32s(batch: int, value: ArrayLike) -> NDArray[np.int32]:
    """int32 [batch] of one value, or of one for each row."""
    return np.array(np.broadcast_to(np.asarray(value), batch), np.int32)


def columns(table: NDArray[np.int32], ids: Array, xp: Any) -> tuple[Array, ...]:
    """The columns of a table of words, each in the shape of `ids`."""
    rows = table[ids] if xp is np else xp.asarray(table)[ids]  # one gather
    return tuple(rows[..., column] for column in range(table.shape[1]))


def put(table: Array, columns: Array, values: Array, xp: Any) -> Array:
    """`table` [batch, n, ...] with one entry of each row replaced: columns [batch], values [batch, ...]."""
    rows = xp.arange(table.shape[0])
    if hasattr(table, "at"):  # JAX
        return table.at[rows, columns].set(values)
    table = table.copy()
    table[rows, columns] = values
    return table


def fits(after: Array, needed: Array, room: Array, xp: Any) -> Array:
    """The rule of the room: True where a word after which it takes `after` words to an end may be written."""
    return after < xp.maximum(room, needed)
