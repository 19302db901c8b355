"""Tracker: what shows a run's numbers and samples while it trains; the interface, and what is shown."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol


@dataclasses.dataclass(frozen=True)
class Sample:
    """Music that a model has written, to look at and to listen to.

    Attributes:
        name: what was asked, the same at every step: the task's name.
        text: the question and the answer in words.
        picture: a PNG file's bytes; None for music without notes.
        sound: a WAV file's bytes; None where there is nothing to play it with.
    """

    name: str
    text: str
    picture: bytes | None = None
    sound: bytes | None = None

    @property
    def markdown(self) -> str:
        """The text as Markdown's code, which is shown as it is."""
        return "    " + self.text.replace("\n", "\n    ")


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """Which run a tracker shows; a run that goes on is the same one.

    Attributes:
        id: eight letters and digits, its own.
        name: of its folder.
        settings: what its checkpoints say of it, as JSON values.
    """

    id: str
    name: str
    settings: Mapping[str, Any]


class Tracker(Protocol):
    """Shows a run. Any method may raise anything: `guarded` says so, once, and the training goes on.

    Attributes:
        name: as --track takes it.
    """

    name: str

    def url(self) -> str:
        """Where to look at the run: an address, or file:// and a folder of this machine."""

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Shows numbers of a step, by their names."""

    def show(self, step: int, samples: Sequence[Sample]) -> None:
        """Shows the samples of a step, all at once."""

    def sync(self) -> None:
        """Puts in its place what has been given so far, before a checkpoint."""

    def close(self) -> None:
        """Ends, with everything in its place."""


@contextmanager
def as_media(
    samples: Sequence[Sample],
    text: Callable[[Sample], Any],
    picture: Callable[[str], Any],
    sound: Callable[[str], Any],
) -> Iterator[dict[str, Any]]:
    """What samples are to a library, by their names, while the files are there that it reads.

    Args:
        samples: of a step.
        text: makes the library's text of a sample.
        picture: makes its picture of the path of a PNG file.
        sound: makes its sound of the path of a WAV file.
    """
    with contextlib.ExitStack() as stack:
        media: dict[str, Any] = {}
        for sample in samples:
            place = f"samples/{sample.name}"
            media[f"{place}/text"] = text(sample)
            if sample.picture is not None:
                media[f"{place}/picture"] = picture(stack.enter_context(as_file(sample.picture, ".png")))
            if sample.sound is not None:
                media[f"{place}/sound"] = sound(stack.enter_context(as_file(sample.sound, ".wav")))
        yield media


@contextmanager
def as_file(content: bytes, suffix: str) -> Iterator[str]:
    """The path of a file with this content while it is needed: libraries of trackers take files."""
    handle, name = tempfile.mkstemp(prefix="t5music_", suffix=suffix)
    try:
        os.close(handle)
        Path(name).write_bytes(content)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)
