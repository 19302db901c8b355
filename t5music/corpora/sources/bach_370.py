"""Bach's 370 chorales in Craig Sapp's Humdrum encoding: note values, meters and keys as printed, repeats not played."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped
from t5music.corpora.sources import music21_corpus
from t5music.corpora.tables import music_files
from t5music.music.encodings.satb.grid import VOICES


def entries(root: Path) -> list[Entry]:
    """Every 'kern/chor001.krn'."""
    return [Entry(path.stem, path) for path in music_files(root, "kern/chor*.krn")]


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads one chorale with music21, which names every voice of these files 'Voice'; soprano comes first."""
    return with_voices(music21_corpus.read(entry, music21_corpus.CHOIR, ()))


def with_voices(pieces: Iterable[Piece | Skipped]) -> Iterator[Piece | Skipped]:
    """Names the tracks of each piece after the four voices, soprano first; skips one of more or fewer tracks."""
    for piece in pieces:
        if isinstance(piece, Skipped):
            yield piece
        elif len(piece.score.track_names) != len(VOICES):
            yield Skipped(piece.id, f"it has {len(piece.score.track_names)} voices")
        else:
            yield dataclasses.replace(piece, score=dataclasses.replace(piece.score, track_names=VOICES))


_COMMIT = "0fd9e00542445a522c6030c80c687b874aa569d5"
BACH_370 = Corpus(
    name="bach_370",
    title="Bach's 370 four-part chorales as printed (Humdrum)",
    licence="CC BY-NC-SA 4.0",
    licence_id="cc-by-nc-sa-4.0",
    source="https://github.com/craigsapp/bach-370-chorales",
    citation="Sapp, 370 Bach chorales in Humdrum format, 2009",
    entries=entries,
    read=read,
    downloads=(Download(f"https://github.com/craigsapp/bach-370-chorales/archive/{_COMMIT}.zip", file="bach_370.zip"),),
    layout="kern/chor*.krn",
    files=370,
)

CORPORA = (BACH_370,)
