"""Which checkpoint of a run is meant: the latest, the best, or one by its step."""

from __future__ import annotations

import os
from pathlib import Path

from t5music.errors import CheckpointError, ConfigError
from t5music.storage import path_of
from t5music.training.checkpoints.layout import FOLDER, PARAMS, POSITION, is_step, read_item, steps_of

LATEST, BEST = "latest", "best"
BEST_FOR_TASK = "best_for_task"  # of an evaluation, which chooses for each task: see `evaluation.checkpoint_choice`


def step_folder(path: str | os.PathLike[str], which: str | int = LATEST) -> Path:
    """Returns the folder of a step of a run.

    Args:
        path: a run's folder (MODEL_DIR), its folder of checkpoints, or already the folder of one step.
        which: "latest", "best" (by the run's own evaluations) or a step's number. The folder of one step is itself
            the latest and the best.

    Raises:
        CheckpointError: nothing is there, or not that step (the message names the steps there are).
        ConfigError: `which` is none of these.
    """
    name = str(which)
    if name not in (LATEST, BEST) and not (name.isascii() and name.isdecimal()):
        raise ConfigError(f"checkpoint is {which!r}; it must be {LATEST!r}, {BEST!r} or the number of a step")
    if _is_step_folder(path) and name in (LATEST, BEST):
        return path_of(path)
    root = folder_of_steps(path)
    steps = steps_of(root)
    if not steps:
        raise CheckpointError(
            f"no checkpoint at {path}; give the MODEL_DIR of a run, or the folder of a step in its {FOLDER!r}"
        )
    if name == LATEST:
        return root / str(steps[-1])
    if name == BEST:
        return root / str(_best_step(root, steps))
    if name not in map(str, steps):
        raise CheckpointError(f"{root} has no checkpoint of step {name}; there are: {', '.join(map(str, steps))}")
    return root / name


def folder_of_steps(path: str | os.PathLike[str]) -> Path:
    """Returns where the checkpoints of a run are, given the run's folder or that of one step."""
    path = path_of(path)
    if _is_step_folder(path):
        return path.parent if path.name else path.absolute().parent
    return path / FOLDER if (path / FOLDER).is_dir() else path


def _is_step_folder(path: str | os.PathLike[str]) -> bool:
    return is_step(path_of(path).absolute().name) and (path_of(path) / PARAMS).is_dir()


def _best_step(root: Path, steps: list[int]) -> int:
    """Returns the best step, which the position of the latest one names."""
    best = read_item(root / str(steps[-1]), POSITION).get("best_step")
    if type(best) is not int or best not in steps:
        raise CheckpointError(f"{root} has no best checkpoint: its run was not evaluated; take the latest")
    return best
