"""Jazz piano: Doug McKenzie's performances, alone or with bass and drums."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, read_file
from t5music.corpora.listing import MIDI_SUFFIXES
from t5music.corpora.tables import music_files, spaced

PIANOS = 8  # General MIDI programs 0..7


def entries(root: Path) -> list[Entry]:
    """Every 'midi/Title.mid'; a few end in '.MID'."""
    return [
        Entry(path.stem, path, {"title": spaced(path.stem)})
        for path in music_files(root, "midi/*")
        if path.suffix.lower() in MIDI_SUFFIXES
    ]


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads a file, and tells by its programs whether pianos play alone."""
    for piece in read_file(entry):
        if isinstance(piece, Piece):
            alone = bool((piece.score.notes["program"] < PIANOS).all())
            piece = dataclasses.replace(piece, labels={**piece.labels, "solo_piano": "yes" if alone else "no"})
        yield piece


_COMMIT = "1d587506653bc8c987220b0325d825193dff36ef"
_REPOSITORY = "https://github.com/grunet01/Jazz-Piano-Generative-LSTM"
JAZZ_PIANO = Corpus(
    name="jazz_piano",
    title="Jazz piano by Doug McKenzie, alone and in trios",
    licence="none stated for the music; the repository's code is MIT",
    source=_REPOSITORY,
    citation="Doug McKenzie, jazz piano MIDI files",
    entries=entries,
    read=read,
    downloads=(Download(f"{_REPOSITORY}/archive/{_COMMIT}.zip", file="jazz_piano.zip"),),
    layout="midi/*.mid",  # of its folder "Midi Download"
    labels={"solo_piano": ("no", "yes"), "title": ()},
    files=307,
)

CORPORA = (JAZZ_PIANO,)
