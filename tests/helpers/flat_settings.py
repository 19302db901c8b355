"""Runs trained by settings named without their groups: `flat_settings.train(mixture_or_task_name=..., keep=1, ...)`."""

from __future__ import annotations

import dataclasses
from typing import Any

from t5music.runs.settings import InitialModel, TrainingData
from t5music.runs.train import train as run_train
from t5music.training.loop import Result
from t5music.training.settings import Records, Update, Validation

GROUPS = {
    "initial_model": InitialModel,
    "data": TrainingData,
    "update": Update,
    "validation": Validation,
    "records": Records,
}


def train(**settings: Any) -> Result:
    """Trains as `runs.train.train`, whose groups of settings are put together of what is named."""
    groups = {}
    for name, group in GROUPS.items():
        fields = {field.name for field in dataclasses.fields(group)} & settings.keys()
        groups[name] = group(**{field: settings.pop(field) for field in fields})
    return run_train(**groups, **settings)
