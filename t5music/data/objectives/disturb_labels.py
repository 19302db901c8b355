"""DisturbLabels: the augmentation that keeps a decoder from copying its last label."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from t5music.data.objectives.base import READ_TARGETS, Example, Objective
from t5music.data.objectives.mask_notes import are_note_labels
from t5music.data.vocabulary import DYNAMICS, ROLES, Vocabulary
from t5music.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class DisturbLabels(Objective):
    """A share of the labels in "targets" is drawn anew in what the decoder reads; what it is to write stays.

        targets  Role_accompaniment Role_melody Role_accompaniment Role_bridge ...
        read     Role_melody        Role_melody Role_bridge        Role_bridge ...

    While it learns, a decoder reads the right labels before each one that it writes; when it answers, its own, and an
    error leads to the next (exposure bias, Bengio et al. 2015; Ranzato et al. 2016). Where a label often equals the one
    before, it learns little else, and writes one label for all notes. With `share` 1 the labels that it reads say
    nothing, so each is inferred from the inputs, as by a classifier of notes. Every label of the task is as likely to
    be drawn. Targets that are not labels of notes are left as they are; encoders alone read none.
    """

    share: float = 1.0

    name: ClassVar[str] = "disturb_labels"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"DisturbLabels.share must be above 0 and at most 1, not {self.share}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        """See `Objective`."""
        labels = example["targets"]
        if not are_note_labels(labels, vocabulary):
            return dict(example)
        kind = ROLES if vocabulary.words[labels[0]] in ROLES else DYNAMICS
        drawn = rng.random(len(labels)) < self.share
        read = np.where(drawn, rng.choice(vocabulary.encode(" ".join(kind)), len(labels)), labels)
        return {**example, READ_TARGETS: read}
