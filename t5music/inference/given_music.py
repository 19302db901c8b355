"""Given music: a person's own music, from a file, its bytes or a Score, as a model is asked about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from t5music import files
from t5music.errors import MidiError
from t5music.music import midi, music_files
from t5music.music.score import Score
from t5music.storage import path_of

Source = str | os.PathLike[str] | bytes | Score
UNNAMED = "music"


@dataclass(frozen=True)
class GivenMusic:
    """Somebody's music.

    Attributes:
        score: its notes.
        name: what it is called in errors.
        stem: what new files are named after.
        source: what it was read from.
    """

    score: Score
    name: str
    stem: str
    source: Source

    @cached_property
    def midi(self) -> bytes:
        """The MIDI file: the person's own bytes where there are some, so that every event stays."""
        if isinstance(self.source, Score):
            return midi.to_bytes(self.score)
        if isinstance(self.source, bytes):
            return midi.to_bytes(self.score) if music_files.is_score_data(self.source) else self.source
        return music_files.midi_bytes(self.source, self.score)


def given_music(source: Source, name: str | None = None) -> GivenMusic:
    """Reads somebody's music.

    Args:
        source: the path of a MIDI file or a score, the bytes of one, or a Score.
        name: the file's name where `source` is not a path.

    Raises:
        MidiError: it cannot be read, or has no notes; the message names it.
    """
    if isinstance(source, Score):
        if not len(source.notes):
            raise MidiError(f"{name or 'the score'}: no notes in it")
        return GivenMusic(source, files.printable_name(name or UNNAMED), _stem(name), source)
    if isinstance(source, bytes | bytearray | memoryview):
        data, shown = bytes(source), files.printable_name(name or UNNAMED)
        return GivenMusic(music_files.read_data(data, shown), shown, _stem(name), data)
    path = os.fspath(source) if not isinstance(source, str) else source
    return GivenMusic(music_files.read(path), files.printable_name(path), path_of(path).stem, path)


def _stem(name: str | None) -> str:
    return UNNAMED if name is None else path_of(name).stem or UNNAMED
