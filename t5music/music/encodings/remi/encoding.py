"""remi: bars, positions, meter and tempo changes, any number of instruments, percussion.

    Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60 Duration_12 Pitch_64 Duration_6 Pos_12 Drum_38 Bar

Every bar says its meter and then, position by position (12 a quarter), the tempo where it changes (always at the start)
and the notes that begin, by program and pitch, percussion last. Program is said where it differs from that of the last
pitched note in the bar, Velocity where it differs from that of the last note in the bar, so each bar can be read
without the one before it. Percussion has neither Program nor Duration. The last bar is that of the last onset.

What is lost: onsets and ends move by at most 1/24 quarter, but a note lasts at least 1/12. Durations beyond two
quarters are within 4 % (7.3 % where rounding up would run into the next note of the same key) up to 32 quarters; longer
ones are cut to that, and percussion gets 1/12 quarter. Velocities move by at most 2, tempi by at most 2.5 % within
20..320 a minute, and of several tempi at one position the last holds. Tracks of one program become one; notes of one
program and pitch follow one another (grid.separate). Bar lines move to the nearest 1/32 note, and bars of a meter
that has no word, or cut short by a change of meter, become one or more of the same length (grid.meters_of); notes
never move because of that. Keys, the sustain pedal (durations are those written) and track names are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.music.encodings.base import (
    DEFAULT_VELOCITY_BIN,
    Decoded,
    Encoding,
    Events,
    bin_velocity,
    inside,
    velocity_bin,
)
from t5music.music.encodings.remi import bars as remi_bars
from t5music.music.encodings.remi import cut as remi_cut
from t5music.music.encodings.remi.grid import (
    DURATIONS,
    METER_UNITS,
    METERS,
    POSITION,
    TEMPI,
    TICKS,
    UNIT,
    lay_notes,
    nearest_index,
    place,
    separate,
)
from t5music.music.encodings.remi.words import (
    BAR,
    DRUM,
    DURATION,
    FIRST,
    HEAD_KINDS,
    KIND_OF,
    PITCH,
    PITCHES,
    POS,
    PROGRAM,
    TEMPO_OF,
    TEMPO_WORD,
    TIMESIG,
    VELOCITY,
    WORDS,
    Parsed,
    parse,
)
from t5music.music.instruments import instrument_name
from t5music.music.score import DEFAULT_TEMPO, DRUMS, METER, NOTE, Score

_MINUTE = 60_000_000  # microseconds


class Remi(Encoding):
    """Bars and positions."""

    def __init__(self) -> None:
        super().__init__("remi", WORDS, np.isin(KIND_OF, HEAD_KINDS), pitches=PITCHES, tempi=TEMPO_OF)

    def encode(self, score: Score) -> NDArray[np.int32]:
        """Event ids of any score. Raises MidiError for more than 20,000 bars."""
        notes = score.notes
        if not len(notes):
            return np.empty(0, np.int32)
        laid = lay_notes(score)
        edges, starts, notes = laid.edges, laid.starts, notes[laid.notes]
        durations = nearest_index(laid.lengths, DURATIONS)
        room = np.searchsorted(DURATIONS, laid.room, side="right") - 1
        durations = np.clip(room, 0, durations)  # not rounded up into the next note of the key

        programs, pitches, velocities = (notes[name].astype(np.int64) for name in ("program", "pitch", "velocity"))
        note_rows = _note_rows(laid.bars, programs, velocity_bin(velocities), pitches, durations)
        last_bar = int(laid.bars[-1])
        tempo_ticks, tempi = _tempo_changes(score, edges, last_bar)
        spots = np.unique(np.concatenate([starts, tempo_ticks]))
        spot_rows = np.full((len(spots), 4), -1)
        spot_rows[:, 0] = FIRST[POS] + (spots - edges[np.searchsorted(edges, spots, side="right") - 1]) // POSITION
        spot_rows[np.searchsorted(spots, tempo_ticks), 1] = FIRST[TEMPO_WORD] + tempi
        bar_rows = np.full((last_bar + 1, 4), -1)
        bar_rows[:, 0] = FIRST[BAR]
        bar_rows[:, 1] = FIRST[TIMESIG] + laid.meters[: last_bar + 1]

        # Where they share a tick: the bar, then the position, then its notes.
        key = np.concatenate([edges[: last_bar + 1] * 3, spots * 3 + 1, starts * 3 + 2])
        words = np.concatenate([bar_rows, spot_rows, note_rows])[np.argsort(key, kind="stable")].reshape(-1)
        return words[words >= 0].astype(np.int32)

    def _decode(self, events: NDArray[np.int32]) -> Decoded:
        """The score at 480 ticks a quarter, one track for each program, named as in General MIDI, percussion last.

        Repairs. Dropped: Pitch without Duration, Duration without Pitch, a Program or Velocity that no note follows, a
        TimeSig that does not follow Bar, bars after the 20,000th. Mended: music before the first Bar (in a bar of 4/4),
        a Bar without TimeSig (the meter goes on), notes before the first position of a bar (at its start), positions
        that go back or beyond the bar's end (taken as they are), a Tempo that does not follow a position, a start
        without Tempo (120), a bar whose first notes have no Program or Velocity (the last stated ones), notes of the
        same program and pitch that start or sound together (as in encode).
        """
        if not len(events):
            return Decoded(Score(TICKS, np.empty(0, NOTE)), 0)
        parsed = parse(events)
        at, velocities, programs, repairs = _notes_of(parsed)
        drums = programs == DRUMS
        starts, pitches = parsed.ticks[at], parsed.values[at]
        lengths = np.ones(len(at), np.int64)
        lengths[~drums] = DURATIONS[parsed.values[at[~drums] + 1]]
        ends = starts + lengths * POSITION
        distinct, cut, _ = separate(programs * 128 + pitches, starts, ends, velocities)
        # A bar of an odd number of 1/32 notes ends inside a position: an overlap of less than one is as it should be.
        repairs += int(len(at) - len(distinct) + (ends[distinct] - cut >= POSITION).sum())

        used, tracks = np.unique(programs[distinct], return_inverse=True)
        notes = np.empty(len(distinct), NOTE)
        notes["onset"] = starts[distinct]
        notes["duration"] = cut - starts[distinct]
        notes["pitch"] = pitches[distinct]
        notes["velocity"] = velocities[distinct]
        notes["program"] = programs[distinct]
        notes["track"] = tracks
        change = np.flatnonzero(np.diff(parsed.bar_meters, prepend=-1))
        meters = np.empty(len(change), METER)
        meters["tick"] = parsed.bar_ticks[change]
        meters["numerator"], meters["denominator"] = np.array(METERS)[parsed.bar_meters[change]].T
        names = tuple(instrument_name(program) for program in used)
        score = Score(TICKS, notes, tempos=parsed.tempos, meters=meters, track_names=names)
        return Decoded(score, parsed.repairs + repairs)

    def times(self, events: ArrayLike) -> NDArray[np.float64]:
        """Seconds at the position of each event, and at the end of the last bar (notes may sound on)."""
        events = self._checked(events)
        if not len(events):
            return np.zeros(1)
        parsed = parse(events)
        end = parsed.bar_ticks[-1] + METER_UNITS[parsed.bar_meters[-1]] * UNIT
        # Illegal positions go back or beyond their bar; time never goes back.
        ticks = np.maximum.accumulate(np.append(parsed.ticks[parsed.added :], end))
        seconds = Score(TICKS, np.empty(0, NOTE), tempos=parsed.tempos).seconds(ticks)
        return np.append(seconds, np.full(len(events) + 1 - len(seconds), seconds[-1]))  # bars after the 20,000th

    def segments(self, events: ArrayLike, length: int) -> list[NDArray[np.int32]]:
        """Cuts before Bars, as late as `length` allows.

        A segment says the tempo in force at its Pos_0, which is put in where it has none. A bar of more than `length`
        events is cut before a position or a note; the segment that goes on with it begins with the same bar, empty up
        to that position, so such a bar's time counts more than once. Elsewhere the segments' times add up.
        """
        return remi_cut.segments(self._checked(events), self._checked_length(length))

    def chunks(self, events: ArrayLike, length: int) -> list[NDArray[np.int32]]:
        return remi_cut.chunks(self._checked(events), self._checked_length(length))

    def split_bars(self, events: ArrayLike, bars: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Cuts events in two, (prompt, rest), after so many bars (or all there are). Together they are the events."""
        events = self._checked(events)
        edges = np.append(np.flatnonzero(events == FIRST[BAR]), len(events))
        cut = int(edges[min(max(bars, 0), len(edges) - 1)])
        return events[:cut], events[cut:]

    def split_seconds(self, events: ArrayLike, seconds: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Cuts at the bar line nearest to `seconds`, but after at least one bar."""
        events = self._checked(events)
        edges = np.append(np.flatnonzero(events == FIRST[BAR])[1:], len(events))
        nearest = np.argmin(np.abs(self.times(events)[edges] - seconds))
        return events[: edges[nearest]], events[edges[nearest] :]

    def cuts(self, events: ArrayLike) -> NDArray[np.int64]:
        """The bar lines; see `Encoding.cuts`."""
        events = self._checked(events)
        return inside(np.flatnonzero(events == FIRST[BAR]), len(events))

    def replace(self, events: ArrayLike, first: int, last: int, answer: ArrayLike) -> Events:
        """See `Encoding.replace`. The answer gets as many bars as there were, with their meters.

        Bars that the answer lacks are empty; bars that it has too many, and what lies beyond a bar's end, are left out.
        The tempo that held after the gap holds again.
        """
        return remi_bars.replace(self._checked(events), first, last, self._checked(answer))


def _note_rows(
    bars: NDArray, programs: NDArray, velocities: NDArray, pitches: NDArray, durations: NDArray
) -> NDArray[np.int64]:
    """The words of the notes, int64 [notes, 4]: Program, Velocity, Pitch or Drum, Duration; -1 where there is none."""
    rows = np.full((len(bars), 4), -1)
    drums = programs == DRUMS
    pitched = np.flatnonzero(~drums)
    new = np.diff(bars[pitched], prepend=-1) | np.diff(programs[pitched], prepend=-1)
    stated = pitched[new != 0]
    rows[stated, 0] = FIRST[PROGRAM] + programs[stated]
    stated = np.flatnonzero(np.diff(bars, prepend=-1) | np.diff(velocities, prepend=-1))
    rows[stated, 1] = FIRST[VELOCITY] - 1 + velocities[stated]
    rows[:, 2] = np.where(drums, FIRST[DRUM], FIRST[PITCH]) + pitches
    rows[:, 3] = np.where(drums, -1, FIRST[DURATION] + durations)
    return rows


def _tempo_changes(score: Score, edges: NDArray, last_bar: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the nearest of TEMPI changes (ticks, 480 a quarter; the first is 0), and its index, up to a bar's end."""
    ticks = np.append(0, score.tempos["tick"])
    tempi = _MINUTE / np.maximum(1, np.append(DEFAULT_TEMPO, score.tempos["microseconds"]))
    bars, positions = place(ticks, score.ticks_per_quarter, edges)
    ticks = edges[bars] + positions * POSITION
    last = np.append(np.diff(ticks) > 0, True) & (bars <= last_bar)  # the last one at a position holds
    ticks, index = ticks[last], nearest_index(tempi[last], TEMPI)
    changed = np.diff(index, prepend=-1) != 0
    return ticks[changed], index[changed]


def _notes_of(parsed: Parsed) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """The indices of the events that begin a whole note, their velocities and programs, and repairs; see _decode."""
    kinds, values = parsed.kinds, parsed.values
    before, after, second = np.append(-1, kinds[:-1]), np.append(kinds[1:], -1), np.append(kinds[2:], [-1, -1])
    whole = ((kinds == PITCH) & (after == DURATION)) | (kinds == DRUM)
    note_next = (after == PITCH) | (after == DRUM)
    note_second = (after == VELOCITY) & ((second == PITCH) | (second == DRUM))
    repairs = int(((kinds == PITCH) & ~whole).sum() + ((kinds == DURATION) & (before != PITCH)).sum())
    repairs += int(((kinds == VELOCITY) & ~note_next).sum() + ((kinds == PROGRAM) & ~(note_next | note_second)).sum())

    at = np.flatnonzero(whole)
    drums = kinds[at] == DRUM
    stated = []
    for kind, default, needed in ((PROGRAM, 0, ~drums), (VELOCITY, DEFAULT_VELOCITY_BIN - 1, drums | ~drums)):
        latest = np.maximum.accumulate(np.where(kinds == kind, np.arange(len(kinds)), -1))[at]
        stated.append(np.where(latest >= 0, values[latest], default))
        bars = parsed.bars[at]
        repairs += len(np.unique(bars[needed & (latest < parsed.bar_at[bars])]))
    return at, bin_velocity(stated[1] + 1), np.where(drums, DRUMS, stated[0]), repairs
