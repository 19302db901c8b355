"""The checkpoints of a run while it trains: saved in the background, whole or not at all, the last few and the best.

Orbax writes a step into a temporary folder and renames it when everything, with the digests, is there. In a bucket, it
writes a commit marker instead.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from t5music import files
from t5music.errors import CheckpointError
from t5music.storage import BucketPath, path_of
from t5music.training.checkpoints import digests, staging
from t5music.training.checkpoints.layout import (
    FOLDER,
    METADATA,
    POSITION,
    first_line,
    read_item,
    silence_orbax,
    steps_of,
    unreadable,
)
from t5music.training.checkpoints.staging import Staging
from t5music.training.train_state import TrainState

silence_orbax()

ORBAX_SCHEMES = ("gs",)  # of buckets that Orbax writes to; see `staging` for the others
DAMAGED = ".damaged"  # ending of the name a step that cannot be read is moved to

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a step folder holds for its run to go on.

    Attributes:
        state: of the training.
        position: {"loader": where the data stands, "best": the best evaluation so far, "best_step": its step}.
        metadata: what it says of its model, as JSON values.
    """

    state: TrainState
    position: dict[str, Any]
    metadata: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run: saves in the background, keeps the last few and the best."""

    def __init__(self, model_dir: str | os.PathLike[str], *, keep: int = 3) -> None:
        """Opens or makes the checkpoints of `model_dir`, of which the last `keep` and the best are kept.

        A step whose files are damaged is moved out of the way (its name gets an ending) and reported as a warning.
        Raises CheckpointError where the folder cannot be made.
        """
        self.folder = path_of(model_dir).absolute() / FOLDER
        self._keep = _LastAndBest(keep)
        self._saving = 0
        self._staging: Staging | None = None
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._keep,
            cleanup_tmp_directories=True,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
        )
        try:
            self._set_damaged_aside()
            if isinstance(self.folder, BucketPath) and self.folder.scheme not in ORBAX_SCHEMES:
                self._staging = Staging(self.folder)
                if jax.process_count() > 1:
                    options.multiprocessing_options, options.create = staging.alone(), False
            written = self.folder if self._staging is None else self._staging.folder
            self._manager = ocp.CheckpointManager(str(written), options=options)
        except OSError as error:
            raise CheckpointError(f"cannot write checkpoints into {self.folder}: {error.strerror or error}") from error

    def save(
        self, state: TrainState, position: Mapping[str, Any], metadata: Mapping[str, Any], *, best_step: int | None
    ) -> None:
        """Starts to save a state under its step and returns when the state's buffers may be overwritten.

        A step that is already there is left as it is. `best_step` is kept for as long as it is the best. Raises
        CheckpointError when this or the previous save fails; the checkpoints before stay as they were.
        """
        step = int(state.step)
        self.wait()
        if step in (self._manager.all_steps() if self._staging is None else steps_of(self.folder)):
            return
        if self._staging is not None and jax.process_count() > 1:
            state = staging.gathered(state)
            if jax.process_index() > 0:
                return
        self._require_space(state)
        self._keep.best = best_step
        self._saving = step
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardSave(state.params),
                    state=ocp.args.StandardSave(_beside_params(state)),
                    position=ocp.args.JsonSave(dict(position)),
                    metadata=ocp.args.JsonSave(dict(metadata)),
                ),
                force=True,
            )
        except Exception as error:  # Orbax and TensorStore raise many types
            raise self._save_error(first_line(error)) from error

    def restore(self, target: TrainState, metadata: Mapping[str, Any]) -> Restored | None:
        """Returns the latest checkpoint, placed as `target` says, or None where there is none.

        Args:
            target: shapes, types and shardings (`state.abstract`).
            metadata: what the run would save; CheckpointError names what differs from the checkpoint's.
        """
        self.wait()
        step = self._manager.latest_step()
        if step is None:
            return None
        folder = self.folder / str(step)
        saved = read_item(folder, METADATA)
        _require_same(saved, metadata, self.folder.parent)
        try:
            items = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    params=ocp.args.StandardRestore(target.params),
                    state=ocp.args.StandardRestore(_beside_params(target)),
                ),
            )
        except Exception as error:
            raise unreadable(folder, first_line(error)) from error
        state = TrainState(params=items["params"], **items["state"])
        return Restored(state, read_item(folder, POSITION), saved)

    def latest_step(self) -> int | None:
        """Returns the step of the latest checkpoint, saved or being saved."""
        return self._manager.latest_step()

    def wait(self) -> None:
        """Waits until the last save is on disk; CheckpointError when it failed."""
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except Exception as error:
            raise self._save_error(first_line(error)) from error
        if self._staging is not None and jax.process_count() > 1:
            multihost_utils.sync_global_devices("the first process has saved")

    def close(self) -> None:
        """Waits, and ends the background threads."""
        try:
            self._manager.close()
            if self._staging is not None:
                self._staging.close()
        except Exception as error:
            raise self._save_error(first_line(error)) from error

    def _seal(self) -> None:
        """Called by Orbax when all is written, just before the temporary folder gets its name."""
        name = str(self._saving)
        if self._staging is not None:
            for folder in self._staging.folder.glob(f"{name}.orbax-checkpoint-tmp*"):
                digests.seal(folder)
                steps = sorted({*steps_of(self.folder), self._saving})
                self._staging.publish(folder, self._saving, [*steps[-self._keep.last :], self._keep.best])
        elif isinstance(self.folder, BucketPath):  # where Orbax writes its commit marker after this
            digests.seal(self.folder / name)
        else:
            for folder in self.folder.glob(f"{name}.orbax-checkpoint-tmp*"):
                digests.seal(folder)

    def _set_damaged_aside(self) -> None:
        """Renames the damaged ones among the latest steps, down to the first that is whole."""
        damaged: list[tuple[Path, str]] = []
        for step in reversed(steps_of(self.folder)):
            folder = self.folder / str(step)
            fault = _agreed_damage(folder)
            if fault is None:
                break
            damaged.append((folder, fault))
        else:
            if damaged:
                folder, fault = damaged[0]
                raise CheckpointError(
                    f"every checkpoint in {self.folder} is damaged (step {folder.name}: {fault}); "
                    "put back a copy of one, or remove the folder to start again"
                )
        for folder, fault in damaged:
            aside = folder.with_name(folder.name + DAMAGED)
            if jax.process_index() == 0:
                files.remove_tree(aside)
                folder.rename(aside)
            log.warning("checkpoint %s is damaged (%s); it was moved to %s and is not used", folder, fault, aside.name)
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")

    def _require_space(self, state: TrainState) -> None:
        """Fails before writing where the disk has no room: TensorStore fails only after many log lines of its own."""
        folder = self.folder if self._staging is None else self._staging.folder
        if isinstance(folder, BucketPath):
            return
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise self._save_error(f"it takes {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free on that disk")

    def _save_error(self, reason: str) -> CheckpointError:
        try:
            steps = steps_of(self.folder)
            earlier = f"the checkpoint of step {steps[-1]} is kept" if steps else "there is no earlier one"
        except CheckpointError:  # the bucket cannot be reached
            earlier = "those before stay as they are"
        return CheckpointError(f"cannot save a checkpoint into {self.folder}: {reason} ({earlier})")


class _LastAndBest(checkpoint_managers.PreservationPolicy):
    """Keeps the last checkpoints and the best one, whose step the run knows (and saves as part of its position)."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.best: int | None = None

    def should_preserve(
        self,
        checkpoints: Sequence[checkpoint_managers.PolicyCheckpointInfo],
        *,
        context: checkpoint_managers.PreservationContext,
    ) -> Sequence[bool]:
        """Returns, for each checkpoint in the order of steps, whether it stays."""
        first = len(checkpoints) - self.last
        return [i >= first or checkpoint.step == self.best for i, checkpoint in enumerate(checkpoints)]


def _agreed_damage(folder: Path) -> str | None:
    """Returns what the first process finds wrong with a step, on all processes."""
    fault = digests.damage(folder) if jax.process_index() == 0 else None
    damaged = multihost_utils.broadcast_one_to_all(np.int32(fault is not None))
    return (fault or "as the first process found") if damaged else None


def _beside_params(state: TrainState) -> dict[str, Any]:
    rest = {"step": state.step, "opt_state": state.opt_state, "key": state.key, "window": state.window}
    return rest if state.masker is None else {**rest, "masker": state.masker}


def _require_same(saved: Mapping[str, Any], metadata: Mapping[str, Any], model_dir: Path) -> None:
    """Raises CheckpointError naming the first things in which a run's metadata differ from the arguments'."""
    there, here = _flat(saved), _flat(metadata)
    # A newer t5music may go on with an older one's run, and the terms of data may be put in other words by then.
    ignored = ("version", "trained_on")
    names = [name for name in here | there if there.get(name) != here.get(name) and name not in ignored]
    if names:
        shown = "; ".join(f"{name} is {there.get(name)} there and {here.get(name)} here" for name in names[:3])
        raise CheckpointError(
            f"{model_dir} holds another run: {shown}; take another MODEL_DIR, or the settings of that run"
        )


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {".".join(path): value for path, value in traverse_util.flatten_dict(tree).items()}
