"""MetaMIDI: 436,631 MIDI files of the web, with titles, artists and genres from where they were found.

A file is 'MMD_MIDI/9/d/6/9d6db1fc171f8270c2233d8f848abd82.mid', by its MD5. Two tables that belong to it are read where
they lie beside that folder, MMD_scraped_title_artist.jsonl and MMD_scraped_genre.jsonl, with a line for each file:

    {"md5": "3966...", "title_artist": [["Eructavit a 6", "Andrea Gabrieli"]]}
    {"md5": "6115...", "genre": [["romantic"]]}

Where this comes from: the count and the tables are the README's (github.com/jeffreyjohnens/MetaMIDIDataset), the
folders are those that programs which read it have. It lies at zenodo.org/records/5142664 and is given on request; its
licence could not be seen here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from t5music.corpora.base import Corpus, Entry
from t5music.corpora.tables import music_files, spaced
from t5music.errors import DataError

_FILES = "[0-9a-f]/[0-9a-f]/[0-9a-f]/????????????????????????????????.mid"


def entries(root: Path) -> list[Entry]:
    """Every file. Of several titles or genres the first one is taken; files of one artist's title are a group.

    Raises:
        DataError: a table that is there is damaged.
    """
    names = _read_lines(root.parent / "MMD_scraped_title_artist.jsonl", "title_artist")
    genres = _read_lines(root.parent / "MMD_scraped_genre.jsonl", "genre")
    listing = []
    for path in music_files(root, _FILES):
        title, artist, *_ = (*_first(names, path.stem), "", "")
        genre, *_ = (*_first(genres, path.stem), "")
        group = f"{artist}: {title}".casefold() if artist and title else ""
        labels = {"artist": artist, "title": title, "genre": genre}
        listing.append(Entry(path.stem, path, labels, group))
    return listing


def _read_lines(path: Path, field: str) -> Mapping[str, list[Any]]:
    """A table of JSON lines: md5 -> its lists; nothing where there is no table."""
    try:
        with open(path, encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines if line.strip()]
        return {row["md5"]: list(row[field]) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read as JSON lines with md5 and {field}: {error}") from error


def _first(table: Mapping[str, list[Any]], md5: str) -> list[str]:
    """The texts of the first list of a file."""
    lists = table.get(md5, [])
    first = lists[0] if lists and isinstance(lists[0], list) else []
    return [spaced(text) if isinstance(text, str) else "" for text in first]


METAMIDI = Corpus(
    name="metamidi",
    title="MetaMIDI: MIDI files of the web, with titles, artists and genres",
    licence="given on request, under terms that are shown there; the music is of many hands",
    source="https://zenodo.org/records/5142664",
    citation="Ens & Pasquier, Building the MetaMIDI dataset: linking symbolic and audio musical data, ISMIR 2021",
    entries=entries,
    layout=_FILES,
    labels={"artist": (), "title": (), "genre": ()},
    files=436_631,
)

CORPORA = (METAMIDI,)
