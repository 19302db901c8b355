"""What gin may configure: registered here, once, so that no other module needs to know of gin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gin

from t5music.analysis import masks, memorisation, probe, sample
from t5music.data import mixing_rates, objectives
from t5music.data.objectives import language_model, recipes
from t5music.data.store import planting
from t5music.model import config, sharding
from t5music.runs.evaluate import evaluate as run_evaluate
from t5music.runs.train import train as run_train
from t5music.studies import grid
from t5music.training import freezing, optimizers, schedules
from t5music.training.note_masking import masker

_CONFIGURABLES: tuple[Callable[..., Any], ...] = (
    config.T5Config,
    mixing_rates.Constant,
    mixing_rates.Proportional,
    language_model.Deshuffle,
    objectives.DisturbLabels,
    objectives.IidDenoising,
    objectives.KeepVoices,
    language_model.LanguageModel,
    objectives.MaskNotes,
    language_model.PrefixLM,
    language_model.SelectRandomChunk,
    objectives.SpanCorruption,
    objectives.SwapPulses,
    objectives.TimeStretch,
    objectives.Transpose,
    freezing.gradual_unfreezing,
    masker.Masking,
    optimizers.adafactor,
    optimizers.adamw,
    planting.Planting,
    recipes.lakhnes_augmentations,
    recipes.music_transformer_augmentations,
    schedules.constant,
    schedules.truncated_rsqrt,
    schedules.warmup_cosine,
    schedules.warmup_linear,
    schedules.warmup_rsqrt,
    sharding.make_mesh,
)
for _configurable in _CONFIGURABLES:
    gin.external_configurable(_configurable, module=_configurable.__module__.removeprefix("t5music."))

# The entry points themselves are called through gin, so that their bindings apply.
train = gin.external_configurable(run_train)
evaluate = gin.external_configurable(run_evaluate)
study = gin.external_configurable(grid.Description, name="study")

# What a stage of a study may be; all but "train" return {task: {metric: figure}}.
STAGES: dict[str, Callable[..., Any]] = {
    "train": train,
    "evaluate": evaluate,
    "masks": gin.external_configurable(masks.masks),
    "memorisation": gin.external_configurable(memorisation.memorisation),
    "probe": gin.external_configurable(probe.probe),
    "sample": gin.external_configurable(sample.sample),
}

NAMES: tuple[str, ...] = (*(c.__name__ for c in _CONFIGURABLES), *STAGES, "study")
