"""Which checkpoint of a run is meant: the latest, the best, or one by its step."""

from __future__ import annotations

import os
from pathlib import Path

from t5music.errors import CheckpointError, ConfigError
from t5music.training.checkpoints.checkpoint import FOLDER, read_metadata, steps_of

LATEST, BEST = "latest", "best"


def step_folder(path: str | os.PathLike[str], which: str | int = LATEST) -> Path:
    """Returns the folder of a step of a run.

    Args:
        path: a run's folder (MODEL_DIR), or already the folder of one step in its checkpoints.
        which: "latest", "best" (by the run's own evaluations) or a step's number.

    Raises:
        CheckpointError: nothing there, or not that step (names those there are).
        ConfigError: `which` is none of these.
    """
    if which in (LATEST, BEST):
        step = int(read_metadata(path, which=str(which))["step"])
    elif str(which).isdecimal():
        step = int(which)
    else:
        raise ConfigError(f"checkpoint is {which!r}; it must be {LATEST!r}, {BEST!r} or the number of a step")
    root = folder_of_steps(path)
    steps = steps_of(root)
    if step not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise CheckpointError(f"{root} has no checkpoint of step {step}; there are: {there}")
    return root / str(step)


def folder_of_steps(path: str | os.PathLike[str]) -> Path:
    """Returns where the checkpoints of a run are, given the run's folder or that of one step."""
    path = Path(path)
    if path.name.isdecimal() and (path / "params").is_dir():
        return path.parent
    return path / FOLDER if (path / FOLDER).is_dir() else path
