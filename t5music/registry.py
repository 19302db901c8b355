"""What gin may configure: registered here, once, so that no other module needs to know of gin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gin

from t5music import runs
from t5music.data import mixing, objectives, recipes
from t5music.model import config, sharding
from t5music.training import optimizers, schedules

_CONFIGURABLES: tuple[Callable[..., Any], ...] = (
    config.T5Config,
    mixing.Proportional,
    objectives.KeepVoices,
    objectives.SelectRandomChunk,
    objectives.SwapPulses,
    objectives.TimeStretch,
    objectives.Transpose,
    optimizers.adafactor,
    optimizers.adamw,
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
train = gin.external_configurable(runs.train)
evaluate = gin.external_configurable(runs.evaluate)

NAMES: tuple[str, ...] = (*(c.__name__ for c in _CONFIGURABLES), "train", "evaluate")
