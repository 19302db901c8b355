"""Bounds: what promises mean in remi, as tables that a decoding loop reads.

A row of a batch has its own bounds. Bars are counted from 0, from the answer's first Bar on; positions are twelfths of
a quarter, from the bar line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import ConfigError
from t5music.music.encodings.grammar import Array
from t5music.music.encodings.remi.grid import COMMON_TIME, METER_UNITS, METERS, POSITION, POSITIONS, UNIT
from t5music.music.score import DRUMS

UNBOUNDED_BARS = 1 << 20
NEVER = 1 << 28  # a tick or a bar that never comes
CLASSES = 12
PITCHES = 128
MOST_HELD = 1 << 10
MOST_VOICES = 32  # that may be promised to sound at once
EMPTY_BAR, NOTE = 2, 5  # words: Bar TimeSig; Pos Program Velocity Pitch Duration
# Tables are made a multiple of these long, so that few shapes of them are compiled.
BARS, CHORDS, LOCKS, PROGRAMS = 16, 4, 64, 8


class Lock(NamedTuple):
    """A note that the words must have.

    Attributes:
        bar: of the answer, from 0.
        position: in the bar.
        program: 128 for percussion.
        pitch: or the percussion's key.
        duration: index into DURATIONS; 0 for percussion.
        tick: from the answer's first bar line on, 480 a quarter.
    """

    bar: int
    position: int
    program: int
    pitch: int
    duration: int
    tick: int


class Slot(NamedTuple):
    """Notes of a rhythm: so many begin at a position of a bar (of the rhythm's, which comes again and again)."""

    bar: int
    position: int
    notes: int
    duration: int  # index into DURATIONS


@dataclass(frozen=True)
class Bounds:
    """What one answer's new notes are bound to. Notes that are locked are bound to nothing but themselves.

    Attributes:
        keys: bool [129, 128], which pitches each program may strike; the last row is percussion's.
        classes: bool [12], the pitch classes of the key.
        share: of the pitched notes that are in the key, at least, in thousandths.
        polyphony: pitched notes that sound at once, at most; 0 for any number.
        grid: bool [144], where notes may begin.
        least: notes that begin in a bar, at least.
        most: at most.
        chords: of each bar, over and over, the pitch classes of its chords, which share it equally; () for any.
        always: whether chords bind all notes, and not only those on strong beats.
        slots: the notes of a rhythm, in order; () for any rhythm.
        rhythm_bars: how many bars the rhythm has.
        locks: the notes that must be there, in the order of their words.
        bars: of the answer; UNBOUNDED_BARS for any number.
        growth: by how many bars the answer goes on, again and again, where there is room for them; 0 for none.
        most_bars: that it may grow to.
        meters: indices into METERS, of each bar; the last one holds on; () for one that the model chooses and holds.
        hold_tempo: whether the tempo stays once it is there.
        voices: by how many ticks earlier new notes, of an answer that this one goes on from, sound beyond its first bar
            line.
    """

    keys: NDArray[np.bool_]
    classes: NDArray[np.bool_] = field(default_factory=lambda: np.ones(CLASSES, bool))
    share: int = 1000
    polyphony: int = 0
    grid: NDArray[np.bool_] = field(default_factory=lambda: np.ones(POSITIONS, bool))
    least: int = 0
    most: int = MOST_HELD
    chords: tuple[tuple[tuple[int, ...], ...], ...] = ()
    always: bool = False
    slots: tuple[Slot, ...] = ()
    rhythm_bars: int = 0
    locks: tuple[Lock, ...] = ()
    bars: int = UNBOUNDED_BARS
    growth: int = 0
    most_bars: int = UNBOUNDED_BARS
    meters: tuple[int, ...] = ()
    hold_tempo: bool = False
    voices: tuple[int, ...] = ()

    def places(self, meter: int) -> int:
        """How many positions of a bar of this meter notes may begin at."""
        return int(self.grid[: int(METER_UNITS[meter]) * UNIT // POSITION].sum())

    def held(self, sounding: int) -> int:
        """How many new notes may sound on into a bar, so that every bar still has room for the fewest notes it needs.

        Args:
            sounding: how many keys may be taken by notes that sound when the answer begins.

        Raises:
            ConfigError: bounds that can never be met; it names the promises.
        """
        free = _fewest(self) - sounding
        if self.polyphony:
            free = min(free, self.polyphony)
        free += int(_unlocked(self)[DRUMS].sum())
        for slot in self.slots:
            if not self.grid[slot.position]:
                raise ConfigError("--rhythm_of and --grid cannot both be kept: the track has notes off this grid")
            meter = self.meters[min(slot.bar, len(self.meters) - 1)] if self.meters else COMMON_TIME
            if (slot.position + 1) * POSITION > METER_UNITS[meter] * UNIT:
                raise ConfigError(
                    f"--rhythm_of cannot be kept: bar {slot.bar + 1} of the track is longer than the new bars"
                )
            if slot.notes > free:
                raise ConfigError(
                    f"--rhythm_of cannot be kept: {slot.notes} notes begin at once in bar {slot.bar + 1} of the track, "
                    f"and the other promises (--key, --range, --chords, --polyphony) leave {max(free, 0)}"
                )
        by_bar = np.bincount([slot.bar for slot in self.slots], [slot.notes for slot in self.slots], self.rhythm_bars)
        for bar, count in enumerate(by_bar.astype(int) if self.slots else ()):
            if not self.least <= count <= self.most:
                raise ConfigError(
                    f"--rhythm_of and --density cannot both be kept: {count} notes begin in bar {bar + 1} of the track"
                )
        if not self.least or self.slots:
            return MOST_HELD
        places = min(map(self.places, self.meters or (COMMON_TIME,)))
        at_once = -(-self.least // max(places, 1))
        if not places or free < at_once:
            raise ConfigError(
                f"--density cannot be kept: a bar needs {self.least} notes, and the other promises (--grid, --key, "
                f"--range, --chords, --polyphony) leave {max(free, 0)} at each of {places} positions"
            )
        return free - at_once


def _unlocked(bounds: Bounds) -> NDArray[np.bool_]:
    """The keys that no lock has, bool [129, 128]."""
    keys = bounds.keys.copy()
    for lock in bounds.locks:
        keys[lock.program, lock.pitch] = False
    return keys


def _fewest(bounds: Bounds) -> int:
    """How many pitched notes may begin wherever notes may, at least. Raises ConfigError for a chord without any."""
    keys = _unlocked(bounds)[:DRUMS]
    by_class = np.bincount(np.arange(PITCHES) % CLASSES, keys.sum(axis=0), CLASSES).astype(int)
    drums_alone = bool(bounds.keys[DRUMS].any() and not bounds.keys[:DRUMS].any())
    inside = int(by_class[bounds.classes].sum())
    if not inside and not drums_alone:
        raise ConfigError("--key, --range and --instruments cannot all be kept: together they leave no note")
    fewest = inside
    for number, bar in enumerate(bounds.chords, 1):
        for chord in bar:
            both = [step for step in chord if bounds.classes[step]]
            count = int(by_class[both].sum())
            if not count and not drums_alone:
                raise ConfigError(
                    f"--chords, --key and --range cannot all be kept: together they leave no note for bar {number} of "
                    "the chords"
                )
            fewest = min(fewest, count)
    return fewest


class Tables(NamedTuple):
    """The bounds of a batch. All are [batch] or begin with it."""

    programs: Array  # int32 [batch, programs], those that may play, rising; behind them 128, which has no keys
    slots: Array  # int32 [batch, 129], where each program stands among these
    keys: Array  # bool [batch, programs, 128]
    sure: Array  # bool [batch, programs, 128], those of them that no lock has
    drums: Array  # bool [batch, 128]
    sure_drums: Array  # bool [batch, 128]
    classes: Array  # bool [batch, 12]
    share: Array
    grid: Array  # bool [batch, 144]
    least: Array
    most: Array
    polyphony: Array
    held: Array
    chords: Array  # bool [batch, bars, chords, 12]
    chord_counts: Array  # int32 [batch, bars], of which the first so many of a bar's chords are
    chord_bars: Array
    always: Array  # bool
    rhythm: Array  # int32 [batch, bars, 144], notes that begin there; -1: any number
    durations: Array  # int32 [batch, bars, 144], of these notes, an index; -1: any
    rhythm_bars: Array
    bar_words: Array  # that a bar of the fewest notes takes, at most
    locks: Array  # int32 [batch, locks + 1, 6], fields of Lock; the last one never comes
    meters: Array  # int32 [batch, bars]; -1: the one that holds
    meter_bars: Array
    meter_is_free: Array  # bool [batch, meters], those that a model may choose
    growth: Array
    most_bars: Array
    hold_tempo: Array  # bool


def tables(rows: Sequence[Bounds], sounding: Sequence[int]) -> Tables:
    """The tables of a batch, NumPy; `sounding` as in `Bounds.held`. Raises ConfigError as that does."""
    held = [bounds.held(count) for bounds, count in zip(rows, sounding, strict=True)]

    def numbers(values: Sequence[int]) -> NDArray[np.int32]:
        return np.array(values, np.int32)

    chords = [bounds.chords or ((tuple(range(CLASSES)),),) for bounds in rows]
    most_chords = max(len(bar) for each in chords for bar in each)
    chord_table = np.zeros((len(rows), _up(max(map(len, chords)), BARS), _up(most_chords, CHORDS), CLASSES), bool)
    chord_counts = np.ones(chord_table.shape[:2], np.int32)
    rhythm_bars = [bounds.rhythm_bars if bounds.slots else 1 for bounds in rows]
    rhythm = np.full((len(rows), _up(max(rhythm_bars), BARS), POSITIONS), -1, np.int32)
    durations = rhythm.copy()
    most_locks = max(len(bounds.locks) for bounds in rows)
    locks = np.full((len(rows), _up(most_locks + 1, LOCKS), len(Lock._fields)), NEVER, np.int32)
    most_meters = max(len(bounds.meters) for bounds in rows)
    meters = np.full((len(rows), _up(most_meters + 1, BARS)), -1, np.int32)
    is_free = np.zeros((len(rows), len(METERS)), bool)
    bar_words = []
    # A rhythm's durations are given, so that none of its notes may be on a key that is locked a little later.
    sure = [_unlocked(bounds) for bounds in rows]
    keys = [free if bounds.slots else bounds.keys for bounds, free in zip(rows, sure, strict=True)]
    playing = [np.flatnonzero(each[:DRUMS].any(axis=1)) for each in keys]
    programs = np.full((len(rows), _up(max(map(len, playing)) + 1, PROGRAMS)), DRUMS, np.int32)
    slots = np.full((len(rows), DRUMS + 1), programs.shape[1] - 1, np.int32)
    pitched = np.zeros((2, *programs.shape, PITCHES), bool)
    for row, bounds in enumerate(rows):
        count = len(playing[row])
        programs[row, :count] = playing[row]
        slots[row, playing[row]] = np.arange(count)
        pitched[0, row, :count], pitched[1, row, :count] = keys[row][playing[row]], sure[row][playing[row]]
        for number, bar in enumerate(chords[row]):
            chord_counts[row, number] = len(bar)
            for place, chord in enumerate(bar):
                chord_table[row, number, place, list(chord)] = True
        if bounds.slots:
            rhythm[row, : rhythm_bars[row]] = 0
        for slot in bounds.slots:
            rhythm[row, slot.bar, slot.position] = slot.notes
            durations[row, slot.bar, slot.position] = slot.duration
        locks[row, : len(bounds.locks)] = np.array(bounds.locks, np.int32).reshape(-1, len(Lock._fields))
        meters[row, : len(bounds.meters)] = bounds.meters
        is_free[row] = [
            bounds.places(meter) >= bounds.places(COMMON_TIME) or not bounds.least for meter in range(len(METERS))
        ]
        bar_words.append(EMPTY_BAR + NOTE * max(bounds.least, int(np.maximum(rhythm[row], 0).sum(axis=1).max())))
    return Tables(
        programs=programs,
        slots=slots,
        keys=pitched[0],
        sure=pitched[1],
        drums=np.stack([each[DRUMS] for each in keys]),
        sure_drums=np.stack([each[DRUMS] for each in sure]),
        classes=np.stack([bounds.classes for bounds in rows]),
        share=numbers([bounds.share for bounds in rows]),
        grid=np.stack([bounds.grid for bounds in rows]),
        least=numbers([0 if bounds.slots else bounds.least for bounds in rows]),
        most=numbers([bounds.most for bounds in rows]),
        polyphony=numbers([bounds.polyphony for bounds in rows]),
        held=numbers(held),
        chords=chord_table,
        chord_counts=chord_counts,
        chord_bars=numbers([len(each) for each in chords]),
        always=np.array([bounds.always for bounds in rows]),
        rhythm=rhythm,
        durations=durations,
        rhythm_bars=numbers(rhythm_bars),
        bar_words=numbers(bar_words),
        locks=locks,
        meters=meters,
        meter_bars=numbers([max(1, len(bounds.meters)) for bounds in rows]),
        meter_is_free=is_free,
        growth=numbers([bounds.growth for bounds in rows]),
        most_bars=numbers([bounds.most_bars for bounds in rows]),
        hold_tempo=np.array([bounds.hold_tempo for bounds in rows]),
    )


def _up(size: int, multiple: int) -> int:
    """The next multiple of a number."""
    return -(-size // multiple) * multiple
