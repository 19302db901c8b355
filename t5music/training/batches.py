"""What the training loop asks of the data: batches, a position to save, and what was in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np


class Batches(Protocol):
    """An endless iterator of training batches with a position in JSON values (`data.loading.loader.TrainBatches`).

    It may also have `examples_per_task`: task -> examples this process has given out since the run began, a function of
    the position.
    """

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, state: Mapping[str, Any]) -> None: ...


def examples_per_task(batches: Batches) -> dict[str, int]:
    """Returns how many examples of each task this process has given out; {} where the batches do not say."""
    return dict(getattr(batches, "examples_per_task", {}))
