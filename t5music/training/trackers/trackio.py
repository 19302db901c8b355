"""Trackio: a run in a database of this machine, on a Hugging Face Space (TRACKIO_SPACE_ID) or on a Trackio server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t5music.training.trackers.base import Sample, TrackedRun, as_media


class Trackio:
    """A run of the project TRACKIO_PROJECT, "t5music" unless that is set."""

    name = "trackio"

    def __init__(self, run: TrackedRun, folder: Path) -> None:
        """Begins a run, or goes on with it, which Trackio knows by its name.

        Args:
            run: which one.
            folder: not needed; Trackio's own is TRACKIO_DIR, in ~/.cache/huggingface unless that is set.
        """
        import trackio

        self._run: Any = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT") or "t5music",
            name=f"{run.name}-{run.id}",
            config=dict(run.settings),
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )

    def url(self) -> str:
        """As of `Tracker`."""
        from trackio.utils import TRACKIO_DIR

        place = self._run.url
        if place is None:
            return Path(TRACKIO_DIR).absolute().as_uri()
        return place if "://" in place else f"https://huggingface.co/spaces/{place}"

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """As of `Tracker`."""
        self._run.log(dict(numbers), step=step)

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        """As of `Tracker`."""
        import trackio

        with as_media(
            samples, text=lambda sample: trackio.Markdown(sample.markdown), picture=trackio.Image, sound=trackio.Audio
        ) as media:
            self._run.log(media, step=step)

    def sync(self) -> None:
        """Nothing: it sends what it has by itself."""

    def close(self) -> None:
        """As of `Tracker`."""
        self._run.finish()
