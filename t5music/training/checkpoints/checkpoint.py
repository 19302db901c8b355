"""What a checkpoint is, and reading one for other uses than going on with its run (which is `saving`).

MODEL_DIR/checkpoints/<step>/params     parameters
                             state      optimizer state, step, random key, sums of unwritten metrics
                             position   JSON: the loader's position and the best evaluation so far
                             metadata   JSON: model config, vocabulary, task, optimizer, version
                             digests.json
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from jax.sharding import Mesh

from t5music.errors import CheckpointError, ConfigError
from t5music.model import parameters, sharding
from t5music.model.config import T5Config
from t5music.training.checkpoints import digests
from t5music.training.train_state import Params

FOLDER = "checkpoints"
# Fields of T5Config that change what a model computes but not which parameters it has.
FREE_FIELDS = ("attention", "dropout_rate", "dtype", "remat_policy", "scan_layers")


def read_metadata(path: str | os.PathLike[str], *, which: str = "latest") -> dict[str, Any]:
    """Returns the metadata of a checkpoint, and its "step".

    Args:
        path: a run's folder (MODEL_DIR) or the folder of one step in its checkpoints.
        which: "latest" or "best" step of a run's folder.

    Raises:
        CheckpointError: nothing there, or damaged.
    """
    root, step = _locate(path, which)
    return {**read_json(root, step, "metadata"), "step": step}


def load_params(
    path: str | os.PathLike[str],
    config: T5Config,
    *,
    mesh: Mesh | None = None,
    fingerprint: str | None = None,
    which: str = "latest",
) -> Params:
    """Returns the parameters of a checkpoint for a model of `config`, placed on `mesh`.

    Dropout, dtype, rematerialisation and scanning may differ from the checkpoint's config.

    Args:
        path: as of `read_metadata`.
        config: the model that will use them.
        mesh: where to put them; None for the first device.
        fingerprint: the vocabulary's, checked where given.
        which: as of `read_metadata`.

    Raises:
        CheckpointError: nothing there, damaged, another vocabulary (names both fingerprints), or another model (names
            the first parameter that differs and both shapes).
    """
    root, step = _locate(path, which)
    folder = root / str(step)
    metadata = read_json(root, step, "metadata")
    theirs = metadata.get("vocabulary", {}).get("fingerprint")
    if fingerprint is not None and theirs is not None and theirs != fingerprint:
        raise CheckpointError(
            f"{folder} was trained with another vocabulary: its fingerprint is {theirs}, this one's {fingerprint}"
        )
    try:
        saved = T5Config.from_dict(metadata["config"])
    except (ConfigError, KeyError) as error:
        raise CheckpointError(f"{folder} has a model config this version cannot read: {error}") from error
    alike = dataclasses.replace(saved, **{name: getattr(config, name) for name in FREE_FIELDS})
    _require_same_model(alike, config, folder)

    mesh = sharding.make_mesh(devices=jax.devices()[:1]) if mesh is None else mesh
    abstract = parameters.abstract(config)[1]
    places = nnx.to_pure_dict(sharding.shardings(abstract, mesh))
    if saved.scan_layers == config.scan_layers:
        target = jax.tree.map(lambda x, place: x.update(sharding=place), nnx.to_pure_dict(abstract), places)
        return _restore(root, step, target)
    # Restacking is done in the host's memory: under jit, a program that takes hundreds of slices is slow to compile.
    layout = parameters.abstract(dataclasses.replace(config, scan_layers=saved.scan_layers))[1]
    target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), nnx.to_pure_dict(layout))
    nnx.replace_by_pure_dict(layout, _restore(root, step, target))
    restack = parameters.stack_layers if config.scan_layers else parameters.unstack_layers
    return jax.device_put(nnx.to_pure_dict(restack(layout)), places)


def load_masker(path: str | os.PathLike[str]) -> Params:
    """Returns the parameters of the masker of a run that masked notes, of the first device.

    Raises CheckpointError for one that did not, or that is missing or damaged.
    """
    root, step = _locate(path, "latest")
    metadata = read_json(root, step, "metadata")
    if metadata.get("masking") is None:
        raise CheckpointError(f"{root.parent} was not trained with Update.masking: there is no masker in it")
    return _restore(root, step, None, "state")["masker"]["params"]


def _restore(root: Path, step: int, target: Params | None, item: str = "params") -> Params:
    """Reads an item as the target's leaves are, numpy arrays or placed arrays; as it was saved without a target."""
    folder = root / str(step)
    fault = digests.damage(folder)
    if fault:
        raise unreadable(folder, fault)
    try:
        with ocp.CheckpointManager(root, options=ocp.CheckpointManagerOptions(create=False)) as manager:
            found = manager.restore(step, args=ocp.args.Composite(**{item: ocp.args.StandardRestore(target)}))
            return found[item]
    except Exception as error:  # Orbax and TensorStore raise many types
        raise unreadable(folder, first_line(error)) from error


def _locate(path: str | os.PathLike[str], which: str) -> tuple[Path, int]:
    """Returns (folder of steps, step)."""
    path = Path(path).absolute()
    if path.name.isdigit() and (path / "params").is_dir():
        return path.parent, int(path.name)
    root = path / FOLDER if (path / FOLDER).is_dir() else path
    steps = steps_of(root)
    if not steps:
        raise CheckpointError(
            f"no checkpoint at {path}; give the MODEL_DIR of a run, or the folder of a step in its {FOLDER!r}"
        )
    if which == "latest":
        return root, steps[-1]
    best = read_json(root, steps[-1], "position").get("best_step")
    if best not in steps:
        raise CheckpointError(f"{root} has no best checkpoint: its run was not evaluated; take the latest")
    return root, best


def steps_of(root: Path) -> list[int]:
    """Returns the steps that have a folder, in order."""
    return sorted(int(step.name) for step in root.iterdir() if step.name.isdigit()) if root.is_dir() else []


def read_json(root: Path, step: int, item: str) -> dict[str, Any]:
    """Reads what JsonSave wrote, without Orbax's cost of opening a checkpoint."""
    path = root / str(step) / item / "metadata"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(root / str(step), f"{path.relative_to(root / str(step))}: {first_line(error)}") from error


def _require_same_model(saved: T5Config, config: T5Config, folder: Path) -> None:
    """Raises CheckpointError naming the first parameter that differs in shape, or the first field that differs."""
    shapes = [
        {".".join(map(str, path)): list(param.shape) for path, param in nnx.to_flat_state(parameters.abstract(c)[1])}
        for c in (saved, config)
    ]
    for name in shapes[1] | shapes[0]:
        there, here = (side.get(name, "missing") for side in shapes)
        if there != here:
            raise CheckpointError(f"{folder} holds another model: {name} is {there} there and {here} in this model")
    for name, here in config.to_dict().items():
        there = getattr(saved, name)
        if there != here:
            raise CheckpointError(f"{folder} holds another model: {name} is {there} there and {here} in this model")


def unreadable(folder: Path, reason: str) -> CheckpointError:
    """Returns the error for a step folder from which nothing can be read."""
    return CheckpointError(f"checkpoint {folder} cannot be read: {reason}; give the folder of another step of its run")


def first_line(error: Exception) -> str:
    """Returns what an error says, without the path of a system error and the pages of context that TensorStore adds."""
    text = getattr(error, "strerror", None) or str(error)
    return next(iter(text.splitlines()), "") or type(error).__name__
