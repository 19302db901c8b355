"""Objectives: what happens to an example at every visit, after the cache. Pure numpy functions of (tokens, rng).

A task declares a sequence of steps; they are applied in order with one random generator:

    [Transpose(), SelectRandomChunk(), SpanCorruption()]

The same functions run in seqio (seqio_objectives) and in the loader; a store's manifest holds their configs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from t5music.data.augment import Transpose
from t5music.data.augment_nes import KeepVoices, SwapPulses
from t5music.data.augment_time import TimeStretch
from t5music.data.disturbing import DisturbLabels
from t5music.data.echoing import EchoNotes
from t5music.data.masking_notes import MaskNotes
from t5music.data.noise import IidDenoising, SpanCorruption
from t5music.data.objective import Example, Objective, length_of
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError, DataError, nearest

__all__ = [
    "OBJECTIVES",
    "Deshuffle",
    "DisturbLabels",
    "EchoNotes",
    "Example",
    "IidDenoising",
    "KeepVoices",
    "LanguageModel",
    "MaskNotes",
    "Objective",
    "PrefixLM",
    "SelectRandomChunk",
    "SpanCorruption",
    "SwapPulses",
    "TimeStretch",
    "Transpose",
    "apply",
    "from_config",
    "settle",
]


@dataclasses.dataclass(frozen=True)
class SelectRandomChunk(Objective):
    """At most `length` consecutive tokens of one feature, centred on a token drawn uniformly.

    A chunk that would stick out is moved inwards, so chunks are always full and the ends of a piece are seen half as
    often as its middle, not hardly ever. (T5 cuts at multiples of the length; with the many passes over few
    pieces that music needs, free cuts give more variety.) `length` None: what the steps that follow need.
    """

    feature: str = "targets"
    length: int | None = None

    name: ClassVar[str] = "select_random_chunk"

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise ConfigError(f"a chunk has at least 1 token, not {self.length}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        if self.length is None:
            raise ConfigError(f"{self.name} without a length must be followed by a step that says what it needs")
        tokens = example[self.feature]
        if len(tokens) <= self.length:
            return dict(example)
        start = int(np.clip(rng.integers(len(tokens)) - self.length // 2, 0, len(tokens) - self.length))
        return {**example, self.feature: tokens[start : start + self.length]}


@dataclasses.dataclass(frozen=True)
class PrefixLM(Objective):
    """The text cut in two at a point uniform on 1 .. n-1: the first part is the inputs, the rest the targets.

    A sequence of fewer than two tokens gets empty targets.
    """

    name: ClassVar[str] = "prefix_lm"

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        tokens = example["targets"]
        split = int(rng.integers(1, len(tokens))) if len(tokens) > 1 else len(tokens)
        return {**example, "inputs": tokens[:split], "targets": tokens[split:]}

    def tokens_needed(self, lengths: Mapping[str, int]) -> int:
        return min(length_of(lengths, "inputs"), length_of(lengths, "targets"))  # each side gets at most all but one


@dataclasses.dataclass(frozen=True)
class LanguageModel(Objective):
    """The whole text as targets, nothing as inputs."""

    name: ClassVar[str] = "language_model"

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        return {**example, "inputs": example["targets"][:0]}

    def tokens_needed(self, lengths: Mapping[str, int]) -> int:
        return length_of(lengths, "targets") - 1


@dataclasses.dataclass(frozen=True)
class Deshuffle(Objective):
    """The tokens in random order as inputs, the text as targets."""

    name: ClassVar[str] = "deshuffle"

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        return {**example, "inputs": rng.permutation(example["targets"])}

    def tokens_needed(self, lengths: Mapping[str, int]) -> int:
        return min(length_of(lengths, "inputs"), length_of(lengths, "targets")) - 1


OBJECTIVES: dict[str, type[Objective]] = {
    step.name: step
    for step in (
        SelectRandomChunk,
        SpanCorruption,
        IidDenoising,
        PrefixLM,
        LanguageModel,
        Deshuffle,
        Transpose,
        KeepVoices,
        SwapPulses,
        TimeStretch,
        MaskNotes,
        DisturbLabels,
        EchoNotes,
    )
}


def from_config(config: Mapping[str, Any]) -> Objective:
    """The objective of a config made by `to_config`. Raises DataError for an unknown name or field."""
    fields = dict(config)
    name = fields.pop("name", "")
    if name not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise DataError(f"unknown objective {name!r} (there are {known}){nearest(name, OBJECTIVES)}")
    unknown = set(fields) - {field.name for field in dataclasses.fields(OBJECTIVES[name])}
    if unknown:
        raise DataError(f"objective {name!r} has no field {sorted(unknown)[0]!r}: compile the task again")
    return OBJECTIVES[name](**fields)


def settle(step: Objective, later: Sequence[Objective], lengths: Mapping[str, int]) -> Objective:
    """The step itself, or, for a SelectRandomChunk without a length, one of the length the `later` steps need."""
    if not isinstance(step, SelectRandomChunk) or step.length is not None:
        return step
    needs = (other.tokens_needed(lengths) for other in later)
    return dataclasses.replace(step, length=next((need for need in needs if need is not None), None))


def apply(
    steps: Sequence[Objective],
    example: Example,
    rng: np.random.Generator,
    lengths: Mapping[str, int],
    vocabulary: Vocabulary,
) -> Example:
    """Runs the steps in order with one rng (see Objective.__call__ for the arguments)."""
    for position, step in enumerate(steps):
        example = settle(step, steps[position + 1 :], lengths)(example, rng, lengths, vocabulary)
    return example
