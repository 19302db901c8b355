"""Language-model objectives: chunks of the text, prefix LM, LM and deshuffling."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from t5music.data.objectives.base import Example, Objective, length_of
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError


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
