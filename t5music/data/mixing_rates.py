"""Mixing rates: how much of a mixture each task gets.

A rate is a rule: from numbers of training examples to how much of a mixture a task gets. The loader gives it the
examples of token stores; `seqio_bridge.tasks` makes a seqio mixture rate of it.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from t5music import json_files
from t5music.errors import ConfigError, DataError, nearest

Count = Callable[[str], int]  # the number of training examples of a task, by its name


@dataclasses.dataclass(frozen=True)
class Rate(abc.ABC):
    """How much of a mixture a task gets, before normalising."""

    name: ClassVar[str]

    @abc.abstractmethod
    def of(self, examples: int) -> float:
        """The rate of a task with this many training examples."""

    def of_task(self, task: str, count: Count) -> float:
        """The rate of a task of a mixture.

        Args:
            task: the task's name.
            count: gives the number of training examples of this task, and of others if the rate depends on them.
        """
        return self.of(count(task))

    def replaced_by(self, rate: Rate) -> Rate:
        """The rate of a mixture's task once `rate` holds for each member of the mixture."""
        return rate

    def to_config(self) -> dict[str, Any]:
        """{"name": ..., field: value, ...}: what a mixture's file holds."""
        return {"name": self.name, **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class Constant(Rate):
    """A number. Equal mixing is the same constant for every task."""

    rate: float = 1.0

    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ConfigError(f"a mixing rate must be a positive number, not {self.rate}")

    def of(self, examples: int) -> float:
        return float(self.rate)

    def of_task(self, task: str, count: Count) -> float:
        """The number, whatever there is of the task: nothing is counted."""
        return float(self.rate)


@dataclasses.dataclass(frozen=True)
class Proportional(Rate):
    """T5's examples-proportional mixing: min(examples, maximum) ^ (1 / temperature) (section 3.5.2 of the paper)."""

    maximum: int | None = None
    temperature: float = 1.0

    name: ClassVar[str] = "proportional"

    def __post_init__(self) -> None:
        if self.maximum is not None and self.maximum < 1:
            raise ConfigError(f"the maximum of a proportional rate must be at least 1, not {self.maximum}")
        if not self.temperature > 0:
            raise ConfigError(f"the temperature of a proportional rate must be positive, not {self.temperature}")

    def of(self, examples: int) -> float:
        capped = examples if self.maximum is None else min(examples, self.maximum)
        return float(capped) ** (1.0 / self.temperature)


@dataclasses.dataclass(frozen=True)
class Together(Rate):
    """A task's part of the rate of several tasks that are one member of a mixture, as if they were one task.

    The tasks together have the rate of all their examples; each has the part of it that its examples are of theirs. So
    unsupervised music has one rate and one K, of however many corpora it is, like T5's unsupervised text.

        Together(("a", "b"), Proportional(maximum=100)) of tasks with 300 and 100 examples: 75 and 25

    Attributes:
        tasks: the names of the tasks.
        rate: of all of them together.
    """

    tasks: tuple[str, ...]
    rate: Rate

    name: ClassVar[str] = "together"

    def __post_init__(self) -> None:
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ConfigError(f"a rate of tasks together needs tasks, each named once, not {self.tasks}")

    def of(self, examples: int) -> float:
        return self.rate.of(examples)

    def of_task(self, task: str, count: Count) -> float:
        """The task's part. Raises ConfigError for a task that is not one of these."""
        if task not in self.tasks:
            raise ConfigError(f"task {task!r} is none of those whose rate it is to share: {', '.join(self.tasks)}")
        examples = sum(map(count, self.tasks))
        return self.of(examples) * count(task) / examples if examples else 0.0

    def replaced_by(self, rate: Rate) -> Rate:
        return Together(self.tasks, rate)

    def to_config(self) -> dict[str, Any]:
        return {"name": self.name, "tasks": list(self.tasks), "rate": self.rate.to_config()}


EQUAL = Constant(1.0)
RATES: dict[str, type[Rate]] = {rate.name: rate for rate in (Constant, Proportional, Together)}


def from_config(config: Mapping[str, Any]) -> Rate:
    """The rate of a config made by `to_config`. Raises DataError for an unknown name or field."""
    fields = dict(config)
    name = fields.pop("name", "")
    if not isinstance(name, str) or name not in RATES:
        raise DataError(f"unknown mixing rate {name!r} (there are {', '.join(RATES)}){nearest(str(name), RATES)}")
    try:
        if name == Together.name:
            parts = json_files.parse(_TogetherConfig, fields)
            return Together(parts.tasks, from_config(parts.rate))
        return json_files.parse(RATES[name], fields)
    except ValueError as error:
        raise DataError(f"mixing rate {name!r}: {error}") from error


@dataclasses.dataclass(frozen=True)
class _TogetherConfig:
    """`Together` as its config has it."""

    tasks: tuple[str, ...]
    rate: Mapping[str, Any]
