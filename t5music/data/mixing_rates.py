"""Mixing rates: how much of a mixture each task gets.

A rate is a rule that says how much of a mixture a task gets. It is callable on a seqio Task, so it is a seqio mixture
rate as it is, and it works on a plain number of examples for the loader.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from t5music import json_files
from t5music.errors import ConfigError, DataError, nearest


class CountsExamples(Protocol):
    """What a rate needs of a seqio Task."""

    @property
    def cache_dir(self) -> str | None: ...

    def num_input_examples(self, split: str) -> int | None: ...

    def get_cached_stats(self, split: str = ...) -> Mapping[str, int | float]: ...


@dataclasses.dataclass(frozen=True)
class Rate(abc.ABC):
    """How much of a mixture a task gets, before normalising."""

    name: ClassVar[str]

    @abc.abstractmethod
    def of(self, examples: int) -> float:
        """The rate of a task with this many training examples."""

    def __call__(self, task: CountsExamples) -> float:
        """The rate of a seqio Task, by its cached examples where it is cached, as seqio's own rate function."""
        if task.cache_dir:
            return self.of(int(task.get_cached_stats("train")["examples"]))
        return self.of(task.num_input_examples("train") or 0)

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

    def __call__(self, task: CountsExamples) -> float:
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


EQUAL = Constant(1.0)
RATES: dict[str, type[Rate]] = {rate.name: rate for rate in (Constant, Proportional)}


def from_config(config: Mapping[str, Any]) -> Rate:
    """The rate of a config made by `to_config`. Raises DataError for an unknown name or field."""
    fields = dict(config)
    name = fields.pop("name", "")
    if not isinstance(name, str) or name not in RATES:
        raise DataError(f"unknown mixing rate {name!r} (there are {', '.join(RATES)}){nearest(str(name), RATES)}")
    try:
        return json_files.parse(RATES[name], fields)
    except ValueError as error:
        raise DataError(f"mixing rate {name!r}: {error}") from error
