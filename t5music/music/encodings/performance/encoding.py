"""performance: the 388 event words of Performance RNN and Music Transformer.

NOTE_ON_0..127, NOTE_OFF_0..127, TIME_SHIFT_1..100 in steps of 10 ms, VELOCITY_1..32: words, event ids and the order of
events are those of note-seq's PerformanceOneHotEncoding (steps_per_second 100, num_velocity_bins 32). The sustain pedal
is played out first; all pitched tracks are one.

What is lost: percussion, tracks and programs, tempo, meters, keys. Onsets and ends move by at most 5 ms, but a note
lasts at least one step of 10 ms; velocities move by at most 2. Notes of one pitch that overlap end first in, first out
(only there may the note-offs of a step come in another order than note-seq's).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t5music.music.encodings.base import (
    DEFAULT_VELOCITY_BIN,
    VELOCITY_BINS,
    Decoded,
    Events,
    bin_velocity,
    velocity_bin,
)
from t5music.music.encodings.clock import ClockEncoding
from t5music.music.instruments import instrument_name
from t5music.music.ordering import stable_order
from t5music.music.score import DRUMS, NOTE, TEMPO, Score

STEPS_PER_SECOND = 100
MAX_SHIFT = 100
# The order of the notes that begin in one step is kept by starting a note that would sort before its predecessor a tick
# (0.1 ms) later than it, at most 49 times, which is less than half a step.
TICKS_PER_STEP = 100
TICKS_PER_QUARTER = TICKS_PER_STEP * STEPS_PER_SECOND // 2  # at tempo 120

NOTE_ON, NOTE_OFF, TIME_SHIFT, VELOCITY = 0, 128, 256, 256 + MAX_SHIFT  # the first event id of each kind


class Performance(ClockEncoding):
    """Music Transformer's encoding."""

    def __init__(self) -> None:
        words = [f"NOTE_ON_{pitch}" for pitch in range(128)]
        words += [f"NOTE_OFF_{pitch}" for pitch in range(128)]
        words += [f"TIME_SHIFT_{steps}" for steps in range(1, MAX_SHIFT + 1)]
        words += [f"VELOCITY_{number}" for number in range(1, VELOCITY_BINS + 1)]
        waits = np.zeros(len(words), int)
        waits[TIME_SHIFT:VELOCITY] = np.arange(1, MAX_SHIFT + 1)
        ids = np.arange(len(words))
        pitches = np.where(ids < TIME_SHIFT, ids % NOTE_OFF, -1)
        super().__init__("performance", words, ids < NOTE_OFF, pitches=pitches, waits=waits, rate=STEPS_PER_SECOND)

    def encode(self, score: Score) -> Events:
        """Event ids of the pitched notes, sustain pedal played out. Raises MidiError beyond 90 minutes.

        At one step the note-offs come first, in the order in which their notes began; then the notes in the order of
        their exact onsets, and of pitch where those are equal.
        """
        score = score.sustained()
        notes = score.notes[score.notes["program"] != DRUMS]
        if not len(notes):
            return np.empty(0, np.int32)
        onset = score.seconds(notes["onset"])
        order = stable_order((notes["onset"], notes["pitch"]))
        notes, onset = notes[order], onset[order]
        starts = _steps(onset)
        ends = np.maximum(_steps(score.seconds(notes["onset"] + notes["duration"])), starts + 1)
        pitches = notes["pitch"].astype(np.int64)
        grouped = np.argsort(
            pitches.astype(np.uint8), kind="stable"
        )  # first in, first out: of each pitch, the ends in order
        ends[grouped] = ends[stable_order((pitches, ends))]

        bins = velocity_bin(notes["velocity"].astype(np.int64))
        changed = np.flatnonzero(np.diff(bins, prepend=0))
        # Sorted by (step, offs before ons, note, velocity before note-on); a note's number is its place in the order.
        number = np.arange(len(notes))
        steps = np.concatenate([ends, starts[changed], starts])
        rank = np.concatenate([number, len(notes) + 2 * changed, len(notes) + 2 * number + 1])
        ids = np.concatenate([NOTE_OFF + pitches, VELOCITY - 1 + bins[changed], NOTE_ON + pitches])
        order = stable_order((steps, rank))
        return self._with_waits(steps[order], ids[order])

    def _decode(self, events: Events) -> Decoded:
        """The score at tempo 120, one piano track, 10,000 ticks a second.

        Repairs: note-offs that end nothing, notes that end in the step in which they begin (both dropped), notes
        without an end (ended with the events), a first note without a velocity, events after 90 minutes (dropped).
        """
        events, steps, repairs = self._within_limit(events)
        total = int(steps[-1]) if len(steps) else 0
        on = np.flatnonzero(events < NOTE_OFF)
        partner, stray = _pair(events)
        closed = partner[on] >= 0
        starts = steps[on]
        ends = np.where(closed, steps[partner[on]], total)
        sounding = ends > starts
        repairs += int(stray.sum() + (~sounding).sum() + (sounding & ~closed).sum())

        stated = np.maximum.accumulate(np.where(events >= VELOCITY, np.arange(len(events)), -1))[on]
        bins = np.where(stated >= 0, events[stated] - VELOCITY + 1, DEFAULT_VELOCITY_BIN)
        repairs += int((stated[:1] < 0).sum())
        pitches = events[on] - NOTE_ON
        onsets = starts * TICKS_PER_STEP + _delays(starts, pitches * (VELOCITY_BINS + 1) + bins)

        notes = np.zeros(int(sounding.sum()), NOTE)
        notes["onset"] = onsets[sounding]
        notes["duration"] = (ends * TICKS_PER_STEP - onsets)[sounding]
        notes["pitch"] = pitches[sounding]
        notes["velocity"] = bin_velocity(bins)[sounding]
        tempos = np.array([(0, 500_000)], TEMPO)
        names = (instrument_name(0),) if len(notes) else ()
        return Decoded(Score(TICKS_PER_QUARTER, notes, tempos=tempos, track_names=names), repairs)

    def _stray(self, events: Events) -> NDArray[np.bool_]:
        return _pair(events)[1]

    def _opened(self, events: Events, start: int, stop: int) -> Events:
        """As in ClockEncoding; and the velocity in force is stated before the segment's first note."""
        piece = super()._opened(events, start, stop)
        first = int(np.argmax(np.append((piece < NOTE_OFF) | (piece >= VELOCITY), True)))
        if first == len(piece) or piece[first] >= VELOCITY:
            return piece
        return np.insert(piece, first, self._in_force(events[:start]))

    def _note_offs(self, notes: NDArray) -> NDArray[np.int64]:
        return NOTE_OFF + notes["pitch"].astype(np.int64)

    def _in_force(self, events: Events) -> Events:
        """The last velocity."""
        return events[np.flatnonzero(events >= VELOCITY)[-1:]]


def _steps(seconds: NDArray) -> NDArray[np.int64]:
    """Seconds to the nearest step, half way up: note-seq's quantize_to_step."""
    return np.floor(seconds * STEPS_PER_SECOND + 0.5).astype(np.int64)


def _delays(steps: NDArray, keys: NDArray) -> NDArray[np.int64]:
    """By how many ticks each note is later than its step, so that sorting by time and key leaves the notes' order.

    steps, keys: int [notes], in order; within a step a note whose key is less than its predecessor's is a tick later.
    """
    begins = np.diff(steps, prepend=-1) > 0
    turns = np.cumsum(~begins & (np.diff(keys, prepend=0) < 0))
    return np.minimum(turns - np.maximum.accumulate(np.where(begins, turns, 0)), TICKS_PER_STEP // 2 - 1)


def _pair(events: Events) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Matches note-ons and note-offs of each pitch, first in, first out.

    Returns partner (int64 [events]): for a note-on the index of its note-off, -1 for everything else; and stray (bool
    [events]): note-offs that come while their pitch is silent.
    """
    partner = np.full(len(events), -1, np.int64)
    stray = np.zeros(len(events), bool)
    index = np.flatnonzero(events < TIME_SHIFT)
    index = index[np.argsort(events[index] % NOTE_OFF, kind="stable")]  # by pitch, then in time
    if not len(index):
        return partner, stray
    on = events[index] < NOTE_OFF
    first = np.append(True, np.diff(events[index] % NOTE_OFF) > 0)
    group = np.cumsum(first) - 1
    balance = np.cumsum(np.where(on, 1, -1))
    balance -= (balance - np.where(on, 1, -1))[first][group]
    # Stray note-offs are those at which a pitch's balance falls to a new low below 0. Each pitch is moved so far below
    # the one before that one running minimum serves all.
    shift = group * (2 * len(index) + 2)
    low = np.minimum(np.minimum.accumulate(balance - shift) + shift, 0)
    before = np.where(first, 0, np.roll(low, 1))
    stray[index[low < before]] = True

    ons, offs = index[on], index[~on & (low == before)]
    begin = np.searchsorted(events[ons] % NOTE_OFF, np.arange(128))  # each pitch's first place in `ons` and `offs`
    end = np.searchsorted(events[offs] % NOTE_OFF, np.arange(128))
    pitch = events[offs] % NOTE_OFF
    partner[ons[begin[pitch] + np.arange(len(offs)) - end[pitch]]] = offs
    return partner, stray
