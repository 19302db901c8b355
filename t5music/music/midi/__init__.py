"""MIDI files in and out: `midi.read("song.mid")`, `midi.write(score, "song.mid")`."""

from t5music.music.midi.limits import MAX_BARS, MAX_BYTES, MAX_HOURS, MAX_NOTES, MAX_QUARTERS, MAX_TRACKS
from t5music.music.midi.mended import kinds as mended_kinds
from t5music.music.midi.reader import READING_RULES, Reading, read, read_mended
from t5music.music.midi.writer import representable, to_bytes, write

__all__ = [
    "MAX_BARS",
    "MAX_BYTES",
    "MAX_HOURS",
    "MAX_NOTES",
    "MAX_QUARTERS",
    "MAX_TRACKS",
    "READING_RULES",
    "Reading",
    "mended_kinds",
    "read",
    "read_mended",
    "representable",
    "to_bytes",
    "write",
]
