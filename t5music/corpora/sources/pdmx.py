"""PDMX: scores that MuseScore's users marked as public domain or CC0, as MusicXML.

The archive has `PDMX.csv`, a row for each score, and files that its columns name: 'mxl' is './mxl/1/11/Qm....mxl'. Only
the rows of `subset:no_license_conflict` are taken: in the others the score itself reserves rights that its page on the
site gives up. Scores of one song by one composer are a group. The table has 225 MB, and is read row by row.

Where this comes from: the count and the advice to take that subset are the record's own (zenodo.org/records/15571083).
The names of its files, the columns and the CC BY 4.0 of the whole are as programs that read it have them. The record's
checksums could not be seen here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from t5music.corpora.base import Corpus, Download, Entry
from t5music.corpora.tables import spaced
from t5music.errors import DataError

_TABLE = "PDMX.csv"
_COLUMNS = ("mxl", "song_name", "composer_name", "genres", "license", "subset:no_license_conflict")
_MISSING = ("", "NA", "nan")


def entries(root: Path) -> list[Entry]:
    """The scores without licence conflict that have a MusicXML file, sorted by its name.

    Raises:
        DataError: the table is missing or damaged, or names a file outside of the archive.
    """
    scores = []
    for row in _rows(root / _TABLE):
        if row["subset:no_license_conflict"].lower() != "true" or not row["mxl"]:
            continue
        path = PurePosixPath(row["mxl"])
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{root / _TABLE} names {row['mxl']!r}, which is not in the archive")
        composer, title = row["composer_name"], row["song_name"]
        labels = {"composer": composer, "title": title, "genre": row["genres"], "licence": row["license"]}
        group = f"{composer}: {title}".casefold() if composer and title else ""
        scores.append(Entry(path.stem, root / path, labels, group))
    return sorted(scores, key=lambda entry: entry.id)


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    """The rows of the table, of which every column that is needed is there; '' for what is missing."""
    try:
        with open(path, encoding="utf-8", newline="") as table:
            reader = csv.DictReader(table, strict=True)
            absent = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                raise DataError(f"{path}: no column {absent[0]!r}")
            for row in reader:
                values = {name: spaced(row[name] or "") if name != "mxl" else row[name] or "" for name in _COLUMNS}
                yield {name: "" if value in _MISSING else value for name, value in values.items()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error


_RECORD = "https://zenodo.org/records/15571083"
PDMX = Corpus(
    name="pdmx",
    title="PDMX: public-domain scores of MuseScore's users",
    licence="each score is CC0 or public domain, as its uploader states; the collection is CC BY 4.0",
    permissive="CC0 or public domain, and only where the site and the file agree; name the collection (CC BY 4.0)",
    source=_RECORD,
    citation=(
        "Long, Novack, Berg-Kirkpatrick & McAuley, PDMX: a large-scale public domain MusicXML dataset for symbolic "
        "music processing, ICASSP 2025"
    ),
    entries=entries,
    downloads=(
        Download(f"{_RECORD}/files/PDMX.csv?download=1", file=_TABLE),
        Download(f"{_RECORD}/files/mxl.tar.gz?download=1", file="mxl.tar.gz"),
    ),
    layout=_TABLE,
    labels={"composer": (), "title": (), "genre": (), "licence": ()},
    files=222_856,
)

CORPORA = (PDMX,)
