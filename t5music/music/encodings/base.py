"""What the three encodings share: words and text, the check of what comes in, cutting what runs by a clock.

An event id is the index of an event word in its encoding's `words`; events are int32 arrays of event ids.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError, MidiError, nearest
from t5music.music.score import Score

# An hour and a half: the longest piece that tx1 and performance take or give back. At 44,100 ticks a second it is just
# below 2 ** 28 ticks, the longest delta time a MIDI file can hold.
MAX_SECONDS = 5_400
# The shortest segment that can be asked for: what opens a segment plus one note, in any encoding.
MIN_SEGMENT = 16

VELOCITY_BINS = 32
VELOCITY_BIN_WIDTH = 4  # velocities 1..4 are bin 1, ..., 125..127 are bin 32: note-seq's and Music Transformer's bins
DEFAULT_VELOCITY_BIN = 20  # mezzo-forte, for notes before which no velocity is stated


def velocity_bin(velocity: NDArray) -> NDArray:
    """Bins 1..32 of velocities 1..127."""
    return (np.clip(velocity, 1, 127) - 1) // VELOCITY_BIN_WIDTH + 1


def bin_velocity(bins: NDArray) -> NDArray:
    """The velocity 2, 6, ..., 126 that stands for each bin 1..32; at most 2 away from any velocity of the bin."""
    return bins * VELOCITY_BIN_WIDTH - 2


class Decoded(NamedTuple):
    """A score, and how many illegal events had to be dropped or mended to get it."""

    score: Score
    repairs: int


class Encoding(abc.ABC):
    """Score <-> event ids <-> event words.

    Attributes:
      name: as in `t5music.music.encodings.get`.
      words: the event word of each event id.
      ids: the event id of each event word.
      is_note: bool [words], True where the word begins a note.
    """

    def __init__(self, name: str, words: Sequence[str], is_note: ArrayLike) -> None:
        self.name = name
        self.words = tuple(words)
        self.ids = {word: index for index, word in enumerate(self.words)}
        self.is_note = np.asarray(is_note, bool)
        self.is_note.flags.writeable = False
        self._table = np.array(self.words, object)

    # ------------------------------------------------------------------------------------------------------- music

    @abc.abstractmethod
    def encode(self, score: Score) -> NDArray[np.int32]:
        """The event ids (int32 [events]) of a score; none for a score without notes.

        Raises MidiError where the score cannot be said in this encoding's words.
        """

    def decode(self, events: ArrayLike) -> Decoded:
        """The score that the events spell.

        Illegal events are dropped or mended, and every such repair is counted: what `encode` returns needs none.
        Raises MidiError only for event ids that the encoding does not have.
        """
        return self._decode(self._checked(events))

    @abc.abstractmethod
    def _decode(self, events: NDArray[np.int32]) -> Decoded: ...

    @abc.abstractmethod
    def times(self, events: ArrayLike) -> NDArray[np.float64]:
        """Seconds (float64 [events + 1], never falling) at which each event happens, and the last one is over."""

    @abc.abstractmethod
    def segments(self, events: ArrayLike, length: int) -> list[NDArray[np.int32]]:
        """Cuts the events of one piece into arrays of at most `length` (>= 16) events, each decodable by itself."""

    @abc.abstractmethod
    def chunks(self, events: ArrayLike, length: int) -> list[NDArray[np.int32]]:
        """Cuts the events into arrays of at most `length` (>= 16) events which together are the events again.

        The cuts are where `segments` cuts, but nothing is added or left out: what sounds or holds at a cut is known
        only from the chunks before. For a piece and its continuation.
        """

    @abc.abstractmethod
    def split_seconds(self, events: ArrayLike, seconds: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Cuts events in two, (prompt, rest), after about `seconds` of music. Together they are the events again."""

    # -------------------------------------------------------------------------------------------------------- text

    def to_text(self, events: ArrayLike) -> str:
        """The event words joined by single spaces: 'WT_12 P1_NOTEON_60'."""
        return " ".join(self._table[self._checked(events)])

    def from_text(self, text: str) -> NDArray[np.int32]:
        """The event ids of words parted by white space. Raises MidiError that names the first unknown word."""
        words = text.split()
        try:
            return np.fromiter(map(self.ids.__getitem__, words), np.int32, len(words))
        except KeyError as error:
            word = error.args[0]
            place = words.index(word) + 1
            raise MidiError(
                f"word {place}, {word!r}, is not an event word of {self.name}{nearest(word, self.words)}"
            ) from None

    # ---------------------------------------------------------------------------------------------------- checking

    def _checked(self, events: ArrayLike) -> NDArray[np.int32]:
        """The events as int32 [events]. Raises MidiError for anything but event ids of this encoding."""
        array = np.asarray(events)
        if array.size == 0:
            return np.empty(0, np.int32)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise MidiError(f"{self.name} events must be a flat array of integers, not {array.dtype} {array.shape}")
        wrong = (array < 0) | (array >= len(self.words))
        if wrong.any():
            place = int(np.argmax(wrong))
            raise MidiError(
                f"event {place} is {array[place]}, but the event ids of {self.name} are 0..{len(self.words) - 1}"
            )
        return array.astype(np.int32, copy=False)

    def _checked_length(self, length: int) -> int:
        if length < MIN_SEGMENT:
            raise ConfigError(
                f"a segment of {length} events is too short for {self.name}: ask for {MIN_SEGMENT} or more"
            )
        return int(length)


class ClockEncoding(Encoding):
    """An encoding in which time passes only at time words, each a wait of some units; beats and bars are unknown.

    `times` is exact. Segments begin just before a time word (or inside an instant of more than `length` events); the
    time words of the segments are those of the piece, so their durations add up to the piece's.
    """

    def __init__(self, name: str, words: Sequence[str], is_note: ArrayLike, waits: NDArray, rate: int) -> None:
        """`waits`: int [words], units that each word waits, 0 for the others; `rate`: units a second."""
        super().__init__(name, words, is_note)
        self._waits = waits.astype(np.int64)
        self._rate = rate
        self._longest = int(np.argmax(self._waits))  # the event id of the longest wait

    @abc.abstractmethod
    def _stray(self, events: NDArray[np.int32]) -> NDArray[np.bool_]:
        """True [events] for note-offs that end nothing."""

    def _opened(self, events: NDArray[np.int32], start: int, stop: int) -> NDArray[np.int32]:
        """events[start:stop] as a segment that stands by itself: note-offs of earlier notes are left out."""
        piece = events[start:stop]
        return piece[~self._stray(piece)]

    def times(self, events: ArrayLike) -> NDArray[np.float64]:
        return np.concatenate([[0], np.cumsum(self._waits[self._checked(events)])]) / self._rate

    def segments(self, events: ArrayLike, length: int) -> list[NDArray[np.int32]]:
        """Cuts before time words, as late as `length` allows.

        A segment leaves out the note-offs of notes that began in an earlier one, so two waits may meet in it. Notes
        that sound on beyond the segment are not ended in it.
        """
        events = self._checked(events)
        spans = self._spans(events, self._checked_length(length), opening=1)
        pieces = [self._opened(events, start, stop) for start, stop in spans]
        return [piece for piece in pieces if len(piece)]

    def chunks(self, events: ArrayLike, length: int) -> list[NDArray[np.int32]]:
        events = self._checked(events)
        return [events[start:stop] for start, stop in self._spans(events, self._checked_length(length), opening=0)]

    def _spans(self, events: NDArray[np.int32], length: int, opening: int) -> Iterator[tuple[int, int]]:
        """Where to cut; `opening`: how many words are needed to open any but the first piece."""
        cuts = np.append(np.flatnonzero(self._waits[events] > 0), len(events))
        start = 0
        while start < len(events):
            room = length - opening * (start > 0)
            stop = int(np.append(0, cuts)[np.searchsorted(cuts, start + room, side="right")])
            if stop <= start:
                stop = min(start + room, len(events))
            yield start, stop
            start = stop

    def split_seconds(self, events: ArrayLike, seconds: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Cuts so that the prompt lasts at most `seconds`: a wait that would go on longer begins the rest."""
        events = self._checked(events)
        limit = round(seconds * self._rate)
        ends = np.cumsum(self._waits[events])
        waits = self._waits[events] > 0
        cut = int(np.count_nonzero(np.where(waits, ends <= limit, ends < limit)))
        return events[:cut], events[cut:]

    def _with_waits(self, units: NDArray, ids: NDArray, rests: NDArray) -> NDArray[np.int32]:
        """Event ids, each at its time, with the time words between them.

        units: int64 [events], at least one, never falling: the time of each event; ids: their event ids; rests: int
        [longest wait + 1], the event id of the word for a wait of so many units. Longer waits are the longest word,
        repeated, and a rest. Raises MidiError beyond MAX_SECONDS.
        """
        self._check_duration(int(units[-1]))  # before anything of that length is made
        gaps = np.diff(units, prepend=0)
        longest = int(self._waits[self._longest])
        whole = np.where(gaps > 0, (gaps - 1) // longest, 0)
        last = np.cumsum(whole + (gaps > 0) + 1) - 1  # where each event itself goes
        out = np.full(int(last[-1]) + 1, self._longest, np.int32)
        out[last] = ids
        waited = gaps > 0
        out[last[waited] - 1] = rests[(gaps - whole * longest)[waited]]
        self._check_duration(int(self._waits[out].sum()))
        return out

    def _within_limit(self, events: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
        """The events of the first MAX_SECONDS, the unit at which each happens, and how many events come later."""
        units = np.cumsum(self._waits[events])
        kept = int(np.searchsorted(units, MAX_SECONDS * self._rate, side="right"))
        return events[:kept], units[:kept], len(events) - kept

    def _check_duration(self, units: int) -> None:
        if units > MAX_SECONDS * self._rate:
            seconds = units / self._rate
            raise MidiError(f"the piece lasts {seconds:.0f} s and {self.name} takes at most {MAX_SECONDS} s: crop it")
