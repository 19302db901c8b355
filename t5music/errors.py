"""The errors a person can mend: the command line prints them as one line and exits with status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
