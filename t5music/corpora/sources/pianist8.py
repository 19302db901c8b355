"""Pianist8: pop piano by eight composers or groups, transcribed from recordings; MIDI-BERT's composer task."""

from __future__ import annotations

from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.tables import music_files, published_split, spaced

COMPOSERS = ("Bethel", "Clayderman", "Einaudi", "Hancock", "Hillsong", "Hisaishi", "Ryuichi", "Yiruma")


def entries(root: Path) -> list[Entry]:
    """Every 'midi/Composer/Composer_Title.mid', with MIDI-BERT's split."""
    held_out = published_split("pianist8")
    listing = []
    for path in music_files(root, "midi/*/*.mid"):
        composer = path.parent.name
        name = f"{composer}/{path.stem}"
        labels = {"composer": composer, "title": spaced(path.stem.removeprefix(f"{composer}_"))}
        listing.append(Entry(name, path, labels, split=held_out.get(name, "train")))
    return listing


_COMMIT = "ab9f54110cf459559acaf71c59c3aff716ef882a"
PIANIST8 = Corpus(
    name="pianist8",
    title="Pianist8: pop piano by eight composers",
    licence="none stated",
    source="https://github.com/joann8512/Pianist8",
    citation="Chou et al., MidiBERT-Piano: large-scale pre-training for symbolic music understanding, 2021",
    entries=entries,
    downloads=(Download(f"https://github.com/joann8512/Pianist8/archive/{_COMMIT}.zip", file="Pianist8.zip"),),
    layout="midi/Yiruma/*.mid",
    labels={"composer": COMPOSERS, "title": ()},
    splits="MIDI-BERT's: 337, 37 and 37 files",
    files=411,
)

CORPORA = (PIANIST8,)
