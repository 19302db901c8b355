"""Music files: MIDI and scores, read and written alike; the name's ending says which it is."""

from __future__ import annotations

import os

from t5music import files
from t5music.errors import MidiError
from t5music.files import printable_name
from t5music.music import midi, musicxml
from t5music.music.midi import Reading
from t5music.music.musicxml import SCORE_SUFFIXES
from t5music.music.score import Score
from t5music.storage import path_of

# Changes whenever the same bytes are read as another score; corpora built by older rules are built anew.
READING_RULES = f"midi {midi.READING_RULES}, musicxml {musicxml.READING_RULES}"
OUTPUT_SUFFIXES = (".mid", ".midi", ".musicxml", ".mxl", ".xml")


def is_score(path: str | os.PathLike[str]) -> bool:
    """Whether a file is called like a score; everything else is read as MIDI."""
    return path_of(path).suffix.lower() in SCORE_SUFFIXES


def read_mended(path: str | os.PathLike[str], *, name: str | None = None) -> Reading:
    """Reads a MIDI file (`midi.read_mended`) or a score (`musicxml.read_mended`), and says what was mended.

    Raises:
        MidiError: "FILE: what is wrong", for every file that cannot be read.
    """
    return musicxml.read_mended(path, name=name) if is_score(path) else midi.read_mended(path, name=name)


def read(path: str | os.PathLike[str], *, name: str | None = None) -> Score:
    """Reads a MIDI file or a score. Raises MidiError as `read_mended`."""
    return read_mended(path, name=name).score


def is_score_data(data: bytes) -> bool:
    """Whether bytes are a score's, XML or a compressed file; everything else is read as MIDI."""
    return data.startswith((b"PK", b"\xff\xfe", b"\xfe\xff")) or data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def read_data(data: bytes, name: str) -> Score:
    """Reads the bytes of a MIDI file or of a score in MusicXML. Raises MidiError, which calls them `name`."""
    reader = musicxml.read_mended if is_score_data(data) else midi.read_mended
    return reader(data, name=name).score


def midi_bytes(path: str | os.PathLike[str], score: Score) -> bytes:
    """A file as MIDI: its own bytes, or those of the score that was read from it."""
    return midi.to_bytes(score) if is_score(path) else files.read_bytes(path)


def to_bytes(score: Score, path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file of this name: MIDI, MusicXML or compressed MusicXML.

    Raises:
        MidiError: a score that the format cannot hold, or a name that is of none that can be written.
    """
    suffix = path_of(path).suffix.lower()
    if suffix not in OUTPUT_SUFFIXES:
        raise MidiError(f"{printable_name(path)}: name a file that ends in {', '.join(OUTPUT_SUFFIXES)}")
    return musicxml.to_bytes(score, is_compressed=suffix == ".mxl") if is_score(path) else midi.to_bytes(score)
