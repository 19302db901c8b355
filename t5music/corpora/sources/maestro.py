"""MAESTRO: piano performances of the International Piano-e-Competition, recorded by the piano itself."""

from __future__ import annotations

from pathlib import Path

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.tables import as_split, read_csv
from t5music.errors import DataError

_COLUMNS = ("canonical_composer", "canonical_title", "split", "year", "midi_filename", "duration")


def entries(root: Path) -> list[Entry]:
    """The rows of the dataset's table, in the order of their files. A composition's performances are one group.

    Raises:
        DataError: the table is missing or damaged.
    """
    table = next(iter(sorted(root.glob("maestro-v*.csv"))), None)
    if table is None:
        raise DataError(f"{root}: no table maestro-v*.csv in it")
    listing = []
    for row in read_csv(table, _COLUMNS):
        name, composer, title = row["midi_filename"], row["canonical_composer"], row["canonical_title"]
        labels = {"composer": composer, "title": title, "year": row["year"], "duration": row["duration"]}
        split = as_split(row["split"], f"{table}, {name}")
        listing.append(Entry(name, root / name, labels, f"{composer}: {title}", split))
    return sorted(listing, key=lambda entry: entry.id)


MAESTRO = Corpus(
    name="maestro",
    title="MAESTRO v3: virtuoso piano performances with dynamics and pedal",
    licence="CC BY-NC-SA 4.0",
    licence_id="cc-by-nc-sa-4.0",
    source="https://magenta.tensorflow.org/datasets/maestro",
    citation=(
        "Hawthorne et al., Enabling factorized piano music modeling and generation with the MAESTRO dataset, ICLR 2019"
    ),
    entries=entries,
    # Size and sha256 as MusPy publishes them (muspy/datasets/maestro.py @ 2e1dc660dde6).
    downloads=(
        Download(
            "https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/maestro-v3.0.0-midi.zip",
            "sha256:70470ee253295c8d2c71e6d9d4a815189e35c89624b76d22fce5a019d5dde12c",
            58_416_533,
        ),
    ),
    layout="maestro-v*.csv",
    labels={"composer": (), "title": (), "year": (), "duration": ()},
    splits="official: no composition is in two of them",
    hours=198.7,  # the dataset's page, v3.0.0
    files=1276,
)

CORPORA = (MAESTRO,)
