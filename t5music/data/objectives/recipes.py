"""Recipes: the augmentations of the papers, as `TrainingData.augmentations` takes them.

TrainingData.augmentations = @lakhnes_augmentations()
"""

from __future__ import annotations

from t5music.data.objectives import KeepVoices, Objective, SwapPulses, TimeStretch, Transpose
from t5music.data.objectives.language_model import SelectRandomChunk


def lakhnes_augmentations() -> tuple[Objective, ...]:
    """LakhNES's four, in its order (Donahue et al., ISMIR 2019): voices, pulses, -6..6 semitones, 0.95..1.05 in time.

    For tx1. They brought it from 4.099 to 3.175 in perplexity on NES-MDB's valid set.
    """
    return KeepVoices(), SwapPulses(), Transpose(-6, 6), TimeStretch(0.95, 1.05)


def music_transformer_augmentations(length: int = 2048) -> tuple[Objective, ...]:
    """Music Transformer's (Huang et al., ICLR 2019): -3..3 semitones, one of five tempi, crops of `length` targets.

    For performance; the crop comes last, so stretching makes nothing too long. Tasks whose targets answer their inputs
    must not be cropped: for them take the first two steps.
    """
    return Transpose(-3, 3), TimeStretch(0.95, 1.05, steps=5), SelectRandomChunk(length=length)
