"""Examples and Composes: what every kind of example has in common."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.music.score import Score


class Example(NamedTuple):
    """One example in plain text."""

    inputs: str
    targets: str


class Answer(NamedTuple):
    """Music made of a prompt and the model's answer to it."""

    score: Score  # prompt and answer together
    prompt: Score  # the prompt alone, with the same ticks
    repairs: int  # illegal words of the answer that were dropped or mended
    cut: float | None = None  # seconds at which the prompt ends, where the answer follows it in time


class Examples(Protocol):
    """A kind of example: a frozen dataclass whose fields are JSON values (tuples come back from lists).

    Attributes:
        kind: its name in manifests and checkpoints.
        metrics: names of the functions of t5music.data.answer_metrics that judge answers in text.
        encoding: name of the encoding.

    Some have `objectives` of their own, steps between what is stored and what a model reads and writes, and then
    `answer(text)`, which gives what was stored back.
    """

    kind: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

    @property
    def encoding(self) -> str: ...

    def examples(self, piece: Piece) -> Iterator[Example]:
        """The examples of one piece; none where it lacks what the task needs.

        Raises MidiError, at any example, for a piece that cannot be said in the words: it is then left out whole.
        """
        ...


class Composes(abc.ABC):
    """A kind of example whose answers are music, so that it can be asked of one's own MIDI file.

    Attributes:
        begins: the first word of every answer, before its music; '' for none.
        ends: an answer's end is the music's, not only that of a cut example.
        needs_music: the prompts depend on the score.
    """

    kind: ClassVar[str]
    begins: ClassVar[str] = ""
    ends: ClassVar[bool] = False
    needs_music: ClassVar[bool] = True
    encoding: str

    @abc.abstractmethod
    def prompts(self, score: Score) -> list[str]:
        """The prompts made of a score. Raises MidiError for a score that no prompt can be made of."""

    def before(self, score: Score) -> list[NDArray[np.int32]] | None:
        """The music that each answer goes on from (event ids of the encoding); None where answers begin afresh."""
        del score
        return None

    @abc.abstractmethod
    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """Music of a score and the model's answer to each of its prompts (event ids of the encoding)."""
