"""Classify: the tasks that label a piece, `classify LABEL: <words>` -> one value of a label set.

`Classify` takes the label that the corpus gives. The others take it from what they know better, and see to it that the
words do not say it:

- `ClassifyKey`, `ClassifyPrintedKey`: no encoding has a word for the key, but a few keys are nearly all that a
  collection has. Every segment is transposed by an interval drawn for it, and the answer with it, so all keys of a mode
  are equally frequent.
- `ClassifyMeter`: remi says the meter in every bar, its bar lines give it away without saying it, and editors give all
  their jigs one tempo. The notes are laid on one neutral grid instead, and where its bar lines fall is drawn.
- `ClassifyStyle`: the label is the corpus, which must not be recognised by its instruments, velocities, tempi or meters
  as stated: all music becomes piano at one velocity on the neutral grid. What is left are the notes and their timing;
  that transcribed performances are off the grid and printed music is on it cannot be hidden.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Example
from t5music.errors import DataError
from t5music.music import encodings
from t5music.music.encodings import Encoding
from t5music.music.encodings.remi.bars import bare, from_first_note
from t5music.music.keys import KEYS, key_index
from t5music.music.midibert.compound_words import spans
from t5music.music.printed_keys import printed_key
from t5music.music.score import DRUMS, METER, TEMPO, Score

T = TypeVar("T")

CORPUS = "corpus"  # the label that every piece has: the name of the corpus it was read from

METERS = ("2/2", "2/4", "3/2", "3/4", "3/8", "4/4", "6/4", "6/8", "9/8", "12/8")

_NEUTRAL_BAR = (12, 4)  # as long as remi's bars get, and a whole number of bars of all METERS but 9/8
_EIGHTHS = 24  # of that bar
_NEUTRAL_TEMPO = 500_000  # microseconds a quarter


@dataclass(frozen=True)
class Classify:
    """`classify LABEL: <words>` -> one of the label's values.

    Attributes:
        label: the corpus' label, named in the prompt.
        values: the label set; pieces with another value are left out.
        encoding: name of the encoding.
        words: the longest segment, in event words.
        segments: at most this many segments a piece, evenly spaced; None for all of them.
        notes: segments of so many notes instead, as MIDI-BERT's are of 512, whatever words they take; of remi only. The
            last one has what is left.
        fewest: with `notes`, a last segment of fewer notes than that is left out (by MIDI-BERT, of composers: 256).
        bare: without Program and Velocity, which MIDI-BERT does not see either; of remi only.
    """

    kind: ClassVar[str] = "classify"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    label: str
    values: tuple[str, ...]
    encoding: str
    words: int = 384
    segments: int | None = 4
    _: KW_ONLY
    notes: int | None = None
    fewest: int = 1
    bare: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if len(self.values) < 2:
            raise DataError(f"classify {self.label}: needs at least two label values, not {list(self.values)}")
        if (self.notes is not None or self.bare) and self.encoding != "remi":
            raise DataError(f"classify {self.label}: notes and bare go with remi, not with {self.encoding}")
        if self.notes is not None and not 1 <= self.fewest <= self.notes:
            raise DataError(
                f"classify {self.label}: a segment has at least 1 note and fewest is no more than it has, not "
                f"notes={self.notes} and fewest={self.fewest}"
            )

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per segment; none where the label is unknown ('') or none of the values."""
        value = piece.labels.get(self.label, "")
        if value in self.values:
            yield from (Example(prompt, value) for prompt in self._prompts(piece.score, self.fewest))

    def prompts(self, score: Score) -> list[str]:
        """The prompts of one piece, one per segment; also of music that is too short to be learned from."""
        return self._prompts(score, self.fewest) or self._prompts(score, 1)

    def _prompts(self, score: Score, fewest: int) -> list[str]:
        segments = self._segments_of(self._visible(score), fewest)
        return [self._ask(segment) for segment in evenly(segments, self.segments)]

    def _ask(self, events: NDArray[np.int32]) -> str:
        return f"classify {self.label}: {encodings.get(self.encoding).to_text(events)}"

    def _segments_of(self, score: Score, fewest: int) -> list[NDArray[np.int32]]:
        encoding = encodings.get(self.encoding)
        if self.notes is None:
            return encoding.segments(self._events(score), self.words)
        parts = (score.notes[cut] for cut in spans(len(score.notes), self.notes, shortest=fewest))
        return [from_first_note(self._events(score.with_notes(part))) for part in parts]

    def _events(self, score: Score) -> NDArray[np.int32]:
        events = encodings.get(self.encoding).encode(score)
        return bare(events) if self.bare else events

    def _visible(self, score: Score) -> Score:
        """What the model may see of a score."""
        return score


@dataclass(frozen=True)
class ClassifyKey(Classify):
    """`classify key: <words>` -> `F# minor`; every segment is transposed, and its answer with it.

    The truth is the corpus' label `key`, for the music up to the first change of key signature. Signatures themselves
    are not believed: many files say C major for want of anything better, and many do not tell major from minor. Keys
    that are neither are left out.

    Attributes:
        versions: how many transpositions of each segment there are, by different intervals from -6 to 5 semitones.
    """

    kind: ClassVar[str] = "classify_key"
    names_pitches: ClassVar[bool] = True
    label: str = "key"
    values: tuple[str, ...] = KEYS
    encoding: str = "remi"
    versions: int = 3

    def examples(self, piece: Piece) -> Iterator[Example]:
        """`versions` examples per segment; an interval that would leave the encoding's pitches is passed over."""
        key = self._key(piece)
        if key is None:
            return
        part = next((part for _, part in _spans(piece.score, piece.score.keys)), piece.score)
        encoding = encodings.get(self.encoding)
        for number, segment in enumerate(evenly(self._segments_of(part, self.fewest), self.segments)):
            for interval, events in transpositions(encoding, segment, self.versions, piece.id, number):
                yield Example(self._ask(events), KEYS[(key + interval) % 12 + key // 12 * 12])

    def _key(self, piece: Piece) -> int | None:
        """The index into KEYS of a piece's key; None where it is not known."""
        return key_index(piece.labels.get(self.label, ""))


@dataclass(frozen=True)
class ClassifyPrintedKey(ClassifyKey):
    """`classify key: <words>` -> `F# minor`, of printed scores, whose signature and end say it (`printed_keys`)."""

    kind: ClassVar[str] = "classify_printed_key"

    def _key(self, piece: Piece) -> int | None:
        return printed_key(piece.score)


@dataclass(frozen=True)
class ClassifyMeter(Classify):
    """`classify meter: <words>` -> `6/8`, of music whose bars, meter and tempo are not told.

    Every meter that the score states is asked of the music for which it holds. The notes are laid on bars of 12/4 at
    tempo 120, whatever they were written in, and the first of them on an eighth of that grid which is drawn for the
    piece. A piece that states no meter (4/4 by convention) is left out.

    Attributes:
        shortest: music of fewer bars in one meter is left out.
    """

    kind: ClassVar[str] = "classify_meter"
    label: str = "meter"
    values: tuple[str, ...] = METERS
    encoding: str = "remi"
    shortest: int = 4

    def examples(self, piece: Piece) -> Iterator[Example]:
        """One example per segment of each stretch of one meter."""
        segments = []
        for number, (change, part) in enumerate(_spans(piece.score, piece.score.meters)):
            value = f"{change['numerator']}/{change['denominator']}"
            if value in self.values and len(part.bars()[0]) >= self.shortest:
                shift = int(_random(piece.id, number).integers(_EIGHTHS))
                moved = _on_neutral_bars(part, shift)
                segments += [(value, segment) for segment in self._segments_of(moved, self.fewest)]
        for value, segment in evenly(segments, self.segments):
            yield Example(self._ask(segment), value)

    def _visible(self, score: Score) -> Score:
        return _on_neutral_bars(score)


@dataclass(frozen=True)
class ClassifyStyle(Classify):
    """`classify style: <words>` -> the style of the corpus that the piece comes from, over several corpora.

    Attributes:
        corpora: names of the corpora, as the pieces' label `corpus` has them.
        styles: the style of each of them, one of `values`.
    """

    kind: ClassVar[str] = "classify_style"
    corpora: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.corpora) != len(self.styles) or set(self.styles) != set(self.values):
            raise DataError(
                f"classify {self.label}: {len(self.corpora)} corpora of the styles {sorted(set(self.styles))} do not "
                f"fit the values {list(self.values)}"
            )

    def examples(self, piece: Piece) -> Iterator[Example]:
        """One example per segment; none for a piece of another corpus."""
        styles = dict(zip(self.corpora, self.styles, strict=True))
        if style := styles.get(piece.labels.get(CORPUS, "")):
            yield from (Example(prompt, style) for prompt in self._prompts(piece.score, self.fewest))

    def _visible(self, score: Score) -> Score:
        return _on_neutral_bars(as_piano(score))


def as_piano(score: Score) -> Score:
    """All pitched notes as one track of one velocity, without a program to be told by; percussion is left out."""
    notes = score.notes[score.notes["program"] != DRUMS].copy()
    notes["program"], notes["track"], notes["velocity"] = 0, 0, 64
    return dataclasses.replace(score, notes=notes, pedals=score.pedals[:0], track_names=())


def _on_neutral_bars(score: Score, eighths: int = 0) -> Score:
    """The notes, so many eighths later, in bars and at a tempo that say nothing about them."""
    notes = score.notes.copy()
    notes["onset"] += eighths * score.ticks_per_quarter // 2
    return dataclasses.replace(
        score,
        notes=notes,
        meters=np.array([(0, *_NEUTRAL_BAR)], METER),
        tempos=np.array([(0, _NEUTRAL_TEMPO)], TEMPO),
        pedals=score.pedals[:0],
    )


def transpositions(
    encoding: Encoding, events: NDArray[np.int32], versions: int, *seed: object
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Yields (interval, events moved by it) for up to `versions` different intervals from -6 to 5 semitones.

    They are drawn by the seed; one that would leave the encoding's pitches is passed over.
    """
    pitched = encoding.pitches[events] >= 0
    lowest = -encoding.semitones_down[events][pitched].min(initial=6)
    highest = encoding.semitones_up[events][pitched].min(initial=6)
    for interval in _random(*seed).permutation(np.arange(-6, 6))[:versions].tolist():
        if lowest <= interval <= highest:
            yield interval, events + interval * pitched


def _random(*seed: object) -> np.random.Generator:
    """A generator of random numbers that depend on the seed and on nothing else."""
    digest = hashlib.sha256("\0".join(map(str, seed)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _spans(score: Score, changes: NDArray) -> Iterator[tuple[NDArray, Score]]:
    """Each change (of key, of meter) with the music for which it holds; of changes at one tick the last one holds."""
    changes = changes[np.append(changes["tick"][1:] != changes["tick"][:-1], True)[: len(changes)]]
    starts = changes["tick"].tolist()
    for change, start, end in zip(changes, starts, [*starts[1:], score.end_tick], strict=False):
        if end > start:
            yield change, score.crop(start, end)


def evenly(items: Sequence[T], most: int | None) -> Iterator[T]:
    """At most `most` of the items (None: all), evenly spaced: the first, the last and what lies between."""
    count = len(items) if most is None else min(most, len(items))
    for index in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int)):
        yield items[index]
