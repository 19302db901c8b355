"""The files of a checkpoint: where they lie, and reading the JSON among them.

MODEL_DIR/checkpoints/<step>/params     parameters
                             state      optimizer state, step, random key, sums of unwritten metrics
                             position   JSON: the loader's position and the best evaluation so far
                             metadata   JSON: see metadata.py
                             digests.json

In a bucket, a step also has a `commit_success.txt`, which Orbax writes last: without it the step is not there yet.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from t5music import json_files
from t5music.errors import CheckpointError
from t5music.storage import BucketPath, libraries

FOLDER = "checkpoints"
COMMIT_MARKER = "commit_success.txt"
PARAMS, STATE, POSITION, METADATA = "params", "state", "position", "metadata"


def silence_orbax() -> None:
    """Drops what Orbax logs: every failure of its threads with a traceback. What matters is raised as CheckpointError.

    To be called after Orbax is imported: a logger that is there before absl says of each record that absl wrote it.
    """
    logging.getLogger("absl").addFilter(_is_of_others)


def _is_of_others(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def steps_of(root: Path) -> list[int]:
    """Returns the steps that have a folder below `root`, in order; none where `root` is not there.

    Raises CheckpointError where it cannot be listed.
    """
    try:
        names = [entry.name for entry in root.iterdir() if is_step(entry.name) and _is_committed(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CheckpointError(f"{root} cannot be read: {first_line(error)}") from error
    return sorted(map(int, names))


def _is_committed(folder: Path) -> bool:
    return not isinstance(folder, BucketPath) or (folder / COMMIT_MARKER).is_file()


def is_step(name: str) -> bool:
    """Whether the name of a folder is the number of a step."""
    return name.isascii() and name.isdecimal() and str(int(name)) == name


def read_item(folder: Path, item: str) -> dict[str, Any]:
    """Returns the JSON object that Orbax saved as an item of a step, without the cost of opening Orbax.

    Raises CheckpointError naming the file where it is missing, damaged, or no object.
    """
    path = folder / item / "metadata"
    try:
        content = json_files.read_json(path)
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError) as error:
        raise unreadable(folder, f"{path.relative_to(folder)}: {first_line(error)}") from error
    return content


def unreadable(folder: Path, reason: str) -> CheckpointError:
    """Returns the error for a step folder from which nothing can be read."""
    return CheckpointError(f"checkpoint {folder} cannot be read: {reason}; give the folder of another step of its run")


def first_line(error: Exception) -> str:
    """Returns what an error says, without the path of a system error and the pages of context that TensorStore adds."""
    while isinstance(error.__cause__, Exception):  # Orbax wraps what TensorStore says
        error = error.__cause__
    return next(iter((getattr(error, "strerror", None) or "").splitlines()), "") or libraries.reason(error)
