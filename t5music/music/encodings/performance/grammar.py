"""The grammar of performance: note-offs, then notes, then a shift of time.

Legal is what Performance.encode writes, and two things more: the note-offs of one step may come in any order (encode
writes them in the order in which their notes began), and music may end with silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.music.encodings.base import VELOCITY_BINS, Encoding
from t5music.music.encodings.clock import MAX_SECONDS
from t5music.music.encodings.grammar import UNBOUNDED, Array, Grammar, columns, fits, int32s
from t5music.music.encodings.performance.encoding import (
    MAX_SHIFT,
    NOTE_OFF,
    STEPS_PER_SECOND,
    TIME_SHIFT,
    VELOCITY,
    Performance,
)

LIMIT = MAX_SECONDS * STEPS_PER_SECOND
PITCHES = 128
UNSTATED, UNKNOWN = 0, -1  # velocities beside 1..32
ON, OFF, SHIFT, STATED, NONE = range(5)  # kinds of words, in the order of their ids, and what stands behind the last
LONG_SHIFT = 5  # `last` of State where the last word is TIME_SHIFT_100


def _table() -> NDArray[np.int32]:
    """int32 [words + 1, 4]: kind, value (pitch, steps or velocity bin), `last` of State, notes more or less."""
    kind = np.repeat(np.arange(5), [PITCHES, PITCHES, MAX_SHIFT, VELOCITY_BINS, 1])
    value = np.arange(len(kind)) - np.array([0, NOTE_OFF, TIME_SHIFT - 1, VELOCITY - 1, len(kind) - 1])[kind]
    last = np.where((kind == SHIFT) & (value == MAX_SHIFT), LONG_SHIFT, kind)
    return np.stack([kind, value, last, np.array([1, -1, 0, 0, 0])[kind]], axis=1).astype(np.int32)


TABLE = _table()


class State(NamedTuple):
    """int32 [batch] each, but for the counts."""

    room: Array  # words that may still be written
    elapsed: Array  # steps
    last: Array  # the kind of the last word; OFF before the first one
    velocity: Array  # the bin in force; UNSTATED, UNKNOWN
    open: Array  # how many notes sound
    counts: Array  # [batch, 128], how many notes of each pitch sound


@dataclass(frozen=True)
class PerformanceGrammar(Grammar):
    """The grammar of performance; see the module and `Grammar`.

    Inside a piece, any pitch may have notes that are not known, so every NOTE_OFF in its place is legal; shifts may
    meet (`segments` leave such NOTE_OFFs out), and the first notes may do without a velocity.
    """

    encoding: ClassVar[Encoding] = Performance()
    KIND: ClassVar = TABLE[:, 0]
    RULES: ClassVar[Mapping[str, str]] = {
        "order": "the NOTE_OFFs of a step come before its notes",
        "velocity": "a VELOCITY changes the one in force, and a NOTE_ON follows it; the first note has one",
        "wait": "only TIME_SHIFT_100 is followed by another shift",
        "silent": "a NOTE_OFF ends a note of its pitch",
        "limit": "music lasts at most 90 minutes, and notes end within them",
        "room": "what sounds must end in the room that is left",
    }

    def start(self, batch: int, room: ArrayLike = UNBOUNDED) -> State:
        zero = int32s(batch, 0)
        velocity = int32s(batch, UNKNOWN if self.inside else UNSTATED)
        return State(int32s(batch, room), zero, zero + OFF, velocity, zero, np.zeros((batch, PITCHES), np.int32))

    def advance(self, state: State, ids: Array, xp: Any) -> State:
        kind, value, last, more = columns(TABLE, ids, xp)
        none, stated = kind == NONE, kind == STATED
        here = np.arange(PITCHES, dtype=np.int32) == value[:, None]
        counts = xp.maximum(state.counts + here * more[:, None], 0)
        return State(
            state.room - ~none,
            xp.minimum(state.elapsed + value * (kind == SHIFT), LIMIT + 1),
            xp.where(none, state.last, last),
            xp.where(stated, value, state.velocity),
            xp.sum(counts, axis=1, dtype=np.int32),
            counts,
        )

    def needed(self, state: State, xp: Any) -> Array:
        """A NOTE_OFF for each note; before it whatever must follow the last word, and a shift after a note."""
        if not self.complete:
            return xp.zeros_like(state.open)
        return state.open + (state.last == ON) + 3 * (state.last == STATED)

    def judge_kinds(self, state: State, kinds: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        on, off, shift, stated = (kinds == each for each in (ON, OFF, SHIFT, STATED))
        after: Array = 0
        if self.complete:
            after = state.open + (2 * on - 1 * off + 3 * stated)
        pending = state.last == STATED
        return {
            "order": ~off | ((state.last != ON) & ~pending),
            "velocity": xp.where(on, state.velocity != UNSTATED, ~pending),
            "wait": ~shift | (state.last != SHIFT) | self.inside,
            "limit": off | shift | (state.elapsed < LIMIT),
            "room": fits(after, self.needed(state, xp), state.room, xp),
        }

    def judge_words(self, state: State, entries: Array, ids: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        kind, value, _, _ = columns(TABLE, ids, np)
        return {
            "velocity": (kind != STATED) | (value != state.velocity),
            "silent": (kind != OFF) | (entries > 0) | self.inside,
            "limit": (kind != SHIFT) | (value <= LIMIT - state.elapsed),
        }

    def entry(self, state: State, ids: NDArray[np.int32], xp: Any) -> Array:
        kind, value, _, _ = columns(TABLE, ids, np)
        return state.counts[np.arange(len(ids)), np.where(kind == OFF, value, 0)]

    def all_entries(self, state: State, xp: Any) -> Array:
        batch = len(state.counts)
        others = xp.zeros((batch, len(TABLE) - 1 - 2 * PITCHES), np.int32)
        return xp.concatenate([xp.zeros_like(state.counts), state.counts, others], axis=1)
