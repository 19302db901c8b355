"""TensorBoard: the event files of a run, which are always written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from t5music.training.trackers.base import Sample
from t5music.training.trackers.event_files import EventFile

SAMPLES = "samples"  # in a run's folder: a run of its own to TensorBoard


class TensorBoard:
    """Event files in a run's folder.

    The samples of each step have one of their own, in the folder of samples: pictures and sound are large, and what is
    in a bucket is written whole each time.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path, *, first_step: int) -> None:
        """Begins a file.

        Args:
            folder: the run's.
            first_step: what earlier files say of this step and later ones is hidden.
        """
        self._folder = folder
        self._numbers = EventFile(folder, first_step=first_step)

    def url(self) -> str:
        """As of `Tracker`."""
        return str(self._folder) if "://" in str(self._folder) else self._folder.absolute().as_uri()

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """As of `Tracker`."""
        self._numbers.write(step, numbers)

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        """As of `Tracker`."""
        (self._folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        file = EventFile(self._folder / SAMPLES, first_step=step)
        try:
            for sample in samples:
                file.write_text(step, f"{sample.name}/text", sample.markdown)
                if sample.picture is not None:
                    file.write_picture(step, f"{sample.name}/picture", sample.picture)
                if sample.sound is not None:
                    file.write_sound(step, f"{sample.name}/sound", sample.sound)
        finally:
            file.close()

    def sync(self) -> None:
        """As of `Tracker`."""
        self._numbers.file.sync()

    def close(self) -> None:
        """As of `Tracker`."""
        self._numbers.close()
