"""Staging: the checkpoints of a run in a bucket that TensorStore does not write to (S3), saved on this machine first.

Orbax writes a step into a folder of this machine, and in the same background thread it is copied to the bucket, its
commit marker last. A run that goes on copies its latest step back. The machines of several processes share no folder:
the first process writes all arrays, which are gathered in its memory, and each copies what it reads.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from t5music.storage import BucketPath, bucket_copies
from t5music.training.checkpoints import layout
from t5music.training.train_state import TrainState


class Staging:
    """The folder on this machine where the steps of a bucket's folder are written.

    Attributes:
        folder: on this machine; empty but for the run's latest step.
    """

    def __init__(self, target: BucketPath) -> None:
        """Copies the latest step of `target` to this machine.

        Raises:
            OSError: the bucket cannot be read, or there is no room.
        """
        self._target = target
        key = hashlib.sha256(f"{target} {jax.process_index()}".encode()).hexdigest()[:16]
        self.folder = bucket_copies.cache_dir() / "staging" / key
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for step in layout.steps_of(target)[-1:]:
            names = [name for name in (target / str(step)).sizes() if name != layout.COMMIT_MARKER]
            bucket_copies.download_tree(target / str(step), self.folder / str(step), names)

    def publish(self, folder: Path, step: int, keep: Sequence[int | None]) -> None:
        """Copies the folder of a step to the bucket, and removes the steps there that are not to be kept.

        Args:
            folder: where it is on this machine.
            step: its number.
            keep: the numbers of the steps to keep.

        Raises:
            OSError: the bucket cannot be written.
        """
        (self._target / str(step)).remove_tree()  # what a killed process left of it
        bucket_copies.upload_tree(folder, self._target / str(step))
        (self._target / str(step) / layout.COMMIT_MARKER).write_text("")
        for old in layout.steps_of(self._target):
            if old not in keep:
                (self._target / str(old) / layout.COMMIT_MARKER).unlink(missing_ok=True)
                (self._target / str(old)).remove_tree()

    def close(self) -> None:
        """Removes the folder of this machine."""
        shutil.rmtree(self.folder, ignore_errors=True)


def alone() -> ocp.options.MultiprocessingOptions:
    """Orbax's options for a process that reads and writes by itself, on its own disk."""
    process = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=process, active_processes={process}, barrier_sync_key_prefix=f"process_{process}"
    )


def gathered(state: TrainState) -> TrainState:
    """The state with whole arrays in this machine's memory; all processes call it together."""
    return jax.tree.map(_whole, state)


def _whole(array: jax.Array) -> np.ndarray:
    if array.is_fully_replicated:
        return np.asarray(array.addressable_data(0))
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
