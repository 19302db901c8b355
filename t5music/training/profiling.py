"""A profile of some steps of a run, for TensorBoard's profiler, Perfetto (ui.perfetto.dev) or chrome://tracing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from t5music.errors import ConfigError

FOLDER = "profile"


class Profile:
    """Records the steps `first` to `first + count - 1` into MODEL_DIR/profile/, each process its own.

    Nothing of the training changes; the steps before and after are only waited for, so that the recording holds
    whole steps and no others.
    """

    def __init__(self, model_dir: Path, steps: tuple[int, int] | None) -> None:
        """Takes (first, count), None for no profile; ConfigError for steps that cannot be."""
        first, count = steps or (0, 0)
        if steps is not None and (first < 1 or count < 1):
            raise ConfigError(f"profile_steps is {steps}; it must be the first step and how many, both at least 1")
        self._folder, self._first, self._last = model_dir / FOLDER, first, first + count - 1
        self._recording = False

    def before(self, step: int, *under_way: Any) -> None:
        """Called before a step is begun, with the arrays of those that may not be done yet."""
        if step == self._first:
            jax.block_until_ready(under_way)
            jax.profiler.start_trace(str(self._folder))
            self._recording = True

    def after(self, step: int, *under_way: Any) -> None:
        """Called after a step is begun, with its arrays."""
        if self._recording and step == self._last:
            jax.block_until_ready(under_way)
            self.close()

    def close(self) -> None:
        """Writes what was recorded, also where a run ends within the steps."""
        if self._recording:
            self._recording = False
            jax.profiler.stop_trace()
