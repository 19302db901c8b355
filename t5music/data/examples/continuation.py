"""Continue: the task that extends a prompt."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Composes, Example
from t5music.errors import MidiError
from t5music.music import encodings
from t5music.music.score import Score


@dataclass(frozen=True)
class Continue(Composes):
    """`continue STYLE: <words>` -> the words that follow.

        inputs   continue nes: P1_NOTEON_76 WT_11000 P1_NOTEOFF WT_5500
        targets  P1_NOTEON_79 TR_NOTEON_40 WT_11000 ...

    Prompt and answer are the piece's own words: together they are the piece again.

    Attributes:
        style: the music's style, named in the prompt.
        encoding: name of the encoding.
        words: the longest prompt, and the longest continuation, in event words.
    """

    kind: ClassVar[str] = "continue"
    extends: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)
    style: str
    encoding: str
    words: int = 256

    def _ask(self, text: str) -> str:
        return f"continue {self.style}: {text}"

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per pair of neighbouring chunks; none for a piece of a single chunk."""
        encoding = encodings.get(self.encoding)
        texts = [encoding.to_text(chunk) for chunk in encoding.chunks(encoding.encode(piece.score), self.words)]
        for prompt, rest in itertools.pairwise(texts):
            yield Example(self._ask(prompt), rest)

    def prompts(self, score: Score) -> list[str]:
        """One prompt: the end of the music, as much as `words` holds."""
        encoding = encodings.get(self.encoding)
        return [self._ask(encoding.to_text(self._ending(score)))]

    def _ending(self, score: Score) -> NDArray[np.int32]:
        encoding = encodings.get(self.encoding)
        halves = encoding.chunks(encoding.encode(score), self.words // 2)
        if not halves:
            raise MidiError("no music to continue")
        return np.concatenate(halves[-2:])

    def prompt_seconds(self, score: Score) -> tuple[float, float]:
        """How long the music in the prompt lasts, and the whole music, in seconds."""
        encoding = encodings.get(self.encoding)
        ending, whole = len(self._ending(score)), encoding.times_in(score, encoding.encode(score))
        return float(whole[-1] - whole[-1 - ending]), float(whole[-1])

    def before(self, score: Score) -> list[NDArray[np.int32]]:
        """The whole score: its end, which is the prompt, may not say the tempo in force."""
        return [encodings.get(self.encoding).encode(score)]

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The whole score, encoded and decoded, followed by the one answer (event ids of the encoding)."""
        encoding = encodings.get(self.encoding)
        events = encoding.encode(score)
        whole = encoding.decode(np.concatenate([events, *answers]))
        prompt = encoding.decode(events).score
        return Answer(whole.score, prompt, whole.repairs, cut=prompt.duration_seconds)
