"""Likelihoods: how likely a model finds what it wrote, in bits per note.

Bits per note are fair between answers of different lengths, and between encodings: what a note costs with all the words
that are said for it. Counted are the model's own words of music: neither those that it was given nor the end, which
the room of an answer decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.vocabulary import EOS_ID, PAD_ID
from t5music.inference.trained_model import TrainedModel
from t5music.model import decoding


class Exchange(NamedTuple):
    """What a model was asked at once, and what it wrote.

    Attributes:
        prompts: int32 [windows, source].
        written: int32 [windows, length], up to EOS.
        prefix: int32 [windows, p], the words that were given, 0 where the model decided; None where none were.
    """

    prompts: NDArray[np.int32]
    written: NDArray[np.int32]
    prefix: NDArray[np.int32] | None = None

    def is_counted(self) -> NDArray[np.bool_]:
        """True [windows, length] at the model's own words."""
        counted = (self.written != PAD_ID) & (self.written != EOS_ID)
        if self.prefix is not None:
            counted[:, : self.prefix.shape[1]] &= self.prefix == 0
        return counted


def bits(trained: TrainedModel, exchange: Exchange) -> NDArray[np.float64]:
    """The bits of each word that was written, float64 [windows, length], at temperature 1; 0 at padding."""
    nats = np.asarray(decoding.token_scores(trained.model, exchange.prompts, exchange.written), np.float64)
    return -nats / math.log(2)


def bits_per_note(trained: TrainedModel, exchanges: Sequence[Exchange]) -> float:
    """The bits of all words that a model wrote, by the notes among them; infinite without a note."""
    total, notes = 0.0, 0
    for exchange in exchanges:
        counted = exchange.is_counted()
        total += float(bits(trained, exchange)[counted].sum())
        notes += int((trained.vocabulary.is_note[exchange.written] & counted).sum())
    return total / notes if notes else math.inf
