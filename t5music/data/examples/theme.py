"""Develop: the task that turns a theme into a piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Composes, Example
from t5music.errors import DataError, MidiError
from t5music.music import encodings, themes
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.score import Score

SECTION_BARS = 64  # more than `words` hold


@dataclass(frozen=True)
class Develop(Composes):
    """`develop theme: <theme>` -> music that begins with it, all parts.

        inputs   develop theme: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_25 Pitch_72 Duration_6 ...
        targets  Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_25 Pitch_48 Duration_24 Pitch_72 Duration_6 ...

    The theme is the melody of the two to four bars that the piece repeats most (music.themes); the targets are the
    sections of the piece that begin where it occurs, in whatever key.

    Attributes:
        encoding: name of the encoding; it must have bars.
        words: the longest section, in event words.
        sections: at most this many sections a piece, none of which begins within another.
    """

    kind: ClassVar[str] = "develop"
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)
    encoding: str
    words: int = 480
    sections: int = 4

    def __post_init__(self) -> None:
        if not isinstance(encodings.get(self.encoding), Remi):
            raise DataError(f"develop: {self.encoding} has no bars; use remi")

    def _ask(self, theme: NDArray[np.int32]) -> str:
        return f"develop theme: {encodings.get(self.encoding).to_text(theme)}"

    def _events(self, score: Score, theme: themes.Theme) -> NDArray[np.int32]:
        """The words of the theme, at its first occurrence."""
        starts, _ = score.bars()
        start, stop = theme.places[0], theme.places[0] + theme.bars
        end = int(starts[stop]) if stop < len(starts) else score.end_tick
        return encodings.get(self.encoding).encode(score.with_notes(theme.notes).crop(int(starts[start]), end))

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per section; none for a piece in which no phrase recurs."""
        encoding = encodings.get(self.encoding)
        theme = themes.find(piece.score)
        if theme is None or not len(prompt := self._events(piece.score, theme)):
            return
        starts, _ = piece.score.bars()
        first_free, count = 0, 0
        for place in theme.places:
            if place < first_free or count == self.sections:
                continue
            stop = place + SECTION_BARS
            end = int(starts[stop]) if stop < len(starts) else piece.score.end_tick
            segments = encoding.segments(encoding.encode(piece.score.crop(int(starts[place]), end)), self.words)
            if segments:
                yield Example(self._ask(prompt), encoding.to_text(segments[0]))
                first_free = place + int((segments[0] == encoding.ids["Bar"]).sum())
                count += 1

    def _theme(self, score: Score) -> NDArray[np.int32]:
        """The words of one's own theme: the melody of music as short as a theme, or else the phrase that recurs."""
        encoding = encodings.get(self.encoding)
        if len(score.bars()[0]) <= max(themes.BARS):
            events = encoding.encode(score.with_notes(themes.melody(score)))
            if not len(events):
                raise MidiError("no notes to make a theme of")
            return events
        theme = themes.find(score)
        if theme is None:
            raise MidiError(
                f"no phrase of {min(themes.BARS)} to {max(themes.BARS)} bars recurs in it: give the theme alone, in at "
                f"most {max(themes.BARS)} bars"
            )
        return self._events(score, theme)

    def prompts(self, score: Score) -> list[str]:
        """One prompt: the theme."""
        return [self._ask(self._theme(score))]

    def before(self, score: Score) -> list[NDArray[np.int32]]:
        """The theme."""
        return [self._theme(score)]

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The theme alone, then what the one answer (event ids of the encoding) makes of it."""
        encoding = encodings.get(self.encoding)
        theme = self._theme(score)
        whole = encoding.decode(np.concatenate([theme, *answers]))
        prompt = encoding.decode(theme)
        end = float(encoding.times(theme)[-1])  # the theme's last bar is whole
        return Answer(whole.score, prompt.score, whole.repairs, cut=end)
