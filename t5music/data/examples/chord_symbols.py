"""NameChords: the task that gives the chord symbols of a melody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.accompaniment import encoding_with_bars, in_tracks, in_tracks_or_first, windows_of
from t5music.data.examples.base import Example
from t5music.data.examples.classification import transpositions
from t5music.errors import MidiError
from t5music.music import chord_recognition
from t5music.music.encodings.base import Events
from t5music.music.encodings.remi.bars import bars_of
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.score import Score


@dataclass(frozen=True)
class NameChords:
    """`chords STYLE: <a melody>` -> the chords under it, in windows of whole bars.

        inputs   chords chorale: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_52 Velocity_20 Pitch_69 Duration_12 ...
        targets  | Am | Dm E7 | Am |

    The chords of a bar share it equally; `t5music generate --chords` reads the same text. They are recognised in the
    piece's other notes, or in all of them (`music.chord_recognition`). Every window is transposed by intervals drawn
    for it, and its chords with it.

    Attributes:
        style: the music's style, named in the prompt.
        encoding: name of the encoding; it must have bars.
        part: names of the tracks of the melody, in lower case.
        answer: names of the tracks that have the chords; all tracks if empty.
        bars: bars per window.
        beats: whether a chord may change with every beat, or with every bar alone.
        versions: how many transpositions of each window there are, by different intervals from -6 to 5 semitones.
    """

    kind: ClassVar[str] = "name_chords"
    metrics: ClassVar[tuple[str, ...]] = ("chord_accuracy", "chord_root_accuracy")
    names_pitches: ClassVar[bool] = True
    style: str
    encoding: str
    part: tuple[str, ...]
    answer: tuple[str, ...] = ()
    bars: int = 8
    beats: bool = True
    versions: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "part", tuple(self.part))
        object.__setattr__(self, "answer", tuple(self.answer))
        self._encoding()

    def _encoding(self) -> Remi:
        return encoding_with_bars(self.encoding, f"chords {self.style}")

    def _ask(self, window: Events) -> str:
        return f"chords {self.style}: {self._encoding().to_text(window)}"

    def _windows(self, score: Score, melody: NDArray[np.bool_]) -> list[Events]:
        """The words of the melody (True [notes]) in windows of the piece's bars."""
        encoding = self._encoding()
        bars = len(bars_of(encoding.encode(score)))
        return windows_of(encoding, score.with_notes(score.notes[melody]), bars, self.bars)

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields `versions` examples per window in which the melody has notes and some chord sounds.

        None of a piece without tracks of these names, or whose bars are longer than the encoding's.
        """
        score, encoding = piece.score, self._encoding()
        if not len(score.notes) or len(bars_of(encoding.encode(score))) != len(score.bars()[0]):
            return
        part = in_tracks(score, self.answer) if self.answer else None
        chords = chord_recognition.recognise(score, part, beats=self.beats)
        for number, window in enumerate(self._windows(score, in_tracks(score, self.part))):
            under = chords[number * self.bars : (number + 1) * self.bars]
            if not len(window) or not any(chord for bar in under for chord in bar):
                continue
            for interval, events in transpositions(encoding, window, self.versions, piece.id, number):
                symbols = [chord_recognition.symbols(bar, interval) for bar in under]
                yield Example(self._ask(events), chord_recognition.text_of(symbols))

    def prompts(self, score: Score) -> list[str]:
        """One prompt per window of one's own melody: the tracks of these names, or else the first one with notes.

        Raises MidiError for a score without notes.
        """
        windows = self._windows(score, in_tracks_or_first(score, self.part))
        if not any(map(len, windows)):
            raise MidiError("no melody to name the chords of")
        return [self._ask(window) for window in windows if len(window)]
