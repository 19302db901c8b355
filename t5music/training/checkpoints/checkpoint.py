"""Checkpoint: one step of a run, opened once, that gives its metadata and its parameters.

    checkpoint = Checkpoint.open("runs/chorales", "best")
    checkpoint.config.d_model, checkpoint.metadata.tasks
    params = checkpoint.params()

For other uses than going on with the run, which is `save.Checkpoints`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from jax.sharding import Mesh
from optax import OptState

from t5music import terms
from t5music.errors import CheckpointError
from t5music.model import parameters, sharding
from t5music.model.config import T5Config
from t5music.storage import bucket_copies
from t5music.terms import TrainingRun
from t5music.training.checkpoints import digests, layout
from t5music.training.checkpoints.finite import require_finite
from t5music.training.checkpoints.metadata import Metadata
from t5music.training.checkpoints.selection import LATEST, step_folder
from t5music.training.train_state import Params

layout.silence_orbax()

# Fields of T5Config that change what a model computes but not which parameters it has.
FREE_FIELDS = ("attention", "dropout_rate", "dtype", "remat_policy", "scan_layers")
# Weights are hardly compressed; a folder whose arrays are to be so much larger than its files is no model's.
MAX_COMPRESSION = 1000
SMALL = 1 << 26  # bytes that are allocated whatever the files say

Shapes = dict[str, tuple[int, ...]]  # parameter, as "encoder.layers.0.mlp.wo", -> shape


class Checkpoint:
    """One step of a run.

    Attributes:
        folder: of the step.
        step: updates done.
        metadata: what it says of its model.
    """

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        self.folder, self.step, self.metadata = folder, int(folder.name), metadata

    @classmethod
    def open(cls, path: str | os.PathLike[str], which: str | int = LATEST) -> Checkpoint:
        """Finds a checkpoint and reads its metadata.

        Args:
            path: a run's folder (MODEL_DIR), or the folder of one step in its checkpoints.
            which: "latest", "best" or a step's number; see `selection.step_folder`.

        Raises:
            CheckpointError: nothing is there, or its metadata are damaged or out of bounds.
            ConfigError: `which` is none of these.
        """
        folder = step_folder(path, which).absolute()
        content = layout.read_item(folder, layout.METADATA)
        return cls(folder, Metadata.from_json(content, folder / layout.METADATA))

    @property
    def config(self) -> T5Config:
        """The model's config."""
        return self.metadata.config

    @property
    def trained_on(self) -> tuple[TrainingRun, ...]:
        """The runs that the weights went through, with their steps, for runs that begin from them."""
        return terms.ended(self.metadata.trained_on, self.step)

    def require_vocabulary(self, fingerprint: str) -> None:
        """Raises CheckpointError, which names both fingerprints, where the model has another vocabulary."""
        if self.metadata.vocabulary.fingerprint != fingerprint:
            raise CheckpointError(
                f"{self.folder} was trained with another vocabulary: its fingerprint is "
                f"{self.metadata.vocabulary.fingerprint}, this one's {fingerprint}"
            )

    def params(self, config: T5Config | None = None, *, mesh: Mesh | None = None) -> Params:
        """Reads the parameters, for a model of `config`, placed on `mesh`.

        Dropout, dtype, rematerialisation and scanning may differ from the checkpoint's config.

        Args:
            config: the model that will use them; None for the checkpoint's own.
            mesh: where to put them; None for the first device.

        Raises:
            CheckpointError: damaged, of another model (names the first parameter that differs and both shapes), or
                with a weight that is not finite (named).
        """
        self._require_undamaged()
        self._require_shapes_of(self.config)
        config = self.config if config is None else config
        alike = dataclasses.replace(self.config, **{name: getattr(config, name) for name in FREE_FIELDS})
        if alike != config:
            raise _another_model(alike, config, self.folder)
        saved = dataclasses.replace(config, scan_layers=self.config.scan_layers)

        mesh = sharding.make_mesh(devices=jax.devices()[:1]) if mesh is None else mesh
        abstract = parameters.abstract(config)[1]
        places = nnx.to_pure_dict(sharding.shardings(abstract, mesh))
        if saved == config:
            target = jax.tree.map(lambda x, place: x.update(sharding=place), nnx.to_pure_dict(abstract), places)
            params = self._restore(layout.PARAMS, target)
        else:
            # Restacking is done in the host's memory: under jit, a program that takes hundreds of slices is slow to
            # compile.
            stored = parameters.abstract(saved)[1]
            target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), nnx.to_pure_dict(stored))
            nnx.replace_by_pure_dict(stored, self._restore(layout.PARAMS, target))
            restack = parameters.stack_layers if config.scan_layers else parameters.unstack_layers
            params = jax.device_put(nnx.to_pure_dict(restack(stored)), places)
        require_finite(params, self.folder)
        return params

    def masker_params(self) -> Params:
        """Reads the parameters of the masker of a run that masked notes, onto the first device.

        Raises CheckpointError for a run that did not mask notes, or for a damaged one.
        """
        if self.metadata.masking is None:
            raise CheckpointError(
                f"{self.folder.parent.parent} was not trained with Update.masking: there is no masker in it"
            )
        self._require_undamaged()
        self._stored_shapes(layout.STATE)
        try:
            params = self._restore(layout.STATE, None)["masker"]["params"]
        except (KeyError, TypeError) as error:
            raise layout.unreadable(self.folder, "its state has no masker") from error
        require_finite(params, self.folder)
        return params

    @functools.cached_property
    def _files(self) -> Path:
        """Where the files are read: the folder, or the copy on this machine of one in a bucket."""
        try:
            return bucket_copies.copy_of_folder(self.folder)
        except OSError as error:
            raise layout.unreadable(self.folder, layout.first_line(error)) from error

    def opt_state(self, target: OptState) -> OptState:
        """Reads the optimizer's state into the host's memory, for a run that goes on with it.

        Args:
            target: the state to read, with the shape of each array, as `TrainState.opt_state` of an abstract state.

        Returns:
            The same tree of numpy arrays.

        Raises:
            CheckpointError: damaged, or the state of another optimizer or of other parameters (names what differs).
        """
        self._require_undamaged()
        here = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(target)}
        prefix = "opt_state."
        shapes = {
            name.removeprefix(prefix): shape
            for name, shape in self._stored_shapes(layout.STATE).items()
            if name.startswith(prefix)
        }
        for name in here | shapes:
            one, other = shapes.get(name), getattr(here.get(name), "shape", None)
            if one != other:
                raise CheckpointError(
                    f"{self.folder} was trained with another optimizer or other trained parameters: of its state, "
                    f"{name} is {_shape_text(one)} there and {_shape_text(other)} here; leave "
                    "InitialModel.optimizer_state False"
                )
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            tree = checkpointer.metadata(self._files / layout.STATE).item_metadata.tree
        arrays = self._restore(layout.STATE, jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), tree))
        stored = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(arrays["opt_state"])}
        return jax.tree_util.tree_map_with_path(lambda path, _: stored[_name(path)], target)

    def _require_undamaged(self) -> None:
        fault = digests.damage(self._files)
        if fault:
            raise layout.unreadable(self.folder, fault)

    def _require_shapes_of(self, config: T5Config) -> None:
        """Compares a config with the arrays in the files, before anything is built by it or read from them."""
        shapes = self._stored_shapes(layout.PARAMS)
        depth = max(_depth(shapes, stack) for stack in ("encoder", "decoder"))
        for name, value in config.to_dict().items():
            if name.endswith("_layers") and type(value) is int and value > depth:
                raise CheckpointError(f"{self.folder}: its config has {value:,} {name}, and its files have {depth}")
        _require_same_shapes(shapes, _shapes_of(config), self.folder, "in the files and {} by the config")

    def _stored_shapes(self, item: str) -> Shapes:
        """Reads the shapes of an item's arrays, and compares their size with that of the files."""
        _silence_abandoned_reads()
        try:
            with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
                tree = checkpointer.metadata(self._files / item).item_metadata.tree
            leaves = jax.tree_util.tree_leaves_with_path(tree)
            shapes = {_name(path): tuple(leaf.shape) for path, leaf in leaves}
            size = digests.size_of(self._files / item)
        except Exception as error:  # Orbax and TensorStore raise many types
            raise layout.unreadable(self.folder, layout.first_line(error)) from error
        needed = sum(4 * math.prod(shape) for shape in shapes.values())
        if needed > SMALL + MAX_COMPRESSION * size:
            reason = f"the arrays of its {item} are to have {needed:,} bytes, and the files have {size:,}"
            raise layout.unreadable(self.folder, reason)
        return shapes

    def _restore(self, item: str, target: Params | None) -> Any:
        """Reads an item as the target's leaves are, numpy arrays or placed arrays; as it was saved without a target."""
        try:
            with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
                return checkpointer.restore(self._files / item, args=ocp.args.StandardRestore(target))
        except Exception as error:  # Orbax and TensorStore raise many types
            raise layout.unreadable(self.folder, layout.first_line(error)) from error


@functools.cache
def _silence_abandoned_reads() -> None:
    """Silences the reads that Orbax abandons when one of them fails.

    They complain where nothing can catch it, of their closed event loop or of being thrown away: pages on stderr after
    the one line that says what is wrong.
    """
    tell = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        code = getattr(unraisable.object, "cr_code", None)  # of a coroutine
        is_abandoned = code is not None and "orbax" in code.co_filename
        if not is_abandoned and str(unraisable.exc_value) != "Event loop is closed":
            tell(unraisable)

    sys.unraisablehook = hook


def _name(path: Sequence[Any]) -> str:
    """The dotted name of a leaf, the same in a tree of dictionaries, lists and tuples and as Orbax gives it back."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".")


def _shape_text(shape: Sequence[int] | None) -> str:
    return "missing" if shape is None else str(list(shape))


def _depth(shapes: Shapes, stack: str) -> int:
    """How many layers a stack has in the files, scanned (the first dimension) or not (a name each)."""
    layers = {name.split(".")[2]: shape for name, shape in shapes.items() if name.startswith(f"{stack}.layers.")}
    if any(part.isdecimal() for part in layers):
        return sum(part.isdecimal() for part in layers)
    return max((shape[0] for shape in layers.values() if shape), default=0)


def _shapes_of(config: T5Config) -> Shapes:
    """The shapes of all parameters of a model."""
    flat = nnx.to_flat_state(parameters.abstract(config)[1])
    return {".".join(map(str, path)): tuple(param.shape) for path, param in flat}


def _another_model(saved: T5Config, config: T5Config, folder: Path) -> CheckpointError:
    """Returns the error that names the first parameter that differs in shape, or the first field that differs."""
    try:
        _require_same_shapes(_shapes_of(saved), _shapes_of(config), folder, "there and {} in this model")
    except CheckpointError as error:
        return error
    differing = (name for name in config.to_dict() if getattr(saved, name) != getattr(config, name))
    name = next(differing)
    there, here = getattr(saved, name), getattr(config, name)
    return CheckpointError(f"{folder} holds another model: {name} is {there} there and {here} in this model")


def _require_same_shapes(there: Shapes, here: Shapes, folder: Path, wording: str) -> None:
    """Raises CheckpointError naming the first parameter that differs in shape."""
    for name in here | there:
        one, other = (list(side[name]) if name in side else "missing" for side in (there, here))
        if one != other:
            raise CheckpointError(f"{folder} holds another model: {name} is {one} {wording.format(other)}")
