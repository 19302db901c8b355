"""Encoding: the base class of tx1, performance, remi, tx2 and satb, with what all of them share.

An event id is the index of an event word in its encoding's `words`; events are int32 arrays of event ids. What the
augmentations need to know of the words (which say a pitch, a wait, a tempo) are arrays with an entry for each word.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError, MidiError, nearest
from t5music.music.score import Score

Events = NDArray[np.int32]  # [events], event ids

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
        adds_to: name of the encoding whose words are among these; '' for none.
        says_onsets: whether words say where notes begin.
        is_note: bool [words], True where the word begins a note; without `says_onsets`, where it sounds one.
        pitches: int64 [words], the pitch in each word that transposition moves; -1 for all other words. Percussion
            has none.
        semitones_down, semitones_up: int32 [words], by how many semitones a word can be transposed: its event id less
            or more that many is the word of the new pitch. 0 for all other words.
        waits: int64 [words], the units of its clock that each word waits; 0 for all other words.
        tempi: int64 [words], the tempo that each word sets, in quarters a minute; 0 for all other words.
    """

    adds_to: str = ""
    says_onsets: bool = True

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        is_note: ArrayLike,
        *,
        pitches: ArrayLike,
        waits: ArrayLike = 0,
        tempi: ArrayLike = 0,
    ) -> None:
        """The arrays are [words], as in the class; a number stands for all words."""
        self.name = name
        self.words = tuple(words)
        self.ids = {word: index for index, word in enumerate(self.words)}
        self._table = np.array(self.words, object)
        self.is_note = _constant(is_note, len(self.words), bool)
        self.pitches = _constant(pitches, len(self.words), np.int64)
        self.semitones_down, self.semitones_up = _transposition_room(self.pitches)
        self.waits = _constant(waits, len(self.words), np.int64)
        self.tempi = _constant(tempi, len(self.words), np.int64)

    # ------------------------------------------------------------------------------------------------------- music

    @abc.abstractmethod
    def encode(self, score: Score) -> Events:
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
    def _decode(self, events: Events) -> Decoded: ...

    @abc.abstractmethod
    def times(self, events: ArrayLike) -> NDArray[np.float64]:
        """Seconds (float64 [events + 1], never falling) at which each event happens, and the last one is over."""

    def times_in(self, score: Score, events: ArrayLike) -> NDArray[np.float64]:
        """As `times`, in the seconds of the score whose events they are: for encodings that leave its tempi out."""
        del score
        return self.times(events)

    # -------------------------------------------------------------------------------------------------------- cuts

    @abc.abstractmethod
    def segments(self, events: ArrayLike, length: int) -> list[Events]:
        """Cuts the events of one piece into arrays of at most `length` (>= 16) events, each decodable by itself."""

    @abc.abstractmethod
    def chunks(self, events: ArrayLike, length: int) -> list[Events]:
        """Cuts the events into arrays of at most `length` (>= 16) events which together are the events again.

        The cuts are where `segments` cuts, but nothing is added or left out: what sounds or holds at a cut is known
        only from the chunks before. For a piece and its continuation.
        """

    @abc.abstractmethod
    def split_seconds(self, events: ArrayLike, seconds: float) -> tuple[Events, Events]:
        """Cuts events in two, (prompt, rest), after about `seconds` of music. Together they are the events again."""

    @abc.abstractmethod
    def cuts(self, events: ArrayLike) -> NDArray[np.int64]:
        """Indices inside the events (neither 0 nor their number) at which music may be parted, int64 [cuts], rising.

        What happens at a cut's time comes after the cut.
        """

    @abc.abstractmethod
    def replace(self, events: ArrayLike, first: int, last: int, answer: ArrayLike) -> Events:
        """The events of one piece with `answer` in place of events[first:last]; all else stays where and as it was.

        `first` and `last` are cuts, or the ends. What was there, put back, gives the events again; any other answer is
        made to fit.
        """

    # -------------------------------------------------------------------------------------------------------- text

    def to_text(self, events: ArrayLike) -> str:
        """The event words joined by single spaces: 'WT_12 P1_NOTEON_60'."""
        return " ".join(self._table[self._checked(events)])

    def from_text(self, text: str) -> Events:
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

    def _checked(self, events: ArrayLike) -> Events:
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


def inside(places: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The places between 0 and `length`, both left out."""
    return places[(places > 0) & (places < length)]


def _constant(values: ArrayLike, size: int, dtype: type) -> NDArray:
    """The values as an array [size] that nobody can write to."""
    array: NDArray = np.array(np.broadcast_to(np.asarray(values, dtype), size))
    array.flags.writeable = False
    return array


def _transposition_room(pitches: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """How far each word is from the ends of its family, (down, up) int32 [words] each; 0 for words without a pitch.

    A family are words whose pitches rise by one from event id to event id, such as all of P1_NOTEON.
    """
    pitched = pitches >= 0
    follows = np.append(False, pitched[1:] & pitched[:-1] & (np.diff(pitches) == 1))  # its predecessor in the family
    places = np.arange(len(pitches))
    first = np.maximum.accumulate(np.where(follows, 0, places))
    last_first = np.append(follows[1:], False)  # words that are followed by one of their family
    last = np.minimum.accumulate(np.where(last_first, len(pitches), places)[::-1])[::-1]
    return (places - first).astype(np.int32), (last - places).astype(np.int32)
