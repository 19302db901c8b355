"""Improvise and Compose: the tasks that begin a piece of some style, or of some description."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Composes, Example
from t5music.errors import ConfigError
from t5music.music import encodings
from t5music.music.score import NOTE, Score


def _opening(piece: Piece, encoding_name: str, words: int) -> str:
    """How the piece begins, in at most so many words; '' for a piece of no notes."""
    encoding = encodings.get(encoding_name)
    segments = encoding.segments(encoding.encode(piece.score), words)
    return encoding.to_text(segments[0]) if segments else ""


def _alone(encoding_name: str, answers: Sequence[NDArray[np.int32]]) -> Answer:
    """The answer's music after no prompt at all."""
    decoded = encodings.get(encoding_name).decode(np.concatenate(answers))
    nothing = dataclasses.replace(decoded.score, notes=np.empty(0, NOTE))
    return Answer(decoded.score, nothing, decoded.repairs)


@dataclass(frozen=True)
class Improvise(Composes):
    """`improvise STYLE` -> how a piece begins.

        inputs   improvise jazz
        targets  Bar TimeSig_4/4 Pos_0 Tempo_140 Program_0 Velocity_18 Pitch_43 Duration_12 ...

    Attributes:
        style: the music's style, all that the prompt says.
        encoding: name of the encoding.
        words: the longest opening, in event words.
    """

    kind: ClassVar[str] = "improvise"
    needs_music: ClassVar[bool] = False
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)
    style: str
    encoding: str
    words: int = 480

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields the one example of a piece."""
        if opening := _opening(piece, self.encoding, self.words):
            yield Example(f"improvise {self.style}", opening)

    def prompts(self, score: Score) -> list[str]:
        """The one prompt there is, whatever the score."""
        del score
        return [f"improvise {self.style}"]

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The answer alone (event ids of the encoding); nothing of the score."""
        del score
        return _alone(self.encoding, answers)


@dataclass(frozen=True)
class Compose(Composes):
    """`compose: <caption>` -> how the music so described begins.

        inputs   compose: A slow and relaxing classical piece with piano in C minor and 3/4 time.
        targets  Bar TimeSig_3/4 Pos_0 Tempo_66 Program_0 Velocity_14 Pitch_48 Duration_36 ...

    A caption costs an id a byte: those of MidiCaps are some 400 bytes long.

    Attributes:
        encoding: name of the encoding.
        words: the longest opening, in event words.
        label: the corpus' label that holds the caption.
        caption: what to compose when the model is asked (`dataclasses.replace(kind, caption="...")`).
    """

    kind: ClassVar[str] = "compose"
    needs_music: ClassVar[bool] = False
    names_pitches: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)
    encoding: str
    words: int = 480
    label: str = "caption"
    caption: str = ""

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields the one example of a piece; none where it has no caption."""
        caption = " ".join(piece.labels.get(self.label, "").split())
        if caption and (opening := _opening(piece, self.encoding, self.words)):
            yield Example(f"compose: {caption}", opening)

    def prompts(self, score: Score) -> list[str]:
        """The caption as a prompt, whatever the score. Raises ConfigError where there is no caption."""
        del score
        caption = " ".join(self.caption.split())
        if not caption:
            raise ConfigError("compose: no caption: say what to compose")
        return [f"compose: {caption}"]

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The answer alone (event ids of the encoding); nothing of the score."""
        del score
        return _alone(self.encoding, answers)
