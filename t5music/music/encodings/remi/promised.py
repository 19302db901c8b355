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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError
from t5music.music.encodings.base import DEFAULT_VELOCITY_BIN
from t5music.music.encodings.grammar import Array, Promised, int32s
from t5music.music.encodings.remi.bounds import (
    CLASSES,
    MOST_VOICES,
    NEVER,
    PITCHES,
    UNBOUNDED_BARS,
    Bounds,
    Tables,
    tables,
)
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.encodings.remi.grammar import TABLE, RemiGrammar
from t5music.music.encodings.remi.grammar import State as Words
from t5music.music.encodings.remi.grid import DURATIONS, METERS, POSITION, POSITIONS
from t5music.music.encodings.remi.words import (
    BAR,
    DRUM,
    DURATION,
    FIRST,
    KINDS,
    PITCH,
    POS,
    PROGRAM,
    TEMPO_WORD,
    TIMESIG,
)
from t5music.music.encodings.remi.words import VELOCITY as VELOCITY_WORD
from t5music.music.score import DRUMS

PLACES = np.arange(POSITIONS, dtype=np.int32)
TICKS = PLACES * POSITION
CLASS_OF = np.arange(PITCHES) % CLASSES
IN_CLASS = CLASS_OF[:, None] == np.arange(CLASSES)  # bool [128, 12]
ABOVE = np.arange(PITCHES + 8)[:, None] > np.arange(PITCHES + 8)  # bool, True where row > column
ABOVE_PITCH = ABOVE[:PITCHES, :PITCHES]
LENGTHS = (DURATIONS * POSITION).astype(np.int32)  # ticks
TEMPO_OPENING = 2  # words
NOTE_WORDS = 5  # Pos Program Velocity Pitch Duration
SPARE = 8  # words beyond what is owed, with which anything may be written; a tempo or a note take six at most
_BOUNDARIES = (1 << TIMESIG) | (1 << TEMPO_WORD) | (1 << DRUM) | (1 << DURATION)


class Counts(NamedTuple):
    """What has been written, int32 [batch] each, but for `ends`."""

    bar: Array  # of the answer, -1 before its first
    bars: Array  # that the answer will have
    closed: Array  # 1 after the Bar behind the last bar
    origin: Array  # tick of the answer's first bar line
    meter: Array  # index into METERS of the bar, -1 before the first
    in_bar: Array  # new notes begun in the bar
    here: Array  # new notes begun at the position
    pitched: Array  # new pitched notes
    in_key: Array  # of these, in the key
    lock: Array  # the next lock
    locked: Array  # 1 from a locked pitch until its duration
    tight: Array  # 1 where there is no room but for what is owed
    used: Array  # words so far
    ends: Array  # [batch, voices], the ticks at which the last new notes end


class State(NamedTuple):
    """The grammar's state, the counts, and the tables, which never change."""

    words: Words
    counts: Counts
    tables: Tables

    @property
    def room(self) -> Array:
        """int32 [batch], words that may still be written."""
        return self.words.room


class Moment(NamedTuple):
    """What several rules need of a state."""

    tick: Array  # [batch]
    rhythm_here: Array  # [batch], new notes that the rhythm still has here; a great number without a rhythm
    owed: Array  # [batch], notes that the bar must still have, locked ones apart
    lock: Array  # [batch, 6], the next one
    lock_in_bar: Array  # bool [batch]
    lock_here: Array  # bool [batch]
    new: Array  # bool [batch, programs, 128], pitched notes that may begin here
    sure: Array  # bool [batch, programs, 128], of these, those that may whatever else is written
    drums: Array  # bool [batch, 128]
    later: Array  # [batch, 145], notes that can still begin in the bar from each position on
    startable: Array  # bool [batch, 144], positions at which a new note can begin
    voices: Array  # [batch], more pitched notes that may begin here


@dataclass(frozen=True)
class PromisedRemi(Promised):
    """The grammar of remi within bounds; its methods are those of `Grammar` that write.

    Attributes:
        counts_voices: whether some polyphony is promised.
        has_locks: whether some notes are locked.
    """

    counts_voices: bool = False
    has_locks: bool = False

    encoding = Remi()

    @property
    def _rules(self) -> RemiGrammar:
        return RemiGrammar(complete=False)

    # --------------------------------------------------------------------------------------------------- the machine

    def after(self, prompts: Sequence[ArrayLike], room: ArrayLike, rows: Sequence[Bounds]) -> State:
        """The state behind each row's prompt, within its bounds; `room` is what there is for the answer.

        Raises ConfigError for bounds that cannot be met, or not in this room.
        """
        words = self._rules.after(prompts, room)
        line = words.begin + words.length
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
        owed = xp.maximum(table.least - counts.in_bar, 0) * (counts.bar >= 0) + self._rhythm_left(state, xp)
        return to_come * table.bar_words + NOTE_WORDS * (locks + owed) + 2 * bounded

    def _rhythm_left(self, state: State, xp: Any) -> Array:
        """int [batch], notes of the rhythm that the bar still needs."""
        notes = xp.maximum(_of_bar(state.tables.rhythm, state.counts.bar, state.tables.rhythm_bars, xp), 0)
        left = xp.sum(xp.where(state.words.position[:, None] <= PLACES, notes, 0), axis=1)
        return xp.where(state.counts.bar >= 0, left - state.counts.here * (left > 0), 0)

    def end(self, state: State, xp: Any) -> Array:
        """bool [batch]: whether the answer may end here."""
        counts = state.counts
        locks = xp.sum(state.tables.locks[:, :, 0] < NEVER, axis=1) - counts.lock
        owed = xp.maximum(state.tables.least - counts.in_bar, 0) + self._rhythm_left(state, xp) + locks
        boundary = ((_BOUNDARIES >> state.words.last) & 1 == 1) & self._rules.end(state.words, xp)
        last = (counts.bars >= UNBOUNDED_BARS) | (counts.bar == counts.bars - 1)
        return (counts.closed == 1) | (boundary & (counts.bar >= 0) & last & (owed <= 0))

    def allowed(self, state: State, xp: Any) -> Array:
        """bool [batch, words]: the words that may come next."""
        now = self._moment(state, xp)
        programs, drums, pitches = self._notes(state, now, xp)
        parts = [
            self._bar(state, now, xp)[:, None],
            self._meters(state, xp),
            self._positions(state, now, xp),
            self._tempi(state, xp)[:, None] & xp.ones((1, _size(TEMPO_WORD)), bool),
            programs,
            (xp.any(pitches, axis=1) | xp.any(drums, axis=1))[:, None] & xp.ones((1, _size(VELOCITY_WORD)), bool),
            pitches,
            drums,
            self._durations(state, now, xp),
        ]
        open_ = (state.counts.closed == 0) & ((state.counts.bar >= 0) | (state.words.last == BAR))
        first = np.arange(len(TABLE) - 1) == 0
        started = open_[:, None] | (first & (state.counts.closed == 0)[:, None])
        return self._rules.allowed(state.words, xp) & xp.concatenate(parts, axis=1) & started

    def stand_ins(self, state: State, xp: Any) -> tuple[Array, Array] | None:
        """The words that would pass by the next locked note stand for the word that leads to it; see `Promised`."""
        if not self.has_locks:
            return None
        words, table = state.words, state.tables
        lock = _take(table.locks, state.counts.lock, xp)
        in_bar = lock[:, 0] == state.counts.bar
        here = in_bar & (lock[:, 1] == words.position)
        drum, in_force = lock[:, 2] == DRUMS, lock[:, 2] == words.program
        boundary = (_BOUNDARIES | (1 << POS)) >> words.last & 1 == 1
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
        lock = _take(table.locks, counts.lock, xp)
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
            in_key=counts.in_key + (new & pitch & _take(table.classes, value % CLASSES, xp)),
            lock=counts.lock + (is_lock & drum) + (ended & (counts.locked == 1)),
            locked=xp.where(pitch, is_lock, counts.locked & ~ended) * 1,
            used=counts.used + (kind < len(KINDS)),
            ends=ends,
        )
        boundary = (_BOUNDARIES >> kind) & 1 == 1
        moved = State(words, after, table)
        tight = words.room < self.owed_words(moved, xp) + SPARE
        return moved._replace(counts=after._replace(tight=xp.where(boundary, tight, counts.tight) * 1))

    # ---------------------------------------------------------------------------------------------------- the moment

    def _moment(self, state: State, xp: Any) -> Moment:
        words, counts, table = state.words, state.counts, state.tables
        position = xp.maximum(words.position, 0)
        tick = words.begin + position * POSITION
        rhythm = _of_bar(table.rhythm, counts.bar, table.rhythm_bars, xp)  # [batch, 144]
        owed = xp.maximum(table.least - counts.in_bar, 0)

        lock = _take(table.locks, counts.lock, xp)  # [batch, 6]
        in_bar = lock[:, 0] == counts.bar
        lock_here = in_bar & (lock[:, 1] == words.position)
        # Without room but for what is owed, a note that is not owed may not begin.
        idle = (counts.tight == 1) & (owed + self._rhythm_left(state, xp) <= 0)
        full = (counts.in_bar >= table.most) | idle

        chord, binding = self._chords(state, xp)  # [batch, 144, 12], [batch, 144, 1]
        classes = table.classes[:, None, :]
        within = ~binding | chord  # what the chords allow
        sure_classes = within & classes
        out = (counts.in_key * 1000 >= table.share * (counts.pitched + 1))[:, None]
        here_sure = _take(sure_classes, position, xp)  # [batch, 12]
        here_all = _take(within, position, xp) & (table.classes | out)

        until = words.free[xp.arange(len(tick))[:, None], table.programs]  # [batch, programs, 128]
        free = until <= tick[:, None, None]
        struck = table.keys & free
        on_grid = table.grid & (words.length[:, None] >= TICKS + POSITION)  # [batch, 144]
        voices = xp.full_like(tick, PITCHES)
        held = 0
        if self.counts_voices:
            held = xp.sum(counts.ends[:, None, :] > (words.begin[:, None] + TICKS)[:, :, None], axis=2)  # [batch, 144]
            voices = table.polyphony - _take(held, position, xp)
        rhythm_here = _take(rhythm, position, xp)
        rhythm_left = xp.where(rhythm_here < 0, PITCHES * 2, rhythm_here - counts.here)
        possible = (_take(on_grid, position, xp) & ~full & (rhythm_left > 0))[:, None]  # [batch, 1]
        pitched = possible & (voices > 0)[:, None]
        new = struck & (pitched & here_all[:, CLASS_OF])[:, None, :]
        sure = table.sure & free & (pitched & here_sure[:, CLASS_OF])[:, None, :]
        drums = table.drums & possible

        # What can surely begin at each later position: keys that are free by the next one, voices, percussion.
        at_next = tick + POSITION * (words.position >= 0)
        by_pitch = xp.sum(table.sure & (until <= at_next[:, None, None]), axis=1, dtype=np.int32)  # [batch, 128]
        by_class = _times(by_pitch, IN_CLASS, xp)  # [batch, 12]
        can = xp.sum(sure_classes * by_class[:, None, :], axis=2)  # [batch, 144]
        if self.counts_voices:
            can = xp.minimum(can, xp.maximum(table.polyphony[:, None] - held, 0))
        percussion = xp.sum(table.sure_drums, axis=1)
        can = (can + percussion[:, None]) * (on_grid & (rhythm != 0))
        later = xp.concatenate([_times(can, LATER, xp), xp.zeros((len(tick), 1), np.int32)], axis=1)

        # Where a note can begin, to the tick: keys that will be free by then.
        soonest = xp.min(xp.where(table.keys, until, NEVER), axis=1)  # [batch, 128]
        soonest = xp.min(xp.where(IN_CLASS.T, soonest[:, None, :], NEVER), axis=2)  # [batch, 12]
        at = words.begin[:, None] + TICKS  # [batch, 144]
        startable = xp.any(sure_classes & (soonest[:, None, :] <= at[:, :, None]), axis=2)
        if self.counts_voices:
            startable = startable & (held < table.polyphony[:, None])
        startable = (startable | xp.any(table.drums, axis=1)[:, None]) & on_grid & (rhythm != 0) & ~full[:, None]
        return Moment(tick, rhythm_left, owed, lock, in_bar, lock_here, new, sure, drums, later, startable, voices)

    def _chords(self, state: State, xp: Any) -> tuple[Array, Array]:
        """The chord at each position, bool [batch, 144, 12], and where it binds, bool [batch, 144, 1]."""
        table, words = state.tables, state.words
        chords = _of_bar(table.chords, state.counts.bar, table.chord_bars, xp)  # [batch, chords, 12]
        count = _of_bar(table.chord_counts, state.counts.bar, table.chord_bars, xp)[:, None]
        length = xp.maximum(words.length, 1)[:, None]
        index = xp.minimum(TICKS * count // length, count - 1)  # [batch, 144]
        before = xp.minimum(np.maximum(TICKS - POSITION, 0) * count // length, count - 1)
        meter = xp.maximum(state.counts.meter, 0)
        middle = (length == TICKS * 2) & xp.asarray(EVEN)[meter][:, None]
        strong = (PLACES == 0) | (index != before) | middle
        rows = xp.arange(len(chords))[:, None]
        return chords[rows, index], (strong | table.always[:, None])[:, :, None]

    # ----------------------------------------------------------------------------------------------- kinds of words

    def _bar(self, state: State, now: Moment, xp: Any) -> Array:
        """bool [batch]: whether a Bar may come."""
        counts, table = state.counts, state.tables
        begun = counts.bar >= 0
        done = (now.owed <= 0) & ~now.lock_in_bar & (self._rhythm_left(state, xp) <= 0)
        room = (counts.bars < UNBOUNDED_BARS) | ((state.words.room >= table.bar_words + 2) & (counts.tight == 0))
        return xp.where(begun, done, True) & room

    def _meters(self, state: State, xp: Any) -> Array:
        """bool [batch, meters]."""
        counts, table = state.counts, state.tables
        last = xp.minimum(xp.maximum(counts.bar, 0), table.meter_bars - 1)
        given = _take(table.meters, last, xp)
        given = xp.where(given < 0, counts.meter, given)[:, None]
        return xp.where(given < 0, table.meter_is_free, np.arange(len(METERS)) == given)

    def _positions(self, state: State, now: Moment, xp: Any) -> Array:
        """bool [batch, 144]."""
        counts, table = state.counts, state.tables
        opening = (state.words.tempo < 0)[:, None]  # where only a tempo may come
        locked = now.lock_in_bar[:, None] & (now.lock[:, 1:2] == PLACES)
        not_past = ~now.lock_in_bar[:, None] | (now.lock[:, 1:2] >= PLACES)
        rhythm = _of_bar(table.rhythm, counts.bar, table.rhythm_bars, xp)
        coming = xp.where((rhythm > 0) & (state.words.position[:, None] < PLACES), PLACES, POSITIONS)
        next_one = xp.min(coming, axis=1)[:, None]
        left = (now.rhythm_here > 0) & (now.rhythm_here < PITCHES) & (state.words.position >= 0)
        enough = now.later[:, :-1] >= now.owed[:, None]
        return opening | ((now.startable | locked) & not_past & (next_one >= PLACES) & enough & ~left[:, None])

    def _tempi(self, state: State, xp: Any) -> Array:
        """bool [batch]."""
        free = ~state.tables.hold_tempo & (state.counts.tight == 0)
        return (state.words.tempo < 0) | free

    def _notes(self, state: State, now: Moment, xp: Any) -> tuple[Array, Array, Array]:
        """The programs, the percussion and the pitches that may come, bool [batch, 128] each."""
        words, table = state.words, state.tables
        here = (now.rhythm_here < PITCHES) * xp.maximum(now.rhythm_here, 0)  # owed at the position
        owed = xp.maximum(now.owed - _take(now.later, xp.maximum(words.position, 0) + 1, xp), here)[:, None]
        named = words.named == 1
        above = xp.where(named, -1, words.pitch)[:, None]
        keys = np.arange(PITCHES)
        in_force = xp.clip(words.program, 0, PITCHES - 1)
        fits_lock = ~now.lock_here | (now.lock[:, 2] > words.program)
        last_row = now.lock_here & (now.lock[:, 2] == words.program)
        stated = (words.program >= 0)[:, None]

        def in_order(row: Array) -> Array:
            allowed = fits_lock[:, None] | (last_row[:, None] & (keys < now.lock[:, 3:4]))
            return row & (keys > above) & allowed & stated

        slot = _take(table.slots, in_force, xp)
        row = in_order(_take(now.new, slot, xp))
        rows_sure = xp.sum(now.sure, axis=2, dtype=np.int32)  # [batch, programs]
        size = rows_sure.shape[1]
        rows_above = _times(rows_sure, ABOVE[:size, :size], xp)  # of greater programs
        greater = xp.sum(xp.where(table.programs > in_force[:, None], rows_sure, 0), axis=1, dtype=np.int32)
        of_row = _take(now.sure, slot, xp) & (keys > above)
        after_pitch = _times(of_row, ABOVE_PITCH, xp) + greater[:, None]
        drums = now.drums & (keys > words.drum[:, None])
        sure_drums = drums & table.sure_drums
        percussion = xp.sum(sure_drums, axis=1)[:, None]

        def enough(pitched: Array, voices: Array) -> Array:
            return owed - 1 <= xp.maximum(xp.minimum(pitched, voices[:, None]) + percussion, 0)

        pitches = row & enough(after_pitch, now.voices - 1)
        lock_pitch = last_row[:, None] & (keys == now.lock[:, 3:4]) & stated
        may_follow = xp.any(now.new, axis=2) & enough(rows_sure - 1 + rows_above, now.voices - 1)  # [batch, programs]
        programs = may_follow[xp.arange(len(slot))[:, None], table.slots[:, :DRUMS]] & (
            ~now.lock_here[:, None] | (keys < now.lock[:, 2:3])
        )
        lock_program = now.lock_here[:, None] & (keys == now.lock[:, 2:3])
        is_drum = (now.lock[:, 2] == DRUMS)[:, None]
        drum_order = ~now.lock_here[:, None] | (is_drum & (keys < now.lock[:, 3:4]))
        new_drums = drums & drum_order & (owed - 1 <= _times(sure_drums, ABOVE_PITCH, xp))
        lock_drum = now.lock_here[:, None] & is_drum & (keys == now.lock[:, 3:4])
        return programs | lock_program, new_drums | lock_drum, pitches | lock_pitch

    def _durations(self, state: State, now: Moment, xp: Any) -> Array:
        """bool [batch, durations]."""
        words, counts, table = state.words, state.counts, state.tables
        position = xp.maximum(words.position, 0)
        numbers = np.arange(len(DURATIONS))
        until = now.tick[:, None] + LENGTHS  # [batch, durations]
        # A key that is locked later must be free by then.
        same = (table.locks[:, :, 2] == words.program[:, None]) & (table.locks[:, :, 3] == words.pitch[:, None])
        coming = same & (np.arange(table.locks.shape[1]) >= counts.lock[:, None])
        limit = xp.min(xp.where(coming, table.locks[:, :, 5] + counts.origin[:, None], NEVER), axis=1)[:, None]
        shortest = numbers == 0
        allowed = (until <= limit) | shortest
        given = _take(_of_bar(table.durations, counts.bar, table.rhythm_bars, xp), position, xp)[:, None]
        allowed = allowed & ((given < 0) | (numbers == given))
        # Where notes are owed: few notes sound on into the next bar, and each takes a voice or a key from this one.
        line = (words.begin + words.length)[:, None]
        owes = (table.least > 0)[:, None]
        if self.counts_voices:
            over = xp.sum(counts.ends > line, axis=1)
        else:
            until_then = words.free[xp.arange(len(line))[:, None], table.programs]
            over = xp.sum((until_then > line[:, :, None]) & table.keys, axis=(1, 2))
        allowed = allowed & (~owes | (until <= line) | (over < table.held)[:, None])
        can = now.later[:, :-1] - now.later[:, 1:]  # [batch, 144]
        lost = xp.sum((can > 0) & (position[:, None] < PLACES), axis=1)
        spare = _take(now.later, position + 1, xp) - now.owed
        allowed = allowed & (~owes | shortest | (lost <= spare)[:, None])
        locked = (counts.locked == 1)[:, None]
        return xp.where(locked, numbers == now.lock[:, 4:5], allowed)


LATER = PLACES[:, None] >= PLACES  # bool [144, 144]: sums over this and later positions
EVEN = np.array([numerator % 2 == 0 for numerator, _ in METERS])


def _times(counts: Array, table: NDArray[np.bool_], xp: Any) -> Array:
    """int32 [batch, m] of counts [batch, n] and table [n, m]; in floats, which multiply faster and are exact here."""
    return xp.asarray(counts.astype(np.float32) @ table.astype(np.float32), np.int32)


def _size(kind: int) -> int:
    return int((TABLE[:-1, 0] == kind).sum())


def _take(table: Array, index: Array, xp: Any) -> Array:
    """table[row, index[row]] of each row."""
    return table[xp.arange(len(table)), index]


def _of_bar(table: Array, bar: Array, bars: Array, xp: Any) -> Array:
    """The entry of `table` [batch, bars, ...] for the bar of each row, of so many that come over and over."""
    return _take(table, xp.maximum(bar, 0) % bars, xp)
