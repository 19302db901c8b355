"""MIDI files in and out: `midi.read("song.mid")`, `midi.write(score, "song.mid")`."""

from t5music.music.midi.reader import MAX_BYTES, MAX_NOTES, MAX_QUARTERS, Reading, read, read_mended
from t5music.music.midi.writer import representable, to_bytes, write

__all__ = [
    "MAX_BYTES",
    "MAX_NOTES",
    "MAX_QUARTERS",
    "Reading",
    "read",
    "read_mended",
    "representable",
    "to_bytes",
    "write",
]
