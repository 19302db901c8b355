"""The grammar of remi: bars, positions, notes by program and pitch.

Legal is exactly what Remi.encode writes. `encode` never writes a note that runs into the next one of its program and
pitch, so a key may be struck only when its last note is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.music.encodings.base import Encoding
from t5music.music.encodings.grammar import UNBOUNDED, Array, Grammar, columns, fits, int32s, put
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.encodings.remi.grid import DURATIONS, MAX_BARS, MAX_UNITS, METER_UNITS, POSITION, UNIT
from t5music.music.encodings.remi.words import (
    BAR,
    DRUM,
    DURATION,
    FIRST,
    KIND_OF,
    KINDS,
    PITCH,
    POS,
    PROGRAM,
    TEMPO_WORD,
    TIMESIG,
    VELOCITY,
)
from t5music.music.score import DRUMS

NONE = len(KINDS)  # the kind of what stands behind the last word
BEGINNING, MIDDLE = NONE, NONE + 1  # beside the kinds of words: what `last` of State is before the first word
UNSTATED, UNKNOWN = -1, -2  # beside tempi, programs and velocities
PROGRAMS = PITCHES = 128

_NOTE = (PROGRAM, VELOCITY, PITCH, DRUM)
# What may follow a word of each kind, as far as that depends on nothing else.
_FOLLOWS = {
    BAR: (TIMESIG,),
    TIMESIG: (POS, BAR),
    POS: (TEMPO_WORD, *_NOTE),
    TEMPO_WORD: (*_NOTE, POS, BAR),
    PROGRAM: (VELOCITY, PITCH),
    VELOCITY: (PITCH, DRUM),
    PITCH: (DURATION,),
    DRUM: (*_NOTE, POS, BAR),
    DURATION: (*_NOTE, POS, BAR),
    BEGINNING: (BAR,),
    MIDDLE: (*_NOTE, POS, BAR),
}
FOLLOWS = np.array([sum(1 << kind for kind in _FOLLOWS[last]) for last in range(MIDDLE + 1)], np.int32)
# How many words it takes, from a word of each kind, to the end of a pitched note that says its program and velocity.
TO_NOTE = np.array([6, 5, 4, 4, 3, 2, 1, 0, 0, 0, 0], np.int32)
# ... and to where a piece may be cut.
TO_CUT = np.array([1, 0, 4, 0, 3, 2, 1, 0, 0, 0, 0], np.int32)
# ... and to the tempo that must be said at the start.
TO_TEMPO = np.array([3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0], np.int32)


def _table() -> NDArray[np.int32]:
    """int32 [words + 1, 3]: kind, value, and ticks: a meter's bar, a duration until the key may be struck again."""
    kinds = np.append(KIND_OF, NONE)
    values = np.arange(len(kinds)) - np.append(FIRST, len(KIND_OF))[kinds]
    ticks = np.zeros(len(kinds), int)
    ticks[kinds == TIMESIG] = METER_UNITS * UNIT
    # A bar of an odd number of 1/32 notes ends inside a position: the shortest note may run into the next by half one.
    ticks[kinds == DURATION] = np.where(DURATIONS == 1, 1, DURATIONS * POSITION)
    values[kinds == VELOCITY] += 1
    return np.stack([kinds, values, ticks], axis=1).astype(np.int32)


TABLE = _table()


class State(NamedTuple):
    """int32 [batch] each, but for the tables."""

    room: Array  # words that may still be written
    last: Array  # the kind of the last word; BEGINNING, MIDDLE
    bars: Array  # begun
    begin: Array  # of the bar, in ticks of 480 a quarter
    length: Array  # of the bar, in ticks
    position: Array  # in the bar, -1 before the first
    tempo: Array  # in force; UNSTATED, UNKNOWN
    program: Array  # of the bar's last pitched note; UNSTATED, UNKNOWN
    velocity: Array  # of the bar's last note; UNSTATED, UNKNOWN
    named: Array  # 1 after a Program, until its note
    pitch: Array  # the last at this position, -1 if none
    drum: Array  # the last at this position, -1 if none
    noted: Array  # 1 where the bar has a note
    row: Array  # [batch, 128], the tick from which each pitch of the program in force may be struck
    soonest: Array  # [batch, 128], the tick from which any pitch of each program may be struck
    free: Array  # [batch, 129, 128], the row of each program; the last one is for no program


@dataclass(frozen=True)
class RemiGrammar(Grammar):
    """The grammar of remi; see the module and `Grammar`.

    A complete piece ends with a bar that has notes; otherwise words may end wherever a bar, a position or a note could
    follow. Inside a piece, words may begin at any of these; what holds there (tempo, position, program, velocity,
    sounding notes) is not known; and a Program may come before a Drum (`segments` say it again at a cut).
    """

    encoding: ClassVar[Encoding] = Remi()
    KIND: ClassVar = TABLE[:, 0]
    RULES: ClassVar[Mapping[str, str]] = {
        "fields": "words come in the order Bar TimeSig Pos Tempo Program Velocity Pitch Duration, or Drum",
        "start": "the first bar says its tempo at Pos_0",
        "position": "positions rise, within the bar",
        "tempo": "a Tempo changes the one in force",
        "program": "a Program changes the one in force, rises at a position, and is there for a bar's first Pitch",
        "velocity": "a Velocity changes the one in force, and is there for a bar's first note",
        "pitch": "at a position pitches rise, program by program, and percussion comes last",
        "sounding": "a key is struck again when its last note is over",
        "limit": "music has at most 20,000 bars",
        "room": "what is begun must end in the room that is left",
    }

    def start(self, batch: int, room: ArrayLike = UNBOUNDED) -> State:
        zero = int32s(batch, 0)
        held = zero + (UNKNOWN if self.inside else UNSTATED)
        last, length = (MIDDLE, MAX_UNITS * UNIT) if self.inside else (BEGINNING, 0)
        return State(
            int32s(batch, room),
            zero + last,
            *(zero, zero, zero + length, zero - 1, held, held, held, zero, zero - 1, zero - 1),
            zero + int(self.inside),
            np.zeros((batch, PITCHES), np.int32),
            np.zeros((batch, PROGRAMS), np.int32),
            np.zeros((batch, PROGRAMS + 1, PITCHES), np.int32),
        )

    def advance(self, state: State, ids: Array, xp: Any) -> State:
        kind, value, ticks = columns(TABLE, ids, xp)
        none, bar, placed = kind == NONE, kind == BAR, kind == POS
        program, pitch, drum, ended = kind == PROGRAM, kind == PITCH, kind == DRUM, kind == DURATION
        moved = bar | placed
        # Inside a piece, a Program before a Drum is that of an earlier note: whether it holds is not known.
        lost = drum & (state.named == 1)
        held = xp.where(bar, UNSTATED, xp.where(program, value, xp.where(lost, UNKNOWN, state.program)))
        row, soonest, free = self._tables(state, held, ended, ticks, xp)
        return State(
            state.room - ~none,
            xp.where(none, state.last, kind),
            state.bars + bar,
            state.begin + state.length * bar,
            xp.where(kind == TIMESIG, ticks, state.length),
            xp.where(moved, xp.where(bar, -1, value), state.position),
            xp.where(kind == TEMPO_WORD, value, state.tempo),
            held,
            xp.where(bar, UNSTATED, xp.where(kind == VELOCITY, value, state.velocity)),
            (state.named | program) & ~(moved | pitch | drum),
            xp.where(moved, -1, xp.where(pitch, value, state.pitch)),
            xp.where(moved, -1, xp.where(drum, value, state.drum)),
            (state.noted | drum | ended) & ~bar,
            row,
            soonest,
            free,
        )

    def allowed(self, state: State, xp: Any) -> Array:
        legal = super().allowed(state, xp)
        return legal if self.programs is None else legal & self._playable(state, xp)

    def _playable(self, state: State, xp: Any) -> Array:
        """bool [batch, words]: the words that lead to notes of `programs`, and to no dead end.

        A Velocity needs a note to come: percussion, or a pitch of the program in force that may be struck.
        """
        assert self.programs is not None
        table = np.isin(np.arange(PROGRAMS + 1), [program for program in self.programs if program < PROGRAMS])
        in_force = (table if xp is np else xp.asarray(table))[_row(state.program, xp)]  # [batch]
        above = np.arange(PITCHES) > xp.where(state.named == 1, -1, state.pitch)[:, None]
        struck = xp.any(above & (state.row <= _tick(state, xp)[:, None]), axis=1)
        note = (in_force & struck) | (DRUMS in self.programs)
        kinds, values = TABLE[:-1, 0], TABLE[:-1, 1]
        named = np.where(kinds == PROGRAM, table[np.where(kinds == PROGRAM, values, 0)], True)
        fixed = named & ((kinds != DRUM) | (DRUMS in self.programs))  # [words]
        return fixed & ((kinds != PITCH) | in_force[:, None]) & ((kinds != VELOCITY) | note[:, None])

    def _tables(self, state: State, program: Array, ended: Array, ticks: Array, xp: Any) -> tuple[Array, ...]:
        """The tables after a Duration of so many ticks, where `ended`, and with `program` in force."""
        until = (_tick(state, xp) + ticks)[:, None]
        here = np.arange(PITCHES, dtype=np.int32) == xp.where(ended, state.pitch, -1)[:, None]
        row = xp.where(here & (state.program >= 0)[:, None], until, state.row)
        in_force = np.arange(PROGRAMS, dtype=np.int32) == state.program[:, None]
        soonest = xp.where(in_force, xp.min(row, axis=1)[:, None], state.soonest)
        # Written before it is read: compiled, the table then stays where it is.
        free = put(state.free, _row(state.program, xp), row, xp)
        return free[xp.arange(len(free)), _row(program, xp)], soonest, free

    def needed(self, state: State, xp: Any) -> Array:
        """The words to the end of a note that says its program and velocity, in a complete piece; else to a cut."""
        return self._after(state, state.last, xp)

    def _after(self, state: State, kind: Array, xp: Any) -> Array:
        """How many words it takes to an end behind a word of some kind."""
        opening = (kind <= POS) & (state.tempo == UNSTATED)
        if self.complete:
            closed = (kind == TEMPO_WORD) & (state.noted == 1)
            return xp.where(closed, 0, _look(TO_NOTE, kind, xp) + opening)
        return xp.where(opening, _look(TO_TEMPO, kind, xp), _look(TO_CUT, kind, xp))

    def judge_kinds(self, state: State, kinds: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        bar, pos, tempo, program, velocity, pitch, drum = (
            kinds == each for each in (BAR, POS, TEMPO_WORD, PROGRAM, VELOCITY, PITCH, DRUM)
        )
        late = drum & (state.named == 1)  # percussion that is said to have a program
        follows = (_look(FOLLOWS, state.last, xp) >> kinds) & 1 == 1
        opened = xp.where(state.last == TIMESIG, pos, (state.last != POS) | tempo)
        return {
            "fields": (follows | late) if self.inside else (follows & ~late),
            "start": opened | (state.tempo != UNSTATED),
            "program": ~pitch | (state.program != UNSTATED),
            "velocity": ~(pitch | drum) | (state.velocity != UNSTATED),
            "pitch": (~(program | pitch) | (state.drum < 0)) & (~velocity | (state.drum < PITCHES - 1)),
            "limit": ~bar | (state.bars < MAX_BARS),
            "room": fits(self._after(state, kinds, xp), self.needed(state, xp), state.room, xp),
        }

    def judge_words(self, state: State, entries: Array, ids: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        kind, value, _ = columns(TABLE, ids, np)
        pos, program, pitch = kind == POS, kind == PROGRAM, kind == PITCH
        positions = xp.where(state.tempo == UNSTATED, 1, -(-state.length // POSITION))
        above = xp.where(state.named == 1, -1, state.pitch)
        at_least = xp.where(state.pitch >= 0, state.program, -1)
        return {
            "position": ~pos | ((value > state.position) & (value < positions)),
            "tempo": (kind != TEMPO_WORD) | (value != state.tempo),
            "program": ~program | ((value > at_least) & (value != state.program)),
            "velocity": (kind != VELOCITY) | (value != state.velocity),
            "pitch": (~pitch | (value > above)) & ((kind != DRUM) | (value > state.drum)),
            "sounding": entries <= _tick(state, xp),
        }

    def entry(self, state: State, ids: NDArray[np.int32], xp: Any) -> Array:
        kind, value, _ = columns(TABLE, ids, np)
        rows, column = np.arange(len(ids)), value % PITCHES
        of_pitch = (kind == PITCH) * state.row[rows, column]
        return np.where(kind == PROGRAM, state.soonest[rows, column], of_pitch)

    def all_entries(self, state: State, xp: Any) -> Array:
        def zeros(words: int) -> Array:
            return xp.zeros((len(state.row), words), np.int32)

        before, between = int(FIRST[PROGRAM]), int(FIRST[PITCH] - FIRST[VELOCITY])
        after = len(TABLE) - 1 - int(FIRST[DRUM])
        return xp.concatenate([zeros(before), state.soonest, zeros(between), state.row, zeros(after)], axis=1)


def _row(program: Array, xp: Any) -> Array:
    """The row of each program in the table `free`."""
    return xp.where(program < 0, PROGRAMS, program)


def _tick(state: State, xp: Any) -> Array:
    """The tick of the position that the state is at; the bar's begin before the first."""
    return state.begin + xp.maximum(state.position, 0) * POSITION


def _look(table: NDArray[np.int32], kind: Array, xp: Any) -> Array:
    """The table's value for each kind."""
    return table[kind] if isinstance(kind, np.ndarray) else xp.asarray(table)[kind]
