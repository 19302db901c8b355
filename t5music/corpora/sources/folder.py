"""Anyone's folder of MIDI files as a corpus.

The labels are those of a table, `labels.csv` in the folder or another that is named, or else the sub-folders:

    file,split,group,genre,composer          (only `file` is required; paths are below the folder)
    rock/a.mid,train,,rock,
    b.mid,test,suite 1,classical,Bach
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from t5music.corpora.base import SPLITS, Corpus, Entry, relative_id
from t5music.errors import DataError, nearest

SUFFIXES = (".mid", ".midi", ".smf", ".kar", ".rmi")
LABEL = "folder"  # the label of a folder without a table
TABLE = "labels.csv"
_OWN = ("file", "split", "group")  # columns of a table that are no labels
MOST_VALUES = 64  # a column of more values is no label set


def find_files(root: Path) -> list[Path]:
    """Every file below `root` with a MIDI suffix, sorted. Raises DataError if there is no folder or no such file."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise DataError(f"{root}: no MIDI files in it (looked for {', '.join(SUFFIXES)})")
    return files


def label_of(path: Path, root: Path) -> str:
    """The first folder between `root` and the file, as a word; '' for a file that lies in `root` itself."""
    parts = path.relative_to(root).parts[:-1]
    return _word(parts[0]) if parts else ""


def read_table(table: Path, root: Path) -> list[Entry]:
    """The entries of a table, in the order of their files.

    Raises:
        DataError: the table has no column `file`, names a file that is not there, a split that does not exist, or a
            file twice.
    """
    entries: dict[str, Entry] = {}
    with open(table, encoding="utf-8-sig", newline="") as content:
        rows = csv.DictReader(content)
        columns = [column for column in rows.fieldnames or () if column]
        if "file" not in columns:
            raise DataError(f"{table}: no column 'file' (its columns: {', '.join(columns) or 'none'})")
        labels = [column for column in columns if column not in _OWN]
        for number, row in enumerate(rows, 2):
            name, split = (row["file"] or "").strip(), (row.get("split") or "").strip().lower()
            split = {"": None, "valid": "validation", "val": "validation", "dev": "validation"}.get(split, split)
            if split is not None and split not in SPLITS:
                raise DataError(f"{table}, line {number}: split {split!r} is none of {', '.join(SPLITS)}")
            path = root / name
            if not path.is_file():
                raise DataError(f"{table}, line {number}: no file {name!r} below {root}")
            if name in entries:
                raise DataError(f"{table}, line {number}: {name!r} is there twice")
            entries[name] = Entry(
                id=name,
                path=path,
                labels={_word(label).lower(): (row[label] or "").strip() for label in labels},
                group=(row.get("group") or "").strip(),
                split=split,
            )
    if not entries:
        raise DataError(f"{table}: no file in it")
    return [entries[name] for name in sorted(entries)]


def entries(root: Path, table: Path | None) -> list[Entry]:
    """The entries of a folder: those of its table, or else every MIDI file, labelled by its sub-folder."""
    if table is not None:
        return read_table(table, root)
    return [Entry(relative_id(path, root), path, {LABEL: label_of(path, root)}) for path in find_files(root)]


def corpus(root: Path, name: str, labels: Sequence[str] = (), table: Path | None = None) -> Corpus:
    """A corpus of the MIDI files below `root`.

    Args:
        root: the folder.
        name: the corpus' name.
        labels: columns of the table to take as labels; if none are named, those with 2 to MOST_VALUES values that are
            not all numbers.
        table: a CSV file; `labels.csv` in the folder, if it is there, without one.

    Raises:
        DataError: no such folder, no MIDI file in it, a table that does not fit, a label that is not in it, or a name
            that TFDS and seqio could not take.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"--name {name}: a corpus' name is lower-case letters, digits and _, beginning with a letter")
    root = root.expanduser().resolve()
    if table is None and (root / TABLE).is_file():
        table = root / TABLE
    elif table is not None and not table.is_file():
        raise DataError(f"--table {table}: no such file")
    found = entries(root, table)
    values: dict[str, set[str]] = {}
    for entry in found:
        for label, value in entry.labels.items():
            values.setdefault(label, set()).update({value} - {""})
    for label in labels:
        if label not in values:
            raise DataError(f"--label {label}: not a column of {table or root}{nearest(label, values)}")
    chosen = labels or [label for label, known in values.items() if _is_label_set(known)]
    return Corpus(
        name=name,
        title=f"MIDI files of the folder {root.name}",
        licence="as the owner of the files states",
        source=root.name,
        citation="",
        entries=partial(_only, table=table, labels=tuple(chosen)),
        labels={label: tuple(sorted(values[label])) for label in chosen},
        splits="those of its table, else ours: 80/10/10 by piece, near-duplicates on one side",
        files=len(found),
    )


def _only(root: Path, table: Path | None, labels: Sequence[str]) -> list[Entry]:
    """The entries with no other labels than these."""
    return [
        Entry(entry.id, entry.path, {label: entry.labels.get(label, "") for label in labels}, entry.group, entry.split)
        for entry in entries(root, table)
    ]


def _is_label_set(values: set[str]) -> bool:
    numbers = all(re.fullmatch(r"[-+]?\d*\.?\d+", value) for value in values)
    return 2 <= len(values) <= MOST_VALUES and not numbers


def _word(text: str) -> str:
    return re.sub(r"\s+", "_", text.strip())
