"""Settings of a training: how to update, when to evaluate, what to write and keep; gin configures them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from t5music.errors import ConfigError
from t5music.training import trackers
from t5music.training.freezing import GradualUnfreezing
from t5music.training.losses import Z_LOSS
from t5music.training.note_masking.settings import Masking
from t5music.training.optimizers import Optimizer


@dataclasses.dataclass(frozen=True)
class Update:
    """How to update the model.

    Attributes:
        optimizer: from `training.optimizers`.
        z_loss: factor of the squared log normaliser (see `training.losses`).
        label_smoothing: share of the probability that is spread over the vocabulary (see `training.losses`).
        microbatches: number of parts of a batch, computed one after the other to save memory.
        trainable: regular expressions of the names of the parameters that train, as ".*norm[.]scale"; None trains all.
        unfreezing: when layers begin to train, as `@gradual_unfreezing()`; None is from the first step.
        masking: pre-train on masked notes of music alone, as `@Masking()`, instead of the tasks' objectives, which
            validation still uses. Rows are not packed, and all parameters train.
    """

    optimizer: Optimizer
    z_loss: float = Z_LOSS
    label_smoothing: float = 0.0
    microbatches: int = 1
    trainable: Sequence[str] | None = None
    unfreezing: GradualUnfreezing | None = None
    masking: Masking | None = None

    def __post_init__(self) -> None:
        _require_at_least_one("Update", microbatches=self.microbatches)
        partial = self.trainable is not None or self.unfreezing is not None or self.microbatches > 1
        if self.masking is not None and partial:
            raise ConfigError("Update.masking goes without Update.trainable, Update.unfreezing and Update.microbatches")

    def to_json(self) -> dict[str, Any]:
        """The settings that a resumed run must have, as JSON values."""
        return {
            "optimizer": self.optimizer.settings,
            "trainable": None if self.trainable is None else list(self.trainable),
            "unfreezing": None if self.unfreezing is None else self.unfreezing.settings,
        }


@dataclasses.dataclass(frozen=True)
class Validation:
    """When the model is evaluated in training, and which evaluation is the best.

    Attributes:
        period: steps between evaluations; the last step is also evaluated.
        examples: validation examples of each task, evenly spread; None takes all.
        best_metric: "evaluation/metric" by which the best checkpoint is chosen, as "validation/TASK/loss" or
            "validation/accuracy" (of tokens; of a classifier, of its classes); None is the loss over all tasks.
        higher_is_better: whether a higher value of that metric is better.
        patience: stop after this many evaluations in a row without a better one; None never stops early.
        answers: number of validation examples of each task that declares metrics, evenly spread, that the model answers
            in writing at each evaluation; "validation/TASK/METRIC" is what a metric says of them. 0 writes none.
    """

    period: int = 500
    examples: int | None = 256
    best_metric: str | None = None
    higher_is_better: bool = False
    patience: int | None = None
    answers: int = 0

    def __post_init__(self) -> None:
        _require_at_least_one("Validation", period=self.period)
        for name, number in (("examples", self.examples), ("patience", self.patience)):
            if number is not None:
                _require_at_least_one("Validation", **{name: number})
        _require_whole("Validation.answers", self.answers)


@dataclasses.dataclass(frozen=True)
class Records:
    """What a run writes and keeps.

    Attributes:
        log_period: steps between lines of metrics.
        save_period: steps between checkpoints; the last step and every better evaluation are also saved.
        keep: number of latest checkpoints to keep, beside the best.
        profile_steps: (first, number) of the steps whose profile is recorded in MODEL_DIR/profile; see
            `training.profiling`.
        samples: number of tasks that write music of which a sample is written into MODEL_DIR/samples at each evaluation
            (`inference.training_samples`), by a run of one process; 0 writes none.
        tracker: what shows the run beside TensorBoard: "wandb" or "trackio", with its extra; None for nothing.
    """

    log_period: int = 50
    save_period: int = 500
    keep: int = 2
    profile_steps: tuple[int, int] | None = None
    samples: int = 1
    tracker: str | None = None

    def __post_init__(self) -> None:
        trackers.require(self.tracker)
        _require_whole("Records.samples", self.samples)
        _require_at_least_one("Records", log_period=self.log_period, save_period=self.save_period, keep=self.keep)


def _require_at_least_one(group: str, **numbers: int) -> None:
    """Refuses settings of a group that are not whole numbers of at least 1."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ConfigError(f"{group}.{name} must be a whole number of at least 1, not {number!r}")


def _require_whole(name: str, number: int) -> None:
    """Refuses a setting that is not a whole number of at least 0."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ConfigError(f"{name} must be a whole number, 0 for none, not {number!r}")
