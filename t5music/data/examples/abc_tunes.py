"""Transcribe ABC and ABC to music: the tasks between a melody and ABC, the notation of folk tunes.

    "transcribe abc: Bar TimeSig_3/4 Pos_0 Tempo_120 ... Pitch_71 Duration_12 ..."  ->  "X:1\nM:3/4\nL:1/8\nK:G\nB2|..."
    "abc to music: X:1\nM:3/4\nL:1/8\nK:G\nB2|..."  ->  "Bar TimeSig_3/4 Pos_0 ..."

The music is the melody of one tune as written, every repeat once, on a piano at one velocity; the ABC is canonical
(t5music.music.abc_notation) without what cannot be heard in it: title, chord symbols and the order of parts. A tune is
asked for whole or not at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from t5music.corpora.base import Piece
from t5music.data.examples.base import Example
from t5music.errors import MidiError
from t5music.music import abc_notation, encodings
from t5music.music.score import DRUMS, Score

if TYPE_CHECKING:
    from t5music.music.abc_notation import Tune

ABC = "abc"  # the label that holds a tune as ABC


def tune_of(piece: Piece) -> Tune:
    """The piece's label `abc`, or its melody where it has no such label.

    Raises:
        MidiError: Neither can be read, or the label's tune has several voices.
    """
    if text := piece.labels.get(ABC, ""):
        tune = abc_notation.parse(text, piece.id)
        if tune.other_voices:
            raise MidiError(f"{piece.id}: its ABC has several voices: give the melody alone")
        return tune
    return abc_notation.from_score(melody_of(piece.score))


def melody_of(score: Score) -> Score:
    """The notes of the track called melody, or of the only pitched track.

    Raises:
        MidiError: There is neither.
    """
    notes = score.notes[score.notes["program"] != DRUMS]
    tracks = np.unique(notes["track"])
    named = [track for track in tracks.tolist() if score.track_names[track].strip().lower() == "melody"]
    if len(tracks) != 1 and not named:
        raise MidiError(f"{len(tracks)} pitched tracks, none of them called melody: ABC is of one melody")
    return score.with_notes(notes[notes["track"] == (named or tracks)[0]])


@dataclass(frozen=True)
class _Abc:
    """What both directions have in common: pairs of words and ABC.

    Attributes:
        encoding: Name of the encoding.
        words: The longest tune, in event words.
        characters: The longest tune, in characters of ABC.
    """

    names_pitches: ClassVar[bool] = True
    encoding: str = "remi"
    words: int = 480
    characters: int = 480

    def _pair(self, tune: Tune) -> tuple[str, str] | None:
        """The tune's words and its ABC; None if one of them is too long, or there is no note."""
        unheard = abc_notation.Symbol | abc_notation.Part
        heard = tuple(item for item in tune.items if not isinstance(item, unheard))
        tune = dataclasses.replace(tune, items=heard, title="", part_order="")
        encoding = encodings.get(self.encoding)
        events = encoding.encode(tune.to_score())
        text = tune.to_text().strip()
        if not 0 < len(events) <= self.words or len(text) > self.characters:
            return None
        return encoding.to_text(events), text

    def _pairs(self, piece: Piece) -> Iterator[tuple[str, str]]:
        pair = self._pair(tune_of(piece))
        if pair:
            yield pair


@dataclass(frozen=True)
class TranscribeAbc(_Abc):
    """`transcribe abc: <words>` -> the tune in ABC."""

    kind: ClassVar[str] = "transcribe_abc"
    metrics: ClassVar[tuple[str, ...]] = ("abc_valid", "abc_pitch_accuracy")

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example; none for a tune that is too long.

        Raises:
            MidiError: The piece is no melody.
        """
        for words, text in self._pairs(piece):
            yield Example(f"transcribe abc: {words}", text)

    def prompts(self, score: Score) -> list[str]:
        """One prompt.

        Raises:
            MidiError: The score is no melody, or longer than `words`.
        """
        pair = dataclasses.replace(self, characters=10**9)._pair(abc_notation.from_score(melody_of(score)))
        if pair is None:
            raise MidiError(f"the melody has more than {self.words} words of {self.encoding}: give it less music")
        return [f"transcribe abc: {pair[0]}"]


@dataclass(frozen=True)
class PlayAbc(_Abc):
    """`abc to music: <ABC>` -> the tune's words."""

    kind: ClassVar[str] = "abc_to_music"
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example; none for a tune that is too long.

        Raises:
            MidiError: The piece is no melody.
        """
        for words, text in self._pairs(piece):
            yield Example(f"abc to music: {text}", words)
