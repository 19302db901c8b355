"""Promised remi: the grammar of remi with bounds on every new note, for NumPy and JAX alike.

Beside the state of the grammar stand counts (what has been written) and tables (what is promised). A word is
legal where the grammar and every bound allow it, and where what is owed can still be written: the fewest notes of the
bar, the notes of a rhythm, the notes that are locked, the bars to come. How a dead end is seen ahead:

- A position or a program is legal only where a note may follow there.
- While notes are owed to the bar, what is left of it must have keys, voices and positions for them, even in the
  shortest notes; and no more new notes than `Tables.held` sound on into the next bar.
- Locked notes come in their order: no word passes the next one by.
- Where the room is as small as what is owed, only what is owed is written.

Answers begin with a Bar and may end with one more than they have, which is no music and is left out: where no bar may
follow, a model's Bar says that it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError
from t5music.music.encodings.base import DEFAULT_VELOCITY_BIN
from t5music.music.encodings.grammar import Array, Promised, int32s
from t5music.music.encodings.remi import promised_words
from t5music.music.encodings.remi.bounds import (
    CLASSES,
    EMPTY_BAR,
    MOST_VOICES,
    NEVER,
    NOTE,
    UNBOUNDED_BARS,
    Bounds,
    tables,
)
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.encodings.remi.grammar import TABLE, RemiGrammar
from t5music.music.encodings.remi.grid import POSITION
from t5music.music.encodings.remi.promised_state import BOUNDARIES, Counts, State, rhythm_left, take
from t5music.music.encodings.remi.promised_words import LENGTHS
from t5music.music.encodings.remi.words import BAR, DRUM, DURATION, FIRST, KINDS, PITCH, POS, PROGRAM, TIMESIG
from t5music.music.encodings.remi.words import VELOCITY as VELOCITY_WORD
from t5music.music.score import DRUMS

TEMPO_OPENING, CLOSING = 2, 2  # words
SPARE = 8  # words beyond what is owed, with which anything may be written; a tempo or a note take six at most


def fewest_words(bars: int) -> int:
    """The room that an answer of so many bars takes, where nothing else is promised."""
    return EMPTY_BAR * bars + CLOSING + TEMPO_OPENING + 1


@dataclass(frozen=True)
class PromisedRemi(Promised):
    """The grammar of remi within bounds; its methods are those of `Grammar` that write.

    Attributes:
        counts_voices: whether some polyphony is promised.
        has_locks: whether some notes are locked.
        owes: whether some bars must have notes, by a density or a rhythm. Without it, a step costs less.
    """

    counts_voices: bool = False
    has_locks: bool = False
    owes: bool = True

    encoding = Remi()

    @property
    def _rules(self) -> RemiGrammar:
        return RemiGrammar(complete=False)

    def after(self, prompts: Sequence[ArrayLike], room: ArrayLike, rows: Sequence[Bounds]) -> State:
        """The state behind each row's prompt, within its bounds; `room` is what there is for the answer.

        Raises ConfigError for bounds that cannot be met, or not in this room.
        """
        words = self._rules.after(prompts, room)
        line = words.begin + words.length
        for row, bounds in enumerate(rows):
            for lock in bounds.locks:
                if words.free[row, lock.program, lock.pitch] > line[row] + lock.tick:
                    raise ConfigError(
                        f"the note {lock.pitch} in bar {lock.bar + 1} cannot stay as it is: a note of the prompt still "
                        "holds its key there"
                    )
        keys = np.stack([bounds.keys[:DRUMS] for bounds in rows])
        sounding = (keys & (words.free[:, :DRUMS] > line[:, None, None])).sum(axis=(1, 2))
        table = tables(rows, sounding.tolist())
        batch = len(rows)
        zero = int32s(batch, 0)
        ends = np.zeros((batch, MOST_VOICES), np.int32)
        for row, bounds in enumerate(rows):
            later = sorted(bounds.voices)[::-1][:MOST_VOICES]
            ends[row, : len(later)] = line[row] + np.array(later, np.int32)
        counts = Counts(
            bar=zero - 1,
            bars=int32s(batch, [bounds.bars for bounds in rows]),
            closed=zero,
            origin=zero,
            meter=zero - 1,
            in_bar=zero,
            here=zero,
            pitched=zero,
            in_key=zero,
            lock=zero,
            locked=zero,
            tight=zero,
            used=zero,
            ends=ends,
        )
        state = State(words, counts, table)
        self._require_room(state, np.broadcast_to(np.asarray(room), batch))
        return state

    def _require_room(self, state: State, room: NDArray) -> None:
        owed = self.owed_words(state, np) + TEMPO_OPENING + 1
        for words, limit in zip(owed.tolist(), room.tolist(), strict=True):
            if words > limit:
                raise ConfigError(
                    f"the promises take up to {words} words and an answer of this model has {limit}: promise less "
                    "length, density, rhythm or fewer locked notes"
                )

    def owed_words(self, state: State, xp: Any) -> Array:
        """int [batch], the words that it takes at most to write all that is owed, from the end of a note on."""
        counts, table = state.counts, state.tables
        bounded = counts.bars < UNBOUNDED_BARS
        to_come = xp.where(bounded, counts.bars - 1 - counts.bar, counts.bar < 0)
        locks = xp.sum(table.locks[:, :, 0] < NEVER, axis=1) - counts.lock
        owed = xp.maximum(table.least - counts.in_bar, 0) * (counts.bar >= 0) + rhythm_left(state, xp)
        return to_come * table.bar_words + NOTE * (locks + owed) + CLOSING * bounded

    def end(self, state: State, xp: Any) -> Array:
        """bool [batch]: whether the answer may end here."""
        counts = state.counts
        locks = xp.sum(state.tables.locks[:, :, 0] < NEVER, axis=1) - counts.lock
        owed = xp.maximum(state.tables.least - counts.in_bar, 0) + rhythm_left(state, xp) + locks
        boundary = ((BOUNDARIES >> state.words.last) & 1 == 1) & self._rules.end(state.words, xp)
        last = (counts.bars >= UNBOUNDED_BARS) | (counts.bar == counts.bars - 1)
        return (counts.closed == 1) | (boundary & (counts.bar >= 0) & last & (owed <= 0))

    def allowed(self, state: State, xp: Any) -> Array:
        """bool [batch, words]: the words that may come next."""
        return self._rules.allowed(state.words, xp) & promised_words.allowed(state, self.counts_voices, self.owes, xp)

    def stand_ins(self, state: State, xp: Any) -> tuple[Array, Array] | None:
        """The words that would pass by the next locked note stand for the word that leads to it; see `Promised`."""
        if not self.has_locks:
            return None
        words, table = state.words, state.tables
        lock = take(table.locks, state.counts.lock, xp)
        in_bar = lock[:, 0] == state.counts.bar
        here = in_bar & (lock[:, 1] == words.position)
        drum, in_force = lock[:, 2] == DRUMS, lock[:, 2] == words.program
        boundary = (BOUNDARIES | (1 << POS)) >> words.last & 1 == 1
        silent = words.velocity < 0
        note = xp.where(silent, int(FIRST[VELOCITY_WORD]) + DEFAULT_VELOCITY_BIN - 1, int(FIRST[DRUM]) + lock[:, 3])
        pitch = xp.where(silent, note, int(FIRST[PITCH]) + lock[:, 3])
        target = xp.where(drum, note, xp.where(in_force, pitch, int(FIRST[PROGRAM]) + lock[:, 2]))
        target = xp.where(here, target, int(FIRST[POS]) + lock[:, 1])
        kinds, values = TABLE[:-1, 0], TABLE[:-1, 1]
        beyond = (kinds == BAR) | ((kinds == POS) & (values > xp.where(here, -1, lock[:, 1])[:, None]))
        program = (kinds == PROGRAM) & (values > lock[:, 2:3])
        percussion = (kinds == DRUM) & (~drum[:, None] | (values > lock[:, 3:4]))
        higher = (kinds == PITCH) & in_force[:, None] & (values > lock[:, 3:4])
        passing = beyond | (here[:, None] & (program | percussion | higher))
        return passing, xp.where(in_bar & boundary, target, -1)

    def without_closing(self, events: NDArray[np.int32]) -> NDArray[np.int32]:
        """The events without a last Bar that nothing follows."""
        return events[:-1] if len(events) and TABLE[events[-1], 0] == BAR else events

    def advance(self, state: State, ids: Array, xp: Any) -> State:
        """The state after one more word a row, int [batch]."""
        words = self._rules.advance(state.words, ids, xp)
        table, counts = state.tables, state.counts
        rows = xp.asarray(TABLE)[ids]
        kind, value = rows[:, 0], rows[:, 1]
        bar, placed, pitch, drum, ended = (kind == each for each in (BAR, POS, PITCH, DRUM, DURATION))
        lock = take(table.locks, counts.lock, xp)
        here = (lock[:, 0] == counts.bar) & (lock[:, 1] == state.words.position)
        program = xp.where(drum, DRUMS, state.words.program)
        is_lock = (pitch | drum) & here & (lock[:, 2] == program) & (lock[:, 3] == value)
        new = (pitch | drum) & ~is_lock

        last_bar = counts.bar == counts.bars - 1
        grown = xp.maximum(counts.bars // xp.maximum(table.growth, 1), 1)
        more = bar & last_bar & (table.growth > 0) & (counts.bars + table.growth <= table.most_bars)
        # Room for half as much again as what has been written so far takes on average.
        more = more & (2 * words.room * grown >= 3 * counts.used + 4 * SPARE * grown)
        more = more & (words.room >= table.growth * table.bar_words + 2 * SPARE)
        bars = counts.bars + xp.where(more, table.growth, 0)
        closed = counts.closed | (bar & last_bar & ~more)

        ends = counts.ends
        if self.counts_voices:
            at = words.begin + xp.maximum(words.position, 0) * POSITION
            until = at + xp.asarray(LENGTHS)[xp.clip(value, 0, len(LENGTHS) - 1)]
            oldest = xp.argmin(ends, axis=1)[:, None] == np.arange(MOST_VOICES)
            written = (ended & (counts.locked == 0))[:, None]
            ends = xp.where(oldest & written, until[:, None], ends)
        after = counts._replace(
            bar=counts.bar + bar,
            bars=bars,
            closed=closed,
            origin=xp.where(bar & (counts.bar < 0), words.begin, counts.origin),
            meter=xp.where(kind == TIMESIG, value, counts.meter),
            in_bar=xp.where(bar, 0, counts.in_bar + new),
            here=xp.where(bar | placed, 0, counts.here + new),
            pitched=counts.pitched + (new & pitch),
            in_key=counts.in_key + (new & pitch & take(table.classes, value % CLASSES, xp)),
            lock=counts.lock + (is_lock & drum) + (ended & (counts.locked == 1)),
            locked=xp.where(pitch, is_lock, counts.locked & ~ended) * 1,
            used=counts.used + (kind < len(KINDS)),
            ends=ends,
        )
        boundary = (BOUNDARIES >> kind) & 1 == 1
        moved = State(words, after, table)
        tight = words.room < self.owed_words(moved, xp) + SPARE
        return moved._replace(counts=after._replace(tight=xp.where(boundary, tight, counts.tight) * 1))
