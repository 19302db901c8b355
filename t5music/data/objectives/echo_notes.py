"""EchoNotes: the objective that writes each note's word before its label."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from t5music.data.objectives.base import LOSS_WEIGHTS, READ_TARGETS, Example, Objective
from t5music.data.vocabulary import Vocabulary
from t5music.errors import DataError


@dataclasses.dataclass(frozen=True)
class EchoNotes(Objective):
    """Before each label in "targets" the word of the note that it is for, which is not to be learned.

        inputs   extract melody: Bar TimeSig_4/4 Pos_0 Pitch_48 Duration_24 Pitch_76 Duration_12 ...
        targets  Role_accompaniment Role_melody ...
        echoed   Pitch_48 Role_accompaniment Pitch_76 Role_melody ...
        weights  0        1                  0        1

    A T5's decoder reads its inputs without their positions, so a row of labels alone would have to count: a small model
    never learns that, and gives nearly every note the most frequent label. With the note's word before it a label has
    only to find the note. (Raman et al. 2022 compare such forms for tagging by sequence-to-sequence models.) The word
    of a note that `MaskNotes` has hidden is `<extra_id_0>`, whose label counts nothing.
    """

    name: ClassVar[str] = "echo_notes"
    keeps_answers: ClassVar[bool] = True

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        """See `Objective`. Raises DataError unless there is one label for each note."""
        inputs, labels = example["inputs"], example["targets"]
        weights = example.get(LOSS_WEIGHTS, np.ones(len(labels), np.float32))
        notes = inputs[vocabulary.is_note[inputs]]
        visible = weights > 0 if len(notes) < len(labels) else np.ones(len(labels), bool)  # [labels]
        if len(notes) != visible.sum():
            raise DataError(f"an example has {len(notes)} notes in its inputs and {visible.sum()} labels for them")
        echoed = np.full((len(labels), 2), vocabulary.sentinel(0), np.int32)
        echoed[visible, 0] = notes
        echoed[:, 1] = labels
        counted = np.stack([np.zeros_like(weights), weights], axis=1)
        echoed_example = {**example, "targets": echoed.reshape(-1), LOSS_WEIGHTS: counted.reshape(-1)}
        if READ_TARGETS in example:
            echoed_example[READ_TARGETS] = np.stack([echoed[:, 0], example[READ_TARGETS]], axis=1).reshape(-1)
        return echoed_example
