"""MaskNotes: the augmentation that hides some notes of the inputs (Adversarial-MidiBERT, Zhao 2024).

The model must answer without relying on any one note. Where the answers are one word for each note, those of the hidden
notes count nothing: nobody can say whether a note that is not there belongs to the melody.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import LOSS_WEIGHTS, Example, Objective, check_fraction
from t5music.data.vocabulary import NOTE_LABELS, Ids, Vocabulary
from t5music.errors import ConfigError
from t5music.music.encodings.remi.words import DURATION, HEAD_KINDS, KIND_OF, VELOCITY


@dataclasses.dataclass(frozen=True)
class MaskNotes(Objective):
    """A share of the notes in "inputs" masked: their words become `<extra_id_0>`, word for word.

        inputs   predict velocity: Bar TimeSig_4/4 Pos_0 Pitch_60 Duration_12 Pitch_64 Duration_6 ...
        masked   predict velocity: Bar TimeSig_4/4 Pos_0 <extra_id_0> <extra_id_0> Pitch_64 Duration_6 ...
        targets  Dynamic_mf Dynamic_f ...
        weights  0          1         ...

    A note's words are its Pitch or Drum, its Duration, and the Velocity said for it; when it begins, and where other
    notes are, stays to be seen. So it works on remi's words, of any task that has some among its inputs. Where the
    inputs hold `<extra_id_0>` already, as a gap to fill in, the masked words become the first sentinel that they lack.

    The notes are drawn anew at every visit, `share` of them (rounded), each as likely as any other. The published code
    (its commit 2ad9aec) draws 15 % and masks 80 % of those, and it leaves masked notes out of the loss in the last row
    of each batch of eight alone: a share of 0.12, left out by chance with one row in eight. It also replaces 1.5 % by
    other notes, and masks when it validates and tests, which this does not.

    Attributes:
        share: of the notes, to be masked.
        left_out: the probability with which the answers of an example's masked notes count nothing; otherwise they
            count like all others. 1 in the paper, 0.125 in the published code.
    """

    share: float = 0.15
    left_out: float = 1.0

    name: ClassVar[str] = "mask_notes"

    def __post_init__(self) -> None:
        check_fraction("share", self.share)
        if not 0 <= self.left_out <= 1:
            raise ConfigError(f"left_out must be a probability, from 0 to 1, not {self.left_out}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        inputs, targets = example["inputs"], example["targets"]
        kinds = _kinds(vocabulary)[inputs]  # int64 [inputs]
        notes = np.flatnonzero(np.isin(kinds, HEAD_KINDS))
        hidden = rng.choice(len(notes), round(self.share * len(notes)), replace=False)
        if not len(hidden):
            return dict(example)
        heads = notes[hidden]
        masked = np.zeros(len(inputs) + 1, bool)  # with a place before the first word, and after the last one
        masked[heads] = True
        around = np.append(kinds, -1)
        masked[heads - 1] |= around[heads - 1] == VELOCITY
        masked[heads + 1] |= around[heads + 1] == DURATION
        augmented = {**example, "inputs": np.where(masked[:-1], _mask(inputs, vocabulary), inputs)}
        if are_note_labels(targets, vocabulary) and (self.left_out == 1 or rng.random() < self.left_out):
            weights = np.array(example.get(LOSS_WEIGHTS, np.ones(len(targets))), np.float32)
            weights[hidden[hidden < len(targets)]] = 0.0
            augmented[LOSS_WEIGHTS] = weights
        return augmented


def _mask(inputs: Ids, vocabulary: Vocabulary) -> np.int32:
    """The id that masked words become: the first sentinel that is not among the inputs."""
    for number in range(vocabulary.sentinels):
        if not (inputs == vocabulary.sentinel(number)).any():
            return np.int32(vocabulary.sentinel(number))
    raise ConfigError(f"MaskNotes: the inputs hold all {vocabulary.sentinels} sentinels, and none is left to mask with")


@functools.lru_cache(maxsize=8)
def _kinds(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """int64 [size], the kind of remi's word that each id is; -1 for ids of other words."""
    return vocabulary.spread("remi", KIND_OF, elsewhere=-1)


def are_note_labels(targets: Ids, vocabulary: Vocabulary) -> bool:
    """Whether targets are labels of single notes, and nothing else."""
    return bool(len(targets) and _is_label(vocabulary)[targets].all())


@functools.lru_cache(maxsize=8)
def _is_label(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """bool [size], True at the labels of single notes."""
    return vocabulary.event_mask(NOTE_LABELS)
