"""Objectives: what happens to an example at every visit, after the cache; pure NumPy functions of (tokens, rng).

A task declares a sequence of steps; they are applied in order with one random generator:

    [Transpose(), SelectRandomChunk(), SpanCorruption()]

The same functions run in seqio (seqio_bridge.objectives) and in the loader; a store's manifest holds their configs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from t5music import json_files
from t5music.data import own_kinds
from t5music.data.objectives.base import Example as Example
from t5music.data.objectives.base import Objective as Objective
from t5music.data.objectives.disturb_labels import DisturbLabels as DisturbLabels
from t5music.data.objectives.echo_notes import EchoNotes as EchoNotes
from t5music.data.objectives.give_soprano import GiveSoprano as GiveSoprano
from t5music.data.objectives.language_model import Deshuffle as Deshuffle
from t5music.data.objectives.language_model import LanguageModel as LanguageModel
from t5music.data.objectives.language_model import PrefixLM as PrefixLM
from t5music.data.objectives.language_model import SelectRandomChunk as SelectRandomChunk
from t5music.data.objectives.mask_notes import MaskNotes as MaskNotes
from t5music.data.objectives.nes_voices import KeepVoices as KeepVoices
from t5music.data.objectives.nes_voices import SwapPulses as SwapPulses
from t5music.data.objectives.noise import IidDenoising as IidDenoising
from t5music.data.objectives.noise import SpanCorruption as SpanCorruption
from t5music.data.objectives.select_bars import SelectBars as SelectBars
from t5music.data.objectives.time_stretch import TimeStretch as TimeStretch
from t5music.data.objectives.transpose import Transpose as Transpose
from t5music.data.vocabulary import Vocabulary
from t5music.errors import DataError

# By the name in their configs: every objective that is imported above. A new one is one line there.
OBJECTIVES: dict[str, type[Objective]] = {
    step.name: step
    for step in tuple(globals().values())
    if isinstance(step, type) and issubclass(step, Objective) and step is not Objective
}


Step = TypeVar("Step", bound=type[Objective])


def register(step: Step) -> Step:
    """Makes an objective of one's own known, as a class decorator. Raises ConfigError where its name is taken."""
    return own_kinds.register(OBJECTIVES, step.name, step)


def from_config(config: Mapping[str, Any]) -> Objective:
    """The objective of a config made by `to_config`. Raises DataError for an unknown name or field, or another type."""
    fields = dict(config)
    name, module = fields.pop("name", None), fields.pop(own_kinds.MODULE, None)
    step = own_kinds.look_up(OBJECTIVES, name, "objective", module)
    try:
        return json_files.parse(step, fields)
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
