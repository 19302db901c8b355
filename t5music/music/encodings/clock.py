"""ClockEncoding: the base class of encodings in which time passes in waits of so many units (tx1, tx2, performance)."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import MidiError
from t5music.music.encodings.base import Encoding, Events, inside

# An hour and a half: the longest piece that tx1 and performance take or give back. At 44,100 ticks a second it is just
# below 2 ** 28 ticks, the longest delta time a MIDI file can hold.
MAX_SECONDS = 5_400


class ClockEncoding(Encoding):
    """An encoding in which time passes only at time words, each a wait of some units; beats and bars are unknown.

    `times` is exact. Segments begin just before a time word (or inside an instant of more than `length` events); the
    time words of the segments are those of the piece, so their durations add up to the piece's.

    Attributes:
        rate: units of the clock in a second.
        longest_wait: the event id of the longest wait.
        nearest_wait: int64 [longest wait + 1], the event id of the word nearest to a wait of so many units; of two
            that are equally near, the longer one.
    """

    def __init__(
        self, name: str, words: Sequence[str], is_note: ArrayLike, *, pitches: ArrayLike, waits: ArrayLike, rate: int
    ) -> None:
        """See the class and `Encoding`."""
        super().__init__(name, words, is_note, pitches=pitches, waits=waits)
        self.rate = rate
        time_words = np.flatnonzero(self.waits)
        self._time_words = time_words[np.argsort(self.waits[time_words])]  # the shortest first
        units = self.waits[self._time_words]
        self.longest_wait = int(self._time_words[-1])
        middles = (units[1:] + units[:-1]) / 2
        self.nearest_wait = self._time_words[np.searchsorted(middles, np.arange(units[-1] + 1), side="right")]

    @abc.abstractmethod
    def _stray(self, events: Events) -> NDArray[np.bool_]:
        """True [events] for note-offs that end nothing."""

    @abc.abstractmethod
    def _note_offs(self, notes: NDArray) -> NDArray[np.int64]:
        """The event ids of the words that end notes (NOTE [notes]) of a decoded score: [notes]."""

    def _in_force(self, events: Events) -> Events:
        """The words that hold after these events until another is said, such as the last velocity; none by default."""
        return events[:0]

    def _opened(self, events: Events, start: int, stop: int) -> Events:
        """events[start:stop] as a segment that stands by itself: note-offs of earlier notes are left out."""
        piece = events[start:stop]
        return piece[~self._stray(piece)]

    # -------------------------------------------------------------------------------------------------------- time

    def times(self, events: ArrayLike) -> NDArray[np.float64]:
        return np.concatenate([[0], np.cumsum(self.waits[self._checked(events)])]) / self.rate

    def units(self, seconds: float) -> int:
        """The nearest number of units of the clock."""
        return round(seconds / (1 / self.rate))

    def silence(self, units: int) -> Events:
        """Waits (int32 [words]) that last so many units together, the longest first."""
        lengths, words = self.waits[self._time_words], []
        while units > 0:
            place = int(np.searchsorted(lengths, units, side="right")) - 1
            words += [int(self._time_words[place])] * (units // int(lengths[place]))
            units %= int(lengths[place])
        return np.array(words, np.int32)

    # -------------------------------------------------------------------------------------------------------- cuts

    def segments(self, events: ArrayLike, length: int) -> list[Events]:
        """Cuts before time words, as late as `length` allows.

        A segment leaves out the note-offs of notes that began in an earlier one, so two waits may meet in it. Notes
        that sound on beyond the segment are not ended in it.
        """
        events = self._checked(events)
        spans = self._spans(events, self._checked_length(length), opening=1)
        pieces = [self._opened(events, start, stop) for start, stop in spans]
        return [piece for piece in pieces if len(piece)]

    def chunks(self, events: ArrayLike, length: int) -> list[Events]:
        events = self._checked(events)
        return [events[start:stop] for start, stop in self._spans(events, self._checked_length(length), opening=0)]

    def _spans(self, events: Events, length: int, opening: int) -> Iterator[tuple[int, int]]:
        """Where to cut; `opening`: how many words are needed to open any but the first piece."""
        cuts = np.append(np.flatnonzero(self.waits[events] > 0), len(events))
        start = 0
        while start < len(events):
            room = length - opening * (start > 0)
            stop = int(np.append(0, cuts)[np.searchsorted(cuts, start + room, side="right")])
            if stop <= start:
                stop = min(start + room, len(events))
            yield start, stop
            start = stop

    def split_seconds(self, events: ArrayLike, seconds: float) -> tuple[Events, Events]:
        """Cuts so that the prompt lasts at most `seconds`: a wait that would go on longer begins the rest."""
        events = self._checked(events)
        limit = round(seconds * self.rate)
        ends = np.cumsum(self.waits[events])
        waits = self.waits[events] > 0
        cut = int(np.count_nonzero(np.where(waits, ends <= limit, ends < limit)))
        return events[:cut], events[cut:]

    def cuts(self, events: ArrayLike) -> NDArray[np.int64]:
        """The ends of the waits; see `Encoding.cuts`."""
        events = self._checked(events)
        return inside(np.flatnonzero(self.waits[events] > 0) + 1, len(events))

    def replace(self, events: ArrayLike, first: int, last: int, answer: ArrayLike) -> Events:
        """See `Encoding.replace`. The answer lasts as long as what was there: it is cut, or followed by silence.

        Notes of the answer that would sound on beyond the gap end with it, unless what follows ends them. The velocity
        that held after the gap holds again.
        """
        events, answer = self._checked(events), self._checked(answer)
        before, hidden, after = events[:first], events[first:last], events[last:]
        length = int(self.waits[hidden].sum())
        waited, is_wait = np.cumsum(self.waits[answer]), self.waits[answer] > 0
        # What happens when the gap is over comes after it, unless nothing does.
        over = not len(hidden) or self.waits[hidden[-1]] > 0
        middle = answer[(waited < length) | ((waited == length) & (is_wait | (not over)))]
        middle = np.concatenate([middle, self.silence(length - int(self.waits[middle].sum()))])

        original, changed = np.concatenate([before, hidden]), np.concatenate([before, middle])
        note_offs = self._sounding(changed) - self._sounding(original)
        in_force = self._in_force(original)
        if np.array_equal(in_force, self._in_force(changed)):
            in_force = in_force[:0]
        closing = np.array(sorted(note_offs.elements()), np.int32)
        return np.concatenate([before, middle, closing, in_force, after]).astype(np.int32)

    def _sounding(self, events: Events) -> Counter[int]:
        """The note-offs that would end what sounds after these events, with how many of each it would take."""
        # Nothing ends in a unit of silence, so what lasts to its end is what nothing has ended.
        events = np.concatenate([events, self.silence(1)])
        score = self.decode(events).score
        end = score.ticks(self.times(events)[-1])
        notes = score.notes[score.notes["onset"] + score.notes["duration"] == end]
        return Counter(self._note_offs(notes).tolist())

    # -------------------------------------------------------------------------------------------- for subclasses

    def _with_waits(self, units: NDArray, ids: NDArray) -> Events:
        """Event ids, each at its time, with the time words between them.

        Waits beyond the longest word are that word, repeated, and a rest.

        Args:
            units: int64 [events], at least one, never falling: the time of each event.
            ids: int [events], their event ids.

        Raises:
            MidiError: the events last longer than MAX_SECONDS.
        """
        self._check_duration(int(units[-1]))  # before anything of that length is made
        gaps = np.diff(units, prepend=0)
        longest = int(self.waits[self.longest_wait])
        whole = np.where(gaps > 0, (gaps - 1) // longest, 0)
        last = np.cumsum(whole + (gaps > 0) + 1) - 1  # where each event itself goes
        out = np.full(int(last[-1]) + 1, self.longest_wait, np.int32)
        out[last] = ids
        waited = gaps > 0
        out[last[waited] - 1] = self.nearest_wait[(gaps - whole * longest)[waited]]
        self._check_duration(int(self.waits[out].sum()))
        return out

    def _within_limit(self, events: Events) -> tuple[Events, NDArray[np.int64], int]:
        """The events of the first MAX_SECONDS, the unit at which each happens, and how many events come later."""
        units = np.cumsum(self.waits[events])
        count = int(np.searchsorted(units, MAX_SECONDS * self.rate, side="right"))
        return events[:count], units[:count], len(events) - count

    def _check_duration(self, units: int) -> None:
        if units > MAX_SECONDS * self.rate:
            seconds = units / self.rate
            raise MidiError(f"the piece lasts {seconds:.0f} s and {self.name} takes at most {MAX_SECONDS} s: crop it")
