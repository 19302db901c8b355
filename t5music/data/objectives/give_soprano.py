"""GiveSoprano: the objective under which the soprano of four parts is read, not learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from t5music.data.objectives.base import LOSS_WEIGHTS, Example, Objective
from t5music.data.vocabulary import Vocabulary
from t5music.music.encodings.satb.encoding import CELLS


@dataclasses.dataclass(frozen=True)
class GiveSoprano(Objective):
    """The loss of every fourth target, from the first one on, counts nothing: in satb, these are the soprano's."""

    name: ClassVar[str] = "give_soprano"
    keeps_answers: ClassVar[bool] = True

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        weights = example.get(LOSS_WEIGHTS, np.ones(len(example["targets"]), np.float32)).copy()
        weights[::CELLS] = 0
        return {**example, LOSS_WEIGHTS: weights}
