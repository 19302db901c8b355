"""ADL Piano MIDI: the piano tracks of Lakh's matched files, and piano pieces from the web."""

from __future__ import annotations

from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.listing import relative_id
from t5music.corpora.tables import music_files, spaced


def entries(root: Path) -> list[Entry]:
    """Every 'Genre/Subgenre/Artist/Title.mid'."""
    listing = []
    for path in music_files(root, "*/*/*/*.mid"):
        genre, subgenre, artist = (folder.name for folder in reversed(list(path.parents)[:3]))
        labels = {"genre": genre, "subgenre": subgenre, "artist": artist, "title": spaced(path.stem)}
        listing.append(Entry(relative_id(path, root).removesuffix(".mid"), path, labels))
    return listing


ADL_PIANO = Corpus(
    name="adl_piano",
    title="ADL Piano MIDI: piano music of many genres",
    licence="none stated; mostly derived from the Lakh MIDI dataset (CC BY 4.0)",
    source="https://github.com/lucasnfe/adl-piano-midi",
    citation=("Ferreira, Lelis & Whitehead, Computer-generated music for tabletop role-playing games, AIIDE 2020"),
    entries=entries,
    downloads=(
        Download(
            "https://github.com/lucasnfe/adl-piano-midi/raw/bdb483614c25d64794c798a21adde9504eb09719/midi/"
            "adl-piano-midi.zip"
        ),
    ),
    layout="*/*/*/*.mid",
    labels={"genre": (), "subgenre": (), "artist": (), "title": ()},
    files=11_086,  # the repository's README
)

CORPORA = (ADL_PIANO,)
