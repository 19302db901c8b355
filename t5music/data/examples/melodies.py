"""ContinueMelody: the task that extends a melody."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Example
from t5music.data.examples.continuation import Continue
from t5music.music.melodies import melody
from t5music.music.score import Score


@dataclass(frozen=True)
class ContinueMelody(Continue):
    """`continue STYLE: <a melody>` -> how it goes on, of the melody of any music (music.melodies).

        inputs   continue jazz melody: Bar TimeSig_4/4 Pos_0 Tempo_140 Program_0 Velocity_20 Pitch_67 Duration_12 ...
        targets  Bar TimeSig_4/4 Pos_0 Velocity_20 Pitch_69 Duration_6 ...

    Attributes:
        style, encoding, words: as in Continue.
        limit: the most examples of a piece, its first ones: a theme comes before what is made of it. None for all.
    """

    kind: ClassVar[str] = "continue_melody"
    words: int = 128
    limit: int | None = None

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per pair of neighbouring chunks of the melody, up to `limit`."""
        alone = dataclasses.replace(piece, score=melody(piece.score))
        return itertools.islice(super().examples(alone), self.limit)

    def prompts(self, score: Score) -> list[str]:
        """One prompt: the end of the melody."""
        return super().prompts(melody(score))

    def prompt_seconds(self, score: Score) -> tuple[float, float]:
        """The same of the melody."""
        return super().prompt_seconds(melody(score))

    def before(self, score: Score) -> list[NDArray[np.int32]]:
        """The whole melody."""
        return super().before(melody(score))

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The whole melody, encoded and decoded, followed by the one answer."""
        return super().music(melody(score), answers)
