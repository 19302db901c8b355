"""Input files and folders of the verbs: a missing one is refused by name before anything heavy is imported.

Only whether they are there is checked here. What they hold is checked by those who read it.
"""

from __future__ import annotations

from collections.abc import Sequence

from t5music import files
from t5music.errors import CheckpointError, DataError
from t5music.inference import pretrained
from t5music.storage import path_of
from t5music.training.checkpoints import selection


def require_path(path: str | None, flag: str = "") -> None:
    """Raises DataError, which names the path and its flag, where nothing is there. None is a path not given."""
    if path is not None and not path_of(path).expanduser().exists():
        raise DataError(f"{flag} {path}: no such file or folder".lstrip())


def require_any(paths: Sequence[str]) -> None:
    """Raises DataError where none of the files is there. One missing among others is left to the verb to report."""
    if not any(path_of(path).exists() for path in paths):
        raise DataError(f"{', '.join(paths)}: no such file")


def require_folder(path: str | None, flag: str = "") -> None:
    """Raises DataError, which names the folder and its flag, where there is none. None is a folder not given."""
    if path is not None and not path_of(path).expanduser().is_dir():
        raise DataError(f"{flag} {path}: no such folder".lstrip())


def require_run(path: str | None, which: str = selection.LATEST) -> None:
    """Raises CheckpointError where there is no run with this checkpoint, and no exported model.

    Raises ConfigError for what looks like an address of the Hugging Face Hub and is none.

    Args:
        path: a run's folder, that of one of its checkpoints, a Hugging Face folder, or a pretrained model's name; None
            where none is given.
        which: the checkpoint, as `selection.step_folder` takes it.
    """
    if path is None:
        return
    if path.startswith(pretrained.HUB):
        pretrained.hub_address(path)  # what the Hub has is seen when it is fetched
        return
    folder = path_of(pretrained.locate(path))
    if not folder.is_dir():
        stem = path.rpartition(":")[2]
        name = f"; did you mean {pretrained.PREFIX}{stem}?" if stem in pretrained.names() else ""
        raise CheckpointError(f"no checkpoint at {path}: no such folder; give the MODEL_DIR of a run{name}")
    if not (folder / "config.json").is_file():
        selection.step_folder(folder, which)


def require_built(names: Sequence[str]) -> None:
    """Raises DataError where a NAME[:SPLIT] is neither of a corpus nor of a store that is there."""
    for name in (name.partition(":")[0] for name in names):
        if not (files.data_dir() / "corpora" / name).is_dir() and not (files.stores_dir() / name).is_dir():
            raise DataError(
                f"{name!r} is neither a built corpus nor a compiled task: run `t5music corpora --build {name}` or "
                f"`t5music compile {name}`"
            )
