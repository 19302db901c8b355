"""Staging: the checkpoints of a run in a bucket that TensorStore does not write to (S3), saved on this machine first.

Orbax writes a step into a folder of this machine, and in the same background thread it is copied to the bucket, its
commit marker last. A run that goes on copies its latest step back. One process alone can do so: the processes of a run
on several machines write their arrays into one folder.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import jax

from t5music.errors import CheckpointError
from t5music.storage import BucketPath, bucket_copies
from t5music.training.checkpoints import layout


class Staging:
    """The folder on this machine where the steps of a bucket's folder are written.

    Attributes:
        folder: on this machine; empty but for the run's latest step.
    """

    def __init__(self, target: BucketPath) -> None:
        """Copies the latest step of `target` to this machine.

        Raises:
            CheckpointError: there are several processes.
            OSError: the bucket cannot be read, or there is no room.
        """
        if jax.process_count() > 1:
            raise CheckpointError(
                f"{target}: several processes cannot write into an S3 bucket; take gs://, or a folder that all see"
            )
        self._target = target
        key = hashlib.sha256(str(target).encode()).hexdigest()[:16]
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
