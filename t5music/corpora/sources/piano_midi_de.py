"""Classical piano of piano-midi.de: entered note by note by Bernd Krueger, with tempo and dynamics as if performed."""

from __future__ import annotations

from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.listing import relative_id
from t5music.corpora.tables import read_csv, spaced

_COLUMNS = ("composer", "title", "year", "midi")


def entries(root: Path) -> list[Entry]:
    """The rows of `metadata.csv`, in the order of their files.

    The movements of a work are not marked, but the composer and year are theirs in common (and of no more than 26
    pieces): those with both are a group. Five Christmas fantasias have no year and no group. The table writes four of
    the files' names in another case than they have.

    Raises:
        DataError: the table is missing or damaged.
    """
    there = {relative_id(path, root).lower(): path for path in root.glob("midis/*/*.mid")}
    listing = []
    for row in read_csv(root / "metadata.csv", _COLUMNS):
        path = there.get(row["midi"].lower(), root / row["midi"])
        labels = {"composer": row["composer"], "title": spaced(row["title"]), "year": row["year"]}
        group = f"{row['composer']}, {row['year']}" if row["year"] else ""
        listing.append(Entry(relative_id(path, root), path, labels, group))
    return sorted(listing, key=lambda entry: entry.id)


_COMMIT = "505aef5e7539ac56cdb4cbc72d08a98bfaf7a208"
_REPOSITORY = "https://github.com/cheriell/ClassicalPianoMIDI-dataset"
PIANO_MIDI_DE = Corpus(
    name="piano_midi_de",
    title="Classical piano of piano-midi.de, by 25 composers",
    licence="the site's: CC BY-SA 3.0 DE; the repository says for study and research",
    source=_REPOSITORY,
    citation="Bernd Krueger, Classical Piano MIDI Page, www.piano-midi.de",
    entries=entries,
    downloads=(Download(f"{_REPOSITORY}/archive/{_COMMIT}.zip", file="piano_midi_de.zip"),),
    layout="midis/Albeniz/*.mid",
    labels={"composer": (), "title": (), "year": ()},
    splits="ours: 80/10/10 by composer and year, so that the movements of a work are together",
    hours=23.17,  # the repository's README, as the number of files
    files=337,
)

CORPORA = (PIANO_MIDI_DE,)
