"""Registry: the functions and classes that gin may configure, and the stages of studies.

To register one, add a line: for a function or class to `_CONFIGURABLES`, for an objective to `objectives.OBJECTIVES`,
for a stage of a study to `_STAGES`. Modules below this one do not import gin.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gin

from t5music.analysis.masks import masks
from t5music.analysis.memorisation import memorisation
from t5music.analysis.probe import probe
from t5music.analysis.sample import sample
from t5music.configuration import gin_files
from t5music.data import mixing_rates
from t5music.data.objectives import OBJECTIVES, recipes
from t5music.data.store import planting
from t5music.errors import ConfigError
from t5music.model import config, sharding
from t5music.runs import settings
from t5music.runs.evaluate import evaluate as run_evaluate
from t5music.runs.train import train as run_train
from t5music.training import freezing, optimizers, schedules
from t5music.training.note_masking.settings import Masking
from t5music.training.settings import Records, Update, Validation

_CONFIGURABLES: tuple[Callable[..., Any], ...] = (
    config.T5Config,
    freezing.gradual_unfreezing,
    Masking,
    mixing_rates.Constant,
    mixing_rates.Proportional,
    optimizers.adafactor,
    optimizers.adamw,
    optimizers.muon,
    planting.Planting,
    recipes.lakhnes_augmentations,
    recipes.music_transformer_augmentations,
    schedules.constant,
    schedules.truncated_rsqrt,
    schedules.warmup_cosine,
    schedules.warmup_linear,
    schedules.warmup_rsqrt,
    settings.InitialModel,
    settings.TrainingData,
    Records,
    Update,
    Validation,
    sharding.make_mesh,
)
_registered: set[Callable[..., Any]] = set()


def register() -> None:
    """Registers with gin what it may configure, and objectives of one's own that have been declared since."""
    configurables: tuple[Callable[..., Any], ...] = (*_CONFIGURABLES, *OBJECTIVES.values())
    for configurable in configurables:
        if configurable not in _registered:
            _registered.add(configurable)
            gin.external_configurable(configurable, module=configurable.__module__.removeprefix("t5music."))


register()


_RUN_FILES = {run_train: "runs/train.gin", run_evaluate: "runs/eval.gin"}


def _require_settings(function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Refuses a call of which no gin file sets all parameters, as where a model's file is named without a run's.

    Raises:
        ConfigError: names them.
    """
    parameters = inspect.signature(function).parameters.values()
    missing = [each.name for each in parameters if each.default is each.empty and each.name not in settings]
    if missing:
        example = _RUN_FILES.get(function)
        advice = f"a run's file first, as --gin_file={example}" if example else "a gin file that does"
        raise ConfigError(f"no gin file sets {', '.join(missing)} of {function.__name__}: name {advice}")


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that first raises ConfigError for bindings that nothing has read."""

    @functools.wraps(function)
    def call(**kwargs: Any) -> Any:
        _require_settings(function, kwargs)
        gin_files.check_used()
        return function(**kwargs)

    return call


@functools.wraps(run_train)
def _train(**kwargs: Any) -> Any:
    """Trains; checks the bindings later than other stages, because the model and the mesh still read some."""
    _require_settings(run_train, kwargs)
    return run_train(**{**kwargs, "read_settings": gin_files.used_config})


# The kinds of stages; all but "train" return {task: {metric: figure}}. They are called through gin, so that their
# bindings apply.
_STAGES: tuple[Callable[..., Any], ...] = (run_evaluate, masks, memorisation, probe, sample)
STAGES: dict[str, Callable[..., Any]] = {
    "train": gin.external_configurable(
        _train, name="train", module="runs.train", denylist=["plan", "read_settings", "samples", "stops"]
    ),
    **{
        stage.__name__: gin.external_configurable(
            _checked(stage), name=stage.__name__, module=stage.__module__.removeprefix("t5music.")
        )
        for stage in _STAGES
    },
}
train, evaluate = STAGES["train"], STAGES["evaluate"]
