"""JS Fake Chorales: four-part chorales made by a program that learned from Bach's; no mixture of real music has them.

Which of Bach's chorales it learned from is not stated with the files: some may be those that `jsb_chorales` holds out.
Every file has a track for each voice, from the soprano down; all notes begin and end on sixteenths.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry, Piece, Skipped, read_file
from t5music.corpora.sources.bach_370 import with_voices
from t5music.corpora.tables import music_files

FOLDERS = ("midi", "jsf-extended")  # 500 that listeners judged, 700 that users of the generator made


def entries(root: Path) -> list[Entry]:
    """Every 'midi/N.mid' and 'jsf-extended/N.mid'."""
    paths = [path for folder in FOLDERS for path in music_files(root, f"{folder}/*.mid")]
    return [Entry(f"{path.parent.name}/{path.stem}", path) for path in paths]


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads one chorale and names its voices."""
    return with_voices(read_file(entry))


_COMMIT = "68b476d5b265e579d87c74a68f2160f26007fa56"
JS_FAKES = Corpus(
    name="js_fakes",
    title="JS Fake Chorales: four-part chorales by a machine",
    licence="CC BY 4.0",
    licence_id="cc-by-4.0",
    source="https://github.com/omarperacha/js-fakes",
    citation="Peracha, JS Fake Chorales: a synthetic dataset of polyphonic music with human annotation, SMC 2022",
    entries=entries,
    read=read,
    downloads=(Download(f"https://github.com/omarperacha/js-fakes/archive/{_COMMIT}.zip", file="js_fakes.zip"),),
    layout="jsf-extended/*.mid",
    files=1200,
)

CORPORA = (JS_FAKES,)
