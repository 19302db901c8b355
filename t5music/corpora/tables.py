"""Tables that come with corpora, the splits that papers publish, and the files below a folder.

`splits.csv` beside this module holds the validation and test sets of splits whose lists are not in the corpora's own
archives: names only; whatever is not listed is training. They are facts taken from

    emopia        metadata of EMOPIA_cls (github.com/seungheondoh/EMOPIA_cls @ a1fff7c9392d, dataset/split/*_SL.csv):
                  by song
    emopia_clips, MIDI-BERT (Chou et al., github.com/wazenmai/MIDI-BERT @ 1bc4cab67d2e, MIT licence, copyright
    pianist8,     MidiBERT-Piano development team: Data/Dataset/*.pkl, data_creation/preprocess_pop909/split.pkl):
    pop909        by clip, file and song
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t5music.corpora import csv_tables
from t5music.corpora.base import SPLITS
from t5music.corpora.listing import is_hidden
from t5music.errors import DataError
from t5music.files import read_bytes

_SPLITS = Path(__file__).with_name("splits.csv")


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table that comes with a corpus, stripped of space.

    Args:
        path: the table, UTF-8.
        columns: those it must have; every row must reach them.

    Raises:
        DataError: no such file, not a table in UTF-8, or a column that is missing, in the head or in a row.
    """
    table = csv_tables.read(path, columns)
    if table.encoding == csv_tables.WINDOWS:
        raise DataError(f"{path} cannot be read as a table: it is not UTF-8")
    places = {name: place for place, name in enumerate(table.columns) if name}
    for column in columns:
        if column not in places:
            raise DataError(f"{path}: no column {column!r} (its columns: {', '.join(places) or 'none'})")
    for row in table.rows:
        for column in columns:
            if places[column] >= len(row.cells):
                raise DataError(f"{path}, line {row.line}: nothing in column {column!r}")
    return [{name: row.cell(place) for name, place in places.items()} for row in table.rows]


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises DataError if it is not there or not JSON."""
    try:
        return json.loads(read_bytes(path).decode("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error


def as_split(name: str, where: str = "") -> str:
    """A split by its name in a table: 'valid', 'val' and 'dev' are 'validation'.

    Raises:
        DataError: it is none; the message begins with `where`, if that is not ''.
    """
    split = {"valid": "validation", "val": "validation", "dev": "validation"}.get(name.lower(), name.lower())
    if split not in SPLITS:
        raise DataError(f"{where}{where and ': '}split {name!r} is none of {', '.join(SPLITS)}")
    return split


@functools.cache
def published_split(corpus: str) -> Mapping[str, str]:
    """What a corpus' published split holds out: name -> 'validation' or 'test'. Whatever is not in it is training."""
    rows = read_csv(_SPLITS, ("corpus", "split", "name"))
    return {row["name"]: row["split"] for row in rows if row["corpus"] == corpus}


def music_files(root: Path, pattern: str) -> list[Path]:
    """The files below `root` that match a pattern, sorted; without what is hidden or a system left behind."""
    return sorted(path for path in root.glob(pattern) if not is_hidden(path.relative_to(root)))


def spaced(name: str) -> str:
    """A name in which underscores stand for spaces, as people write it."""
    return " ".join(name.replace("_", " ").split())
