"""Profiling: a trace of some steps of a run, for TensorBoard's profiler, Perfetto or chrome://tracing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import jax

from t5music.errors import ConfigError
from t5music.storage import BucketPath
from t5music.storage.bucket_copies import upload_tree
from t5music.training.train_state import TrainState

FOLDER = "profile"


class Profile:
    """Records the steps `first` to `first + count - 1` into MODEL_DIR/profile/, one file for each process.

    The training does not change. It only waits for the steps before and for the last one, so that the trace holds whole
    steps and no others.
    """

    def __init__(self, model_dir: Path, steps: tuple[int, int] | None) -> None:
        """Checks the steps.

        Args:
            model_dir: the run's folder.
            steps: (first, count); None for no profile.

        Raises:
            ConfigError: one of the numbers is below 1.
        """
        first, count = steps or (0, 0)
        if steps is not None and (first < 1 or count < 1):
            raise ConfigError(
                f"Records.profile_steps is {steps}; it must be the first step and the number of steps, both at least 1"
            )
        self._folder, self._first, self._last = model_dir / FOLDER, first, first + count - 1
        self._local: tempfile.TemporaryDirectory | None = None  # JAX writes to this machine alone
        self._recording = False

    def before(self, step: int, state: TrainState) -> None:
        """To be called before a step is dispatched, with the state that the steps before it compute."""
        if step == self._first:
            jax.block_until_ready(state)
            if isinstance(self._folder, BucketPath):
                self._local = tempfile.TemporaryDirectory(prefix="t5music_profile_")
            jax.profiler.start_trace(str(self._folder) if self._local is None else self._local.name)
            self._recording = True

    def after(self, step: int, state: TrainState) -> None:
        """To be called after a step is dispatched, with the state that it computes."""
        if self._recording and step == self._last:
            jax.block_until_ready(state)
            self.close()

    def close(self) -> None:
        """Writes the trace, also of a run that ends before the last of the steps."""
        if self._recording:
            self._recording = False
            jax.profiler.stop_trace()
            if self._local is not None and isinstance(self._folder, BucketPath):
                with self._local as folder:
                    upload_tree(Path(folder), self._folder)
