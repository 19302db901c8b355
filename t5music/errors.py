"""The errors a person can mend: the command line prints them as one line and exits with status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CLOSE = 0.5  # the least likeness of a name that is suggested


class T5MusicError(Exception):
    """Base of every error that is the input's fault; its message says what is wrong and what to do."""


class MidiError(T5MusicError):
    """A file, a score or a sequence of event words that cannot be read as, or written to, music."""


class ConfigError(T5MusicError):
    """A flag, a gin binding or a setting that does not fit."""


class DataError(T5MusicError):
    """A corpus, a task or a token store that is missing, damaged or does not match."""


class CheckpointError(T5MusicError):
    """A checkpoint that is missing, damaged or does not match the model or the run."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns '; did you mean 'x'?' for the known name closest to `name`, or '' when none is close."""
    match = closest(name, known)
    return f"; did you mean {match!r}?" if match is not None else ""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name closest to `name`, or None when none is close.

    Capitals do not count, and a name that is misspelt may also be the beginning of a longer one.
    """
    typed = name.lower()

    def likeness(other: str) -> float:
        other = other.lower()
        whole = difflib.SequenceMatcher(None, typed, other).ratio()
        return max(whole, 0.8 * difflib.SequenceMatcher(None, typed, other[: len(typed)]).ratio())

    match = max(known, key=likeness, default=None)
    return match if match is not None and likeness(match) >= CLOSE else None
