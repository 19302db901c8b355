"""The grammar of tx1 and of what adds to it: four voices, one wait between two instants.

Legal is exactly what TX1.encode writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.music.encodings.base import Encoding
from t5music.music.encodings.clock import MAX_SECONDS
from t5music.music.encodings.grammar import UNBOUNDED, Array, Grammar, columns, fits, int32s
from t5music.music.encodings.tx1.encoding import SAMPLE_RATE, TX1, VOICES, WAITS

LIMIT = MAX_SECONDS * SAMPLE_RATE
# The kinds of words: a wait, then four for each of these, one a voice; NONE is what stands behind the last word.
PARTS = ("NOTEOFF", "NOTEON", "VELOCITY", "TIMBRE")
WAIT, NONE = 0, 1 + len(PARTS) * len(VOICES)
OFF, ON, VOLUME, TIMBRE = range(len(PARTS))  # the part of a kind
KINDS = np.arange(NONE + 1)
PART = np.where((KINDS == WAIT) | (KINDS == NONE), -1, (KINDS - 1) // len(VOICES))
VOICE = np.where(PART < 0, -1, (KINDS - 1) % len(VOICES))
BIT = np.where(PART < 0, 0, 1 << np.maximum(VOICE, 0)).astype(np.int32)
# The place of a kind in its instant: voice by voice its note, its volume, its timbre.
RANK = np.where(PART < 0, -1, VOICE * 3 + np.maximum(PART - 1, 0)).astype(np.int32)
LAST_NOTE = RANK[1:NONE][PART[1:NONE] == ON].max()  # the place of the last voice's note

SPOKEN, LONG_WAIT, SHORT_WAIT = range(3)  # the last word: of a voice (or none yet), WT_100000, another wait
NOTHING, NOTELESS, NOTED = range(3)  # what has been said


def table(encoding: Encoding) -> NDArray[np.int32]:
    """int32 [words + 1, 5] of tx1 or what adds to it: kind, samples waited, `last`, rank, and of a note the bit."""
    rows = []
    for word in encoding.words:
        voice, part = word.split("_")[:2]
        if voice == "WT":
            rows.append((WAIT, int(part), LONG_WAIT if int(part) == WAITS[-1] else SHORT_WAIT, -1, 0))
        else:
            kind = 1 + PARTS.index(part) * len(VOICES) + VOICES.index(voice)
            rows.append((kind, 0, SPOKEN, int(RANK[kind]), int(BIT[kind]) if PART[kind] <= ON else 0))
    return np.array([*rows, (NONE, 0, SPOKEN, -1, 0)], np.int32)


class State(NamedTuple):
    """int32 [batch] each."""

    room: Array  # words that may still be written
    elapsed: Array  # samples
    spoke: Array  # the rank of this instant's last word, -1 if none
    last: Array  # SPOKEN, LONG_WAIT or SHORT_WAIT
    sounding: Array  # a bit for each voice
    unknown: Array  # bits of the voices without a note since the words began inside a piece
    stage: Array  # NOTHING, NOTELESS or NOTED
    due: Array  # the bit of the voice whose volume must come next, or 0


@dataclass(frozen=True)
class TX1Grammar(Grammar):
    """The grammar of tx1; see the module and `Grammar`.

    Inside a piece, a voice that has not been heard may be silenced once, and waits may meet (`segments` leave out the
    NOTEOFFs of earlier notes between them).
    """

    encoding: ClassVar[Encoding] = TX1()
    TABLE: ClassVar[NDArray[np.int32]] = table(encoding)
    KIND: ClassVar[NDArray[np.int32]] = TABLE[:, 0]
    LOUD: ClassVar[int] = 0  # bits of the voices whose notes must say a volume
    NOTE: ClassVar[int] = 3  # the words of a note: begun, waited, ended
    RULES: ClassVar[Mapping[str, str]] = {
        "order": "at one instant each voice speaks at most once, in the order P1 P2 TR NO",
        "wait": "one wait lies between two instants; only WT_100000 may be followed by another",
        "silent": "a NOTEOFF ends a note of its voice",
        "limit": "music lasts at most 90 minutes, and notes end within them",
        "room": "what sounds must end in the room that is left",
    }

    def start(self, batch: int, room: ArrayLike = UNBOUNDED) -> State:
        zero = int32s(batch, 0)
        unknown = zero + ((1 << len(VOICES)) - 1 if self.inside else 0)
        stage = zero + (NOTED if self.inside else NOTHING)
        return State(int32s(batch, room), zero, zero - 1, zero + SPOKEN, zero, unknown, stage, zero)

    def advance(self, state: State, ids: Array, xp: Any) -> State:
        kind, wait, last, rank, bit = columns(self.TABLE, ids, xp)
        none = kind == NONE
        on = (kind > len(VOICES)) & (kind <= 2 * len(VOICES))
        silenced = state.sounding & ~bit
        return State(
            state.room - ~none,
            xp.minimum(state.elapsed + wait, LIMIT + 1),
            xp.where(none, state.spoke, rank),
            xp.where(none, state.last, last),
            xp.where(on, silenced | bit, silenced),
            state.unknown & ~bit,
            xp.where(on, NOTED, xp.maximum(state.stage, ~none * np.int32(NOTELESS))),
            xp.where(none, state.due, xp.where(on, bit & self.LOUD, 0)),
        )

    def needed(self, state: State, xp: Any) -> Array:
        """A NOTEOFF for each voice that sounds, a wait before them where one of these has spoken already; or a note."""
        if not self.complete:
            return (state.due != 0) * np.int32(1)
        spoken = (1 << (state.spoke // 3 + 1)) - 1
        return self._to_end(state.sounding, state.sounding & spoken, state.due, state.stage == NOTELESS, state.spoke)

    def _to_end(self, sounding: Array, stuck: Array, due: Array, owed: Array, spoke: Array) -> Array:
        """Words to an end. stuck: bits of voices that sound and have spoken; owed: whether there must be a note yet."""
        note = owed * (self.NOTE + (spoke >= LAST_NOTE))
        return _count(sounding) + (stuck != 0) + (due != 0) + note

    def judge_kinds(self, state: State, kinds: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        part, bit, rank = PART[kinds], BIT[kinds], RANK[kinds]
        waits, off, on = kinds == WAIT, part == OFF, part == ON
        sounding = (state.sounding & ~np.where(off, bit, 0)) | np.where(on, bit, 0)
        stuck = sounding & np.where(waits, 0, 2 * bit - 1)
        owed = ~on & (state.stage != NOTED)
        due = np.where(on, bit & self.LOUD, 0)
        after: Array = due != 0
        if self.complete:
            after = self._to_end(sounding, stuck, due, owed, rank)
        in_time = (state.elapsed + owed < LIMIT) | ((stuck == 0) & ~owed)
        return {
            "order": waits | (rank > state.spoke),
            "volume": (state.due == 0) | ((part == VOLUME) & (bit == state.due)),
            "wait": ~waits | (state.last != SHORT_WAIT) | self.inside,
            "silent": ~off | (((state.sounding | state.unknown) & bit) != 0),
            "limit": waits | in_time,
            "room": fits(after, self.needed(state, xp), state.room, xp),
        }

    def judge_words(self, state: State, entries: Array, ids: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        kind, wait, *_ = columns(self.TABLE, ids, np)
        left = LIMIT - state.elapsed - (state.stage != NOTED)
        return {"limit": (kind != WAIT) | (wait <= left)}


def _count(bits: Array) -> Array:
    """How many of the four bits are set."""
    return sum((bits >> voice) & 1 for voice in range(len(VOICES)))
