"""Input files and folders of the verbs: a missing one is refused by name before anything heavy is imported.

Only whether they are there is checked here. What they hold is checked by those who read it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from t5music.errors import CheckpointError, DataError


def require_path(path: str | None, flag: str = "") -> None:
    """Raises DataError, which names the path and its flag, where nothing is there. None is a path not given."""
    if path is not None and not os.path.exists(os.path.expanduser(path)):
        raise DataError(f"{flag} {path}: no such file or folder".lstrip())


def require_any(paths: Sequence[str]) -> None:
    """Raises DataError where none of the files is there. One missing among others is left to the verb to report."""
    if not any(map(os.path.exists, paths)):
        raise DataError(f"{', '.join(paths)}: no such file")


def require_folder(path: str | None, flag: str = "") -> None:
    """Raises DataError, which names the folder and its flag, where there is none. None is a folder not given."""
    if path is not None and not os.path.isdir(os.path.expanduser(path)):
        raise DataError(f"{flag} {path}: no such folder".lstrip())


def require_run(path: str | None) -> None:
    """Raises CheckpointError where there is no folder that could be a run or a model. None is a run not given."""
    if path is not None and not os.path.isdir(path):
        raise CheckpointError(f"no checkpoint at {path}: no such folder; give the MODEL_DIR of a run")
