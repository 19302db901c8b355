"""Caption: the task that describes music in a sentence or two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Example
from t5music.data.examples.classification import evenly
from t5music.errors import MidiError
from t5music.music import encodings
from t5music.music.score import Score


@dataclass(frozen=True)
class Caption:
    """`caption: <words>` -> the caption of the piece.

    A caption is of the whole piece, and a piece is longer than a prompt: each of its segments is asked for the same
    caption.

    Attributes:
        encoding: name of the encoding.
        words: the longest segment, in event words.
        segments: at most this many segments a piece, evenly spaced.
    """

    kind: ClassVar[str] = "caption"
    names_pitches: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("bleu", "rouge_l")
    encoding: str
    words: int = 480
    segments: int = 2

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per segment; none for a piece without the label `caption`."""
        if caption := " ".join(piece.labels.get("caption", "").split()):
            events = encodings.get(self.encoding).encode(piece.score)
            yield from (Example(prompt, caption) for prompt in self._prompts(events))

    def prompts(self, score: Score) -> list[str]:
        """The prompts of a score, one per segment. Raises MidiError for a score without notes."""
        prompts = self._prompts(encodings.get(self.encoding).encode(score))
        if not prompts:
            raise MidiError("no notes to describe")
        return prompts

    def _prompts(self, events: NDArray[np.int32]) -> list[str]:
        encoding = encodings.get(self.encoding)
        segments = encoding.segments(events, self.words)
        return [f"caption: {encoding.to_text(segment)}" for segment in evenly(segments, self.segments)]
