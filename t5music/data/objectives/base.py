"""Objective: the base class of every step that happens to an example at train time."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.data import own_kinds
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.music.encodings import ENCODINGS, Encoding

Example = dict[str, Any]  # feature name -> int32 tokens [n] without EOS, or str for a feature of kind "text"
# A feature that a step may add: float32 [targets], what each target token's loss counts; EOS always counts 1.
LOSS_WEIGHTS = "loss_weights"
# A feature that a step may add: int32 [targets], what the decoder reads of each target once it is past it.
READ_TARGETS = "read_targets"


@dataclasses.dataclass(frozen=True)
class Objective(abc.ABC):
    """A step between the stored tokens of an example and the inputs and targets of the model.

    A pure function of (example, rng): the same one in seqio and in the loader. Subclasses are frozen dataclasses whose
    fields are JSON values.
    """

    name: ClassVar[str]
    keeps_answers: ClassVar[bool] = False  # whether its targets still answer the task's question
    moves_pitches: ClassVar[bool] = False  # whether what a text says of keys or notes would be wrong after it

    @abc.abstractmethod
    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        """Returns the example with features replaced or added; `example` itself is left as it is.

        Args:
            example: features; tokens are int32 [n] without EOS.
            rng: the only source of chance.
            lengths: the feature lengths the model is trained with, EOS included: {"inputs": 512, "targets": 114}.
            vocabulary: where sentinels and event words lie.
        """

    def tokens_needed(self, lengths: Mapping[str, int]) -> int | None:
        """How many tokens of "targets" make inputs and targets that just fit `lengths`, or None if any number does."""
        del lengths
        return None

    def to_config(self) -> dict[str, Any]:
        """{"name": ..., field: value, ...}: what a store's manifest holds."""
        return {"name": self.name, **own_kinds.origin(type(self)), **dataclasses.asdict(self)}


def tokens_of(example: Example) -> dict[str, NDArray[np.int32]]:
    """The features that are tokens."""
    return {name: ids for name, ids in example.items() if isinstance(ids, np.ndarray) and ids.dtype.kind == "i"}


def encodings_of(vocabulary: Vocabulary) -> list[Encoding]:
    """The encodings whose words are in the vocabulary."""
    return [ENCODINGS[name] for name in vocabulary.encodings if name in ENCODINGS]


def length_of(lengths: Mapping[str, int], feature: str) -> int:
    """The length of one feature. Raises ConfigError when it is not given."""
    if feature not in lengths:
        raise ConfigError(f"the objective needs the length of {feature!r}: add it to TASK_FEATURE_LENGTHS")
    return int(lengths[feature])


def check_fraction(name: str, value: float) -> None:
    """Raises ConfigError unless 0 < value < 1."""
    if not 0 < value < 1:
        raise ConfigError(f"{name} must be between 0 and 1, not {value}")
