"""Opening trackers: TensorBoard's, which every run has, and those of --track, which go on where a run left them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from t5music import files
from t5music.errors import DataError
from t5music.storage import BucketPath, bucket_copies
from t5music.training.trackers import TRACKERS
from t5music.training.trackers.base import TrackedRun, Tracker
from t5music.training.trackers.guarded import Background, Guarded
from t5music.training.trackers.tensorboard import TensorBoard

FILE = "trackers.json"  # in a run's folder: tracker -> its run's id and address


def tensorboard(folder: Path, *, first_step: int) -> Tracker:
    """Returns the tracker that every run has; see `TensorBoard`."""
    return Guarded(TensorBoard.name, lambda: TensorBoard(folder, first_step=first_step))


def open_tracker(name: str, folder: Path, settings: Mapping[str, Any]) -> Tracker:
    """Returns a tracker of a run, which goes on with the run that it had before.

    Args:
        name: one of TRACKERS.
        folder: the run's.
        settings: what its checkpoints say of it, as JSON values.

    Raises:
        DataError: `folder` cannot be written.
    """
    runs = read(folder)
    former = runs.get(name, {})
    run = TrackedRun(former.get("id") or uuid.uuid4().hex[:8], folder.name, settings)
    place = bucket_copies.cache_dir() / "trackers" / run.id if isinstance(folder, BucketPath) else folder

    def remember(url: str) -> None:
        files.write_text(folder / FILE, json.dumps({**runs, name: {"id": run.id, "url": url}}, indent=2) + "\n")

    remember(former.get("url", ""))  # a new one is known when it has begun; its id is this one even if it never does
    module = import_module(f"{__package__}.{name}")
    make: Callable[[], Tracker] = partial(getattr(module, TRACKERS[name]), run, place)
    return Background(name, make, remember)


def read(folder: Path) -> dict[str, dict[str, str]]:
    """The trackers of a run: name -> {"id": ..., "url": ...}; {} where there are none, or the file is damaged."""
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, DataError):
        return {}
    return {name: run for name, run in content.items() if isinstance(run, dict)} if isinstance(content, dict) else {}
