"""Weights & Biases: a run on its server, or on this machine with WANDB_MODE=offline."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from t5music.training.trackers.base import Sample, TrackedRun, as_media

SECONDS_TO_BEGIN = 60  # for its server to answer


class Wandb:
    """A run of the project WANDB_PROJECT, "t5music" unless that is set."""

    name = "wandb"

    def __init__(self, run: TrackedRun, folder: Path) -> None:
        """Begins a run, or goes on with it.

        Args:
            run: which one.
            folder: on this machine, for its files.
        """
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "t5music",
            id=run.id,
            name=run.name,
            resume="allow",
            config=dict(run.settings),
            dir=os.environ.get("WANDB_DIR") or str(folder),
            settings=wandb.Settings(silent=True, console="off", init_timeout=SECONDS_TO_BEGIN),
        )

    def url(self) -> str:
        """As of `Tracker`."""
        return Path(self._run.dir).parent.as_uri() if self._run.offline else self._run.url

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """As of `Tracker`. Numbers of a step that it has already are those that it has: a run repeats them exactly."""
        self._run.log(dict(numbers), step=step)

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        """As of `Tracker`."""
        import wandb

        with as_media(
            samples,
            text=lambda sample: wandb.Html(f"<pre>{escape(sample.text)}</pre>"),
            picture=wandb.Image,
            sound=wandb.Audio,
        ) as media:
            self._run.log(media, step=step)

    def sync(self) -> None:
        """Nothing: it sends what it has by itself."""

    def close(self) -> None:
        """As of `Tracker`."""
        self._run.finish()
