"""Scores in MusicXML in and out: `musicxml.read_mended("song.mxl")`, `musicxml.write(score, "song.musicxml")`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from t5music.music.musicxml.limits import MUSICXML_SUFFIXES, SCORE_SUFFIXES

if TYPE_CHECKING:
    from t5music.music.musicxml.reader import read_mended
    from t5music.music.musicxml.writer import to_bytes, write

__all__ = ["MUSICXML_SUFFIXES", "READING_RULES", "SCORE_SUFFIXES", "read_mended", "to_bytes", "write"]

READING_RULES = 1  # raised whenever the reader makes another score of the same bytes

_NAMES = {"reader": ("read_mended",), "writer": ("to_bytes", "write")}


def __getattr__(name: str) -> Any:
    """What reads and writes, imported when it is first asked for: who works with MIDI waits for no XML."""
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
