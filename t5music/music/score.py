"""Score: notes as one structured array, with the tempo map, meters, keys and pedals that place them in time.

Times are integer ticks, exactly as in the file; nothing is quantised here. A Score is immutable: every method that
changes something returns a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError
from t5music.music.ordering import stable_order, strict_order

DRUMS = 128  # the program number of every note of a percussion channel
DEFAULT_TEMPO = 500_000  # microseconds per quarter note where a file states none (120 per minute)

NOTE = np.dtype(
    [
        ("onset", np.int64),  # ticks
        ("duration", np.int64),  # ticks
        ("pitch", np.int16),  # 0..127
        ("velocity", np.int16),  # 1..127
        ("program", np.int16),  # 0..127, DRUMS for percussion
        ("track", np.int16),  # index into Score.track_names
    ]
)
TEMPO = np.dtype([("tick", np.int64), ("microseconds", np.int64)])  # per quarter note
METER = np.dtype([("tick", np.int64), ("numerator", np.int16), ("denominator", np.int16)])
KEY = np.dtype([("tick", np.int64), ("fifths", np.int16), ("minor", np.bool_)])  # fifths: -7 (flats) .. 7 (sharps)
PEDAL = np.dtype([("onset", np.int64), ("duration", np.int64), ("track", np.int16)])  # sustain pedal held down

ORDER = {  # what the arrays of a Score are sorted by; changes only by their ticks, for the last one at a tick holds
    "notes": ("onset", "track", "pitch", "duration", "velocity", "program"),
    "pedals": ("onset", "track", "duration"),
}


def _empty(dtype: np.dtype) -> NDArray:
    return np.empty(0, dtype)


def _order(array: NDArray, keys: tuple[str, ...]) -> NDArray[np.int64]:
    """The stable order by several fields."""
    if len(array) < 2:
        return np.arange(len(array))
    if keys == ORDER["notes"]:  # in nearly every piece onset, track and pitch decide
        order = strict_order([array[key] for key in keys[:3]])
        if order is not None:
            return order
    return np.lexsort([array[key] for key in reversed(keys)])


def pedal_spans(ticks: NDArray, down: NDArray, track: int, end: int) -> NDArray:
    """PEDAL spans in which a pedal is down, from where it was moved (ticks, in order) and to what (bool).

    A pedal that is never lifted is down until `end`; one lifted at once was never down.
    """
    changed = down != np.append(False, down[:-1])[: len(down)]
    pressed, lifted = ticks[changed & down], ticks[changed & ~down]
    spans = np.empty(len(pressed), PEDAL)
    spans["onset"], spans["track"] = pressed, track
    spans["duration"] = np.append(lifted, [end] * (len(pressed) - len(lifted))) - spans["onset"]
    return spans[spans["duration"] > 0]


@dataclass(frozen=True, eq=False)
class Score:
    """Notes and what places them in time.

    Arrays are sorted by time, as ORDER says, so that scores with the same notes are equal in whatever order these came.

    Attributes:
        ticks_per_quarter: resolution, > 0.
        notes: NOTE [notes].
        tempos: TEMPO [tempi]; before the first one, and where there is none, DEFAULT_TEMPO holds.
        meters: METER [meters]; before the first one, and where there is none, 4/4 holds.
        keys: KEY [keys], key signatures.
        pedals: PEDAL [pedals], spans in which a track's sustain pedal is down.
        track_names: one name per track, '' where the file has none.
    """

    ticks_per_quarter: int
    notes: NDArray
    tempos: NDArray = field(default_factory=lambda: _empty(TEMPO))
    meters: NDArray = field(default_factory=lambda: _empty(METER))
    keys: NDArray = field(default_factory=lambda: _empty(KEY))
    pedals: NDArray = field(default_factory=lambda: _empty(PEDAL))
    track_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.ticks_per_quarter <= 0:
            raise MidiError(f"ticks per quarter must be positive, not {self.ticks_per_quarter}")
        for name, dtype in (("notes", NOTE), ("tempos", TEMPO), ("meters", METER), ("keys", KEY), ("pedals", PEDAL)):
            array = np.asarray(getattr(self, name), dtype)
            array = array[
                _order(array, ORDER.get(name, ("tick",)))
            ]  # a copy, so the caller's array is not frozen below
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        tracks = int(max(self.notes["track"].max(initial=-1), self.pedals["track"].max(initial=-1))) + 1
        names = tuple(self.track_names)
        object.__setattr__(self, "track_names", names + ("",) * (tracks - len(names)))

    def __eq__(self, other: object) -> bool:
        """Equal resolution, track names and arrays, element for element."""
        if not isinstance(other, Score):
            return NotImplemented
        arrays = ("notes", "tempos", "meters", "keys", "pedals")
        return (
            self.ticks_per_quarter == other.ticks_per_quarter
            and self.track_names == other.track_names
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays)
        )

    __hash__ = None  # type: ignore[assignment]

    # ------------------------------------------------------------------------------------------------------ time

    @property
    def end_tick(self) -> int:
        """The tick at which the last note ends; 0 without notes."""
        return int((self.notes["onset"] + self.notes["duration"]).max(initial=0))

    @property
    def duration_seconds(self) -> float:
        """Seconds from tick 0 to the end of the last note."""
        return float(self.seconds(self.end_tick))

    def _tempo_map(self) -> tuple[NDArray, NDArray, NDArray]:
        """Returns (ticks, microseconds per quarter, seconds at those ticks), starting at tick 0."""
        ticks, microseconds = self.tempos["tick"], self.tempos["microseconds"]
        last = np.append(ticks[1:] != ticks[:-1], True) if len(ticks) else np.empty(0, bool)
        ticks, microseconds = ticks[last], microseconds[last]  # of several tempi at one tick the last one holds
        if not len(ticks) or ticks[0] > 0:
            ticks, microseconds = np.insert(ticks, 0, 0), np.insert(microseconds, 0, DEFAULT_TEMPO)
        spans = np.diff(ticks) * microseconds[:-1]
        starts = np.concatenate([[0], np.cumsum(spans)]) / (1e6 * self.ticks_per_quarter)
        return ticks, microseconds, starts

    def seconds(self, ticks: NDArray | int) -> NDArray:
        """Seconds (float64) from tick 0 at the given ticks, by the tempo map."""
        ticks = np.asarray(ticks, np.int64)
        changes, microseconds, starts = self._tempo_map()
        if len(changes) == 1:
            return starts[0] + (ticks - changes[0]) * (microseconds[0] / (1e6 * self.ticks_per_quarter))
        index = np.clip(np.searchsorted(changes, ticks, side="right") - 1, 0, None)
        return starts[index] + (ticks - changes[index]) * (microseconds[index] / (1e6 * self.ticks_per_quarter))

    def ticks(self, seconds: NDArray | float) -> NDArray:
        """The nearest ticks (int64) at the given seconds: the inverse of `seconds`."""
        seconds = np.asarray(seconds, np.float64)
        changes, microseconds, starts = self._tempo_map()
        index = np.clip(np.searchsorted(starts, seconds, side="right") - 1, 0, None)
        offset = (seconds - starts[index]) * (1e6 * self.ticks_per_quarter) / microseconds[index]
        return changes[index] + np.rint(offset).astype(np.int64)

    @property
    def bar_count(self) -> int:
        """How many bars `bars` would give, without making them."""
        return int(self._bars_by_meter()[2].sum())

    def _bars_by_meter(self) -> tuple[NDArray, NDArray, NDArray]:
        """The meters up to the end of the last note, the length of a bar under each in ticks, and how many it has."""
        meters = self.meters[self.meters["tick"] < max(self.end_tick, 1)]
        if not len(meters) or meters["tick"][0] > 0:
            meters = np.concatenate([np.array([(0, 4, 4)], METER), meters])
        meters = meters[np.append(meters["tick"][1:] != meters["tick"][:-1], True)]
        whole = 4 * self.ticks_per_quarter
        lengths = np.maximum(1, meters["numerator"].astype(np.int64) * whole // meters["denominator"])
        spans = np.diff(meters["tick"], append=max(self.end_tick, 1))
        return meters, lengths, -(-spans // lengths)  # a bar cut short included

    def bars(self) -> tuple[NDArray, NDArray]:
        """Bar starts in ticks (int64 [bars]) and each bar's meter (int16 [bars, 2]), up to the end of the last note.

        A meter change starts a new bar, also where it cuts one short. A bar's length is numerator * 4 / denominator
        quarters, rounded down to a tick and at least one tick. There is always at least one bar.
        """
        meters, lengths, counts = self._bars_by_meter()
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.repeat(meters["tick"], counts) + within * np.repeat(lengths, counts)
        kinds = np.stack([meters["numerator"], meters["denominator"]], axis=1)
        return starts, np.repeat(kinds, counts, axis=0)

    # --------------------------------------------------------------------------------------------- new from old

    def with_notes(self, notes: NDArray) -> Score:
        """The same score with other notes."""
        return replace(self, notes=notes)

    def transpose(self, semitones: int) -> Score:
        """Every pitched note moved by `semitones`; percussion stays. Raises MidiError if a note leaves 0..127."""
        notes = self.notes.copy()
        moved = notes["pitch"].astype(np.int64) + np.where(notes["program"] != DRUMS, semitones, 0)
        if ((moved < 0) | (moved > 127)).any():
            raise MidiError(f"transposing by {semitones} moves a note out of MIDI's range 0..127")
        notes["pitch"] = moved
        return self.with_notes(notes)

    def crop(self, start: int, end: int) -> Score:
        """The music from tick `start` to tick `end`, moved to start at tick 0.

        Notes that begin in the span are kept and shortened at its end; notes that began before it are dropped. The
        tempo, meter and key in force at `start` become the first ones of the new score.
        """
        notes = self.notes[(self.notes["onset"] >= start) & (self.notes["onset"] < end)].copy()
        notes["duration"] = np.minimum(notes["duration"], end - notes["onset"])
        notes["onset"] -= start
        pedals = self.pedals.copy()
        stop = np.minimum(pedals["onset"] + pedals["duration"], end)
        pedals["onset"] = np.maximum(pedals["onset"], start)
        pedals["duration"] = stop - pedals["onset"]
        pedals = pedals[pedals["duration"] > 0]
        pedals["onset"] -= start

        def changes(array: NDArray) -> NDArray:
            before = np.flatnonzero(array["tick"] <= start)[-1:]
            within = array[np.concatenate([before, np.flatnonzero((array["tick"] > start) & (array["tick"] < end))])]
            within = within.copy()
            within["tick"] = np.maximum(within["tick"] - start, 0)
            return within

        return replace(
            self,
            notes=notes,
            tempos=changes(self.tempos),
            meters=changes(self.meters),
            keys=changes(self.keys),
            pedals=pedals,
        )

    def sustained(self) -> Score:
        """The score with the sustain pedal played out: no pedals left, durations as they sound.

        A note that ends while its track's pedal is down lasts until the pedal is lifted, or until the same pitch is
        struck again in that track (percussion is left alone). Tracks with the same program and the very same pedals
        are parts of one instrument, such as two hands on one channel: a strike in one of them counts for all.
        """
        if not len(self.pedals):
            return self
        notes = self.notes.copy()
        onsets, pitches, tracks = (notes[name].astype(np.int64) for name in ("onset", "pitch", "track"))
        ends = onsets + notes["duration"]
        pitched = notes["program"] != DRUMS
        lifts = np.zeros(len(notes), np.int64)  # when the last pedal pressed by a note's end is lifted
        instruments = np.arange(len(self.track_names))  # of each track, the first track of its instrument
        first_track: dict[tuple[bytes, ...], int] = {}
        for track in sorted(set(self.pedals["track"].tolist())):
            pedals = self.pedals[self.pedals["track"] == track]
            in_track = np.flatnonzero(tracks == track)
            programs = np.unique(notes["program"][in_track])
            same = (programs.tobytes(), pedals["onset"].tobytes(), pedals["duration"].tobytes())
            instruments[track] = first_track.setdefault(same, track)
            in_track = in_track[pitched[in_track]]
            pressed = np.searchsorted(pedals["onset"], ends[in_track], side="right")
            lifted = np.maximum.accumulate(pedals["onset"] + pedals["duration"])
            lifts[in_track] = np.append(0, lifted)[pressed]
        keys = instruments[tracks] << 16 | pitches
        order = stable_order((keys, onsets))
        keys, struck = keys[order], np.full(len(notes), np.iinfo(np.int64).max)  # when the same pitch is struck again
        again = np.flatnonzero(keys[1:] == keys[:-1])
        struck[order[again]] = onsets[order[again + 1]]
        notes["duration"] = np.maximum(ends, np.minimum(lifts, struck)) - onsets
        return replace(self, notes=notes, pedals=_empty(PEDAL))
