"""Examples and Composes: what every kind of example has in common."""

from __future__ import annotations

import abc
from collections import Counter
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
    """Music made of a prompt and the model's answer to it.

    Attributes:
        score: prompt and answer together.
        prompt: the prompt alone, with the same ticks.
        repairs: illegal words of the answer that were dropped or mended.
        cut: seconds at which the prompt ends, where the answer follows it in time.
        gap: (begin, end) in ticks of what the answer replaced; None where it replaced nothing.
    """

    score: Score
    prompt: Score
    repairs: int
    cut: float | None = None
    gap: tuple[int, int] | None = None

    @property
    def is_new(self) -> NDArray[np.bool_]:
        """True [notes] for the notes of `score` that the prompt does not have."""
        fields = ["onset", "pitch", "program"]
        prompt = Counter(self.prompt.notes[fields].tolist())
        is_new = np.ones(len(self.score.notes), bool)
        for place, note in enumerate(self.score.notes[fields].tolist()):
            if prompt[note] > 0:
                prompt[note] -= 1
                is_new[place] = False
        return is_new


def names_pitches(examples: Examples | None) -> bool:
    """Whether the texts of a kind of example name keys, chords or notes, so that its music cannot be moved alone."""
    return getattr(examples, "names_pitches", False)


class Examples(Protocol):
    """A kind of example: a frozen dataclass whose fields are JSON values (tuples come back from lists).

    Attributes:
        kind: its name in manifests and checkpoints.
        metrics: names of the functions of t5music.data.answer_metrics that judge answers in text.
        encoding: name of the encoding.

    Some have `objectives` of their own, steps between what is stored and what a model reads and writes, and then
    `restored(text)`, which gives what was stored back. Some have `names_pitches`, a ClassVar: see the function.
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
        extends: an answer is new notes for the music it was asked about, which stays.
        accompanies: an answer sounds at the same time as the music it was asked about.
    """

    kind: ClassVar[str]
    begins: ClassVar[str] = ""
    ends: ClassVar[bool] = False
    needs_music: ClassVar[bool] = True
    extends: ClassVar[bool] = False
    accompanies: ClassVar[bool] = False
    encoding: str

    @abc.abstractmethod
    def prompts(self, score: Score) -> list[str]:
        """The prompts made of a score. Raises MidiError for a score that no prompt can be made of."""

    def before(self, score: Score) -> list[NDArray[np.int32]] | None:
        """The music that each answer goes on from (event ids of the encoding); None where answers begin afresh."""
        del score
        return None

    def given(self, score: Score) -> list[NDArray[np.int32]] | None:
        """The words that are given of each answer (event ids, -1 where the model decides); None where none are."""
        del score
        return None

    def windows(self, score: Score) -> list[tuple[int, list[NDArray[np.int32]]]] | None:
        """The bars whose place each answer takes: the number of the first, and the events of each.

        None where answers are as long as they like, or have no bars.
        """
        del score
        return None

    @abc.abstractmethod
    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """Music of a score and the model's answer to each of its prompts (event ids of the encoding)."""
