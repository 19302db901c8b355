"""Objectives: what happens to an example at every visit, after the cache. Pure numpy functions of (tokens, rng).

A task declares a sequence of steps; they are applied in order with one random generator:

    [Transpose(), SelectRandomChunk(), SpanCorruption()]

The same functions run in seqio (seqio_objectives) and in the loader; a store's manifest holds their configs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t5music import json_files
from t5music.data.objectives.base import Example, Objective
from t5music.data.objectives.disturb_labels import DisturbLabels
from t5music.data.objectives.echo_notes import EchoNotes
from t5music.data.objectives.language_model import Deshuffle, LanguageModel, PrefixLM, SelectRandomChunk
from t5music.data.objectives.mask_notes import MaskNotes
from t5music.data.objectives.nes_voices import KeepVoices, SwapPulses
from t5music.data.objectives.noise import IidDenoising, SpanCorruption
from t5music.data.objectives.time_stretch import TimeStretch
from t5music.data.objectives.transpose import Transpose
from t5music.data.vocabulary import Vocabulary
from t5music.errors import DataError, nearest

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
    """The objective of a config made by `to_config`. Raises DataError for an unknown name or field, or another type."""
    fields = dict(config)
    name = fields.pop("name", "")
    if not isinstance(name, str) or name not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise DataError(f"unknown objective {name!r} (there are {known}){nearest(str(name), OBJECTIVES)}")
    try:
        return json_files.parse(OBJECTIVES[name], fields)
    except ValueError as error:
        raise DataError(f"objective {name!r}: {error}; compile the task again") from error


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
