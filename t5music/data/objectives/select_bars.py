"""SelectBars: windows of pieces in satb that begin with a bar of 4/4, as the piece does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from t5music.data.objectives.base import Example
from t5music.data.objectives.language_model import SelectRandomChunk
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.music.encodings.satb.encoding import BAR


@dataclasses.dataclass(frozen=True)
class SelectBars(SelectRandomChunk):
    """At most `length` consecutive tokens of one feature, from one of satb's bars on.

    So a token's voice and its place in the bar follow from its place in the window, as in the whole piece. Otherwise it
    is `SelectRandomChunk`, but the last window of a piece may be shorter, by less than a bar.
    """

    name: ClassVar[str] = "select_bars"

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        if self.length is None:
            raise ConfigError(f"{self.name} without a length must be followed by a step that says what it needs")
        tokens = example[self.feature]
        if len(tokens) <= self.length:
            return dict(example)
        bar = round((int(rng.integers(len(tokens))) - self.length // 2) / BAR)
        last = min(-(-(len(tokens) - self.length) // BAR), (len(tokens) - 1) // BAR)
        start = BAR * min(max(bar, 0), last)
        return {**example, self.feature: tokens[start : start + self.length]}
