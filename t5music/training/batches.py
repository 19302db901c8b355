"""Batches: the interface between the training loop and the data, with a position that can be saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Batches(Protocol):
    """An endless iterator of training batches with a position in JSON values (`data.loading.loader.TrainBatches`).

    It may also have `examples_per_task`: task -> number of examples that this process has read since the run began. It
    depends on the position alone.
    """

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, state: Mapping[str, Any]) -> None: ...


def examples_per_task(batches: Batches) -> dict[str, int]:
    """Returns task -> number of examples this process has read; {} where the batches do not count them."""
    return dict(getattr(batches, "examples_per_task", {}))
