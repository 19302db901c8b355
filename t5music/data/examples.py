"""What a task asks and what it expects: from one piece of music to (inputs, targets) in plain text.

Each kind of example is a small frozen dataclass. The same object makes the training examples of a task
(`examples`), the prompt for one's own music (`prompts`) and music out of the model's answer (`music`). It is written
into the token store's manifest and from there into checkpoints, so that a model knows what it can be asked.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import DataError, MidiError, nearest
from t5music.music import encodings
from t5music.music.encodings.remi import Remi
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


@dataclass(frozen=True)
class Pieces:
    """Music alone, for objectives that make their own inputs: targets are segments of the piece.

    Attributes:
      encoding: name of the encoding.
      words: the longest segment, in event words.
    """

    kind: ClassVar[str] = "pieces"
    encoding: str
    words: int = 1024

    def examples(self, score: Score, labels: Mapping[str, str]) -> Iterator[Example]:
        """Yields one example per segment; its inputs are empty."""
        encoding = encodings.get(self.encoding)
        for segment in encoding.segments(encoding.encode(score), self.words):
            yield Example("", encoding.to_text(segment))


@dataclass(frozen=True)
class Continue:
    """`continue STYLE: <words>` -> the words that follow.

    Attributes:
      style: the music's style, named in the prompt.
      encoding: name of the encoding.
      words: the longest prompt, and the longest continuation, in event words.
    """

    kind: ClassVar[str] = "continue"
    style: str
    encoding: str
    words: int = 256

    def _ask(self, text: str) -> str:
        return f"continue {self.style}: {text}"

    def examples(self, score: Score, labels: Mapping[str, str]) -> Iterator[Example]:
        """Yields one example per pair of neighbouring chunks: prompt and rest are the piece's own words."""
        encoding = encodings.get(self.encoding)
        texts = [encoding.to_text(chunk) for chunk in encoding.chunks(encoding.encode(score), self.words)]
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

    def music(self, score: Score, answer: NDArray[np.int32]) -> Answer:
        """The whole score, encoded and decoded, followed by the answer (event ids of the encoding)."""
        encoding = encodings.get(self.encoding)
        prompt = encoding.encode(score)
        whole = encoding.decode(np.concatenate([prompt, answer]))
        return Answer(whole.score, encoding.decode(prompt).score, whole.repairs)


@dataclass(frozen=True)
class Accompany:
    """`accompany STYLE: <one part>` -> all other parts, in windows of whole bars.

    Attributes:
      style: the music's style, named in the prompt.
      encoding: name of the encoding; it must have bars.
      part: name of the track that is given; the first track where a score has no track of that name.
      bars: bars per window.
    """

    kind: ClassVar[str] = "accompany"
    style: str
    encoding: str
    part: str
    bars: int = 8

    def __post_init__(self) -> None:
        self._encoding()

    def _encoding(self) -> Remi:
        encoding = encodings.get(self.encoding)
        if not isinstance(encoding, Remi):
            raise DataError(f"accompany {self.style}: {self.encoding} has no bars; use remi")
        return encoding

    def _ask(self, given: Score) -> str:
        encoding = encodings.get(self.encoding)
        return f"accompany {self.style}: {encoding.to_text(encoding.encode(given))}"

    def _split(self, score: Score) -> tuple[Score, Score]:
        """Returns (the given part, the other parts)."""
        names = [name.strip().lower() for name in score.track_names]
        first = int(score.notes["track"].min(initial=0))
        given = score.notes["track"] == (names.index(self.part) if self.part in names else first)
        return score.with_notes(score.notes[given]), score.with_notes(score.notes[~given])

    def _windows(self, score: Score) -> Iterator[Score]:
        starts, _ = score.bars()
        edges = [*(int(tick) for tick in starts[:: self.bars]), score.end_tick]
        for start, end in itertools.pairwise(edges):
            if end > start:
                yield score.crop(start, end)

    def examples(self, score: Score, labels: Mapping[str, str]) -> Iterator[Example]:
        """Yields one example per window in which both sides have notes."""
        encoding = encodings.get(self.encoding)
        for window in self._windows(score):
            given, others = self._split(window)
            if len(given.notes) and len(others.notes):
                yield Example(self._ask(given), encoding.to_text(encoding.encode(others)))

    def prompts(self, score: Score) -> list[str]:
        """One prompt per window of the given part."""
        given, _ = self._split(score)
        if not len(given.notes):
            raise MidiError("no notes to accompany")
        return [self._ask(window) for window in self._windows(given)]

    def music(self, score: Score, answers: list[NDArray[np.int32]]) -> Answer:
        """The given part with every window's answer laid under it, on tracks of its own.

        An answer ends with its window, however many bars the model has written.
        """
        encoding = self._encoding()
        given, _ = self._split(score)
        starts, _ = given.bars()
        # One resolution for both: the given part goes through the encoding, as the model has seen it.
        prompt = encoding.decode(encoding.encode(given)).score
        factor = prompt.ticks_per_quarter / score.ticks_per_quarter
        notes, names, repairs = [prompt.notes], list(prompt.track_names), 0
        for first, answer in zip(range(0, len(starts), self.bars), answers, strict=True):
            window, _ = encoding.split_bars(answer, min(self.bars, len(starts) - first))
            decoded = encoding.decode(window)
            repairs += decoded.repairs
            added = decoded.score.notes.copy()
            added["onset"] += round(int(starts[first]) * factor)
            added["track"] += len(prompt.track_names)
            names += decoded.score.track_names[len(names) - len(prompt.track_names) :]
            notes.append(added)
        whole = dataclasses.replace(prompt, notes=np.concatenate(notes), track_names=tuple(names))
        return Answer(whole, prompt, repairs)


@dataclass(frozen=True)
class Classify:
    """`classify LABEL: <words>` -> one of the label's values.

    Attributes:
      label: the corpus' label, named in the prompt.
      values: the label set, sorted.
      encoding: name of the encoding.
      words: the longest segment, in event words.
      segments: at most this many segments a piece, evenly spaced.
    """

    kind: ClassVar[str] = "classify"
    label: str
    values: tuple[str, ...]
    encoding: str
    words: int = 384
    segments: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if len(self.values) < 2:
            raise DataError(f"classify {self.label}: needs at least two label values, not {list(self.values)}")

    def examples(self, score: Score, labels: Mapping[str, str]) -> Iterator[Example]:
        """Yields one example per segment; none where the label is unknown ('')."""
        value = labels.get(self.label, "")
        if value:
            yield from (Example(prompt, value) for prompt in self.prompts(score))

    def prompts(self, score: Score) -> list[str]:
        """The prompts of one piece, one per segment."""
        encoding = encodings.get(self.encoding)
        parts = encoding.segments(encoding.encode(score), self.words)
        chosen = np.unique(np.linspace(0, len(parts) - 1, min(self.segments, len(parts))).round().astype(int))
        return [f"classify {self.label}: {encoding.to_text(parts[index])}" for index in chosen]


Examples = Pieces | Continue | Accompany | Classify
_KINDS: dict[str, type] = {kind.kind: kind for kind in (Pieces, Continue, Accompany, Classify)}


def to_config(examples: Examples) -> dict[str, Any]:
    """A JSON-able description that `from_config` turns back into an equal object."""
    config = dataclasses.asdict(examples)
    return {"kind": examples.kind} | {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}


def from_config(config: Mapping[str, Any]) -> Examples:
    """The inverse of `to_config`. Raises DataError for a kind or a field that is not known."""
    fields = dict(config)
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        raise DataError(f"unknown kind of examples {kind!r}{nearest(str(kind), _KINDS)}")
    try:
        return _KINDS[kind](**fields)
    except TypeError as error:
        raise DataError(f"examples of kind {kind!r}: {error}") from error
