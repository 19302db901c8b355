"""Folder: one's own MIDI files and scores as a corpus, labelled by a table (`folder_table`) or by its sub-folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from t5music.corpora import datasets
from t5music.corpora.base import Corpus, Entry, Piece, Skipped, read_file
from t5music.corpora.listing import MUSIC_SUFFIXES, Listing, list_files, relative_id
from t5music.corpora.sources import folder_table
from t5music.corpora.sources.folder_table import LabelledFiles
from t5music.errors import DataError, nearest
from t5music.files import printable_name

LABEL = "folder"  # the label of sub-folders
TABLE = "labels.csv"
MOST_VALUES = 64  # a column of more values is no label set
MOST_LABELS = 32  # taken from a table that is not asked for its labels by name

_LABEL_NAME = re.compile(r"[\w.:#]+")  # what seqio takes in a task's name


def find_files(root: Path) -> Listing:
    """The MIDI files and scores below `root`. Raises DataError if there is no folder, or nothing of the kind in it."""
    listing = list_files(root, MUSIC_SUFFIXES)
    if not listing.files and not listing.unreadable:
        raise DataError(
            f"{printable_name(root)}: no MIDI files and no scores in it (looked for {', '.join(MUSIC_SUFFIXES)})"
        )
    return listing


def table_of(root: Path, table: Path | None = None) -> Path | None:
    """The folder's table: the one that is named, else its labels.csv, in any case, if it has one."""
    if table is not None or not root.is_dir():
        return table
    return next((path for path in sorted(root.iterdir(), reverse=True) if path.name.lower() == TABLE), None)


def sub_folders(root: Path) -> list[str]:
    """The labels that the sub-folders of a folder with music would be, sorted."""
    return sorted({_sub_folder(path, root) for path in find_files(root).files} - {""})


def _sub_folder(path: Path, root: Path) -> str:
    """The first folder between `root` and the file, as a word; '' for a file that lies in `root` itself."""
    parts = path.relative_to(root).parts[:-1]
    return re.sub(r"\s+", "_", printable_name(parts[0]).strip()) if parts else ""


def corpus(
    root: Path,
    name: str,
    labels: Sequence[str] = (),
    table: Path | None = None,
    *,
    folders_are_labels: bool = False,
) -> Corpus:
    """A corpus of the MIDI files and scores below `root`. No file of music is opened.

    Args:
        root: the folder.
        name: the corpus' name.
        labels: columns of the table to take as labels; if none are named, those with 2 to MOST_VALUES values that are
            not all numbers.
        table: a CSV file (`folder_table`); `labels.csv` in the folder, if it is there, without one.
        folders_are_labels: whether each file's first sub-folder is its label, called LABEL.

    Raises:
        DataError: no such folder, no music in it, a table that does not fit, a label that is not in it, or a name
            that TFDS and seqio could not take.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"--name {name}: a corpus' name is lower-case letters, digits and _, beginning with a letter")
    root = root.expanduser().resolve()
    table = table_of(root, table)
    files = folder_table.read(table, root) if table else _all_files(root)
    entries, columns, values = files.entries, files.columns, files.values
    faults: list[str] = []
    if folders_are_labels:
        if LABEL in columns:
            faults.append(f"column {columns[LABEL]!r} and --labels folders: rename the column or do without")
        columns = {LABEL: "the sub-folders", **columns}
        entries = [replace(entry, labels={LABEL: _sub_folder(entry.path, root), **entry.labels}) for entry in entries]
        values = {LABEL: {entry.labels[LABEL] for entry in entries} - {""}, **values}
    chosen = [_chosen(label, columns, table or root) for label in labels] or _label_sets(values)
    if len(chosen) > max(MOST_LABELS, len(labels)):
        faults.append(f"{len(chosen)} columns may be labels: name some with --label")
    else:
        faults += [fault for label in chosen if (fault := _fault(label, columns[label]))]
    files.check(faults)
    if folders_are_labels and LABEL not in chosen:
        chosen.insert(0, LABEL)
    chosen = [label for label in chosen if label != LABEL or len(values[label]) > 1]
    return Corpus(
        name=name,
        title=f"music of the folder {printable_name(root.name)}",
        licence="as the owner of the files states",
        source=printable_name(root.name),
        citation="",
        entries=lambda _: [
            replace(entry, labels={label: entry.labels.get(label, "") for label in chosen}) for entry in entries
        ],
        read=read,
        labels={label: tuple(sorted(values[label])) for label in chosen},
        splits="those of its table, else ours: 80/10/10 by piece, near-duplicates on one side",
        files=len(entries),
        remarks=(*files.remarks, *_remarks(chosen, values), *_on_folders(root, table, folders_are_labels)),
    )


def read(entry: Entry) -> Iterator[Piece | Skipped]:
    """Reads a MIDI file or a score; of a sub-folder that could not be listed it says why."""
    if "unreadable" in entry.more:
        yield Skipped(entry.id, entry.more["unreadable"])
    else:
        yield from read_file(entry)


def _all_files(root: Path) -> LabelledFiles:
    """The files of a folder without a table."""
    listing = find_files(root)
    unreadable = [Entry(name, root / name, more={"unreadable": why}) for name, why in listing.unreadable.items()]
    entries = [*(Entry(relative_id(path, root), path) for path in listing.files), *unreadable]
    return LabelledFiles(entries, {}, {}, (), printable_name(root), ())


def _chosen(name: str, columns: Mapping[str, str], where: Path) -> str:
    """The label of a column that is asked for by its name."""
    label = folder_table.label_name(name)
    if label not in columns:
        raise DataError(f"--label {name}: not a column of {printable_name(where)}{nearest(label, columns)}")
    return label


def _label_sets(values: Mapping[str, set[str]]) -> list[str]:
    """The columns that are label sets: of few values, not all of them numbers."""
    return [
        label
        for label, texts in values.items()
        if 2 <= len(texts) <= MOST_VALUES and not all(re.fullmatch(r"[-+]?\d*\.?\d+", text) for text in texts)
    ]


def _fault(label: str, column: str) -> str:
    """What is wrong with a column whose name no label can have; '' for any other."""
    if not _LABEL_NAME.fullmatch(label):
        better = re.sub(r"[^\w.:#]+", "_", label).strip("_") or "label"
        why = f"has characters that are neither letters, digits nor _ . : #: call it {better!r}"
    elif label in datasets.FIELDS or label.endswith(datasets.OTHER):
        why = f"is a field that every piece has: call it {label + '_label'!r}"
    else:
        return ""
    return f"column {column!r} cannot be a label: its name {why}, or name the columns to take with --label"


def _remarks(chosen: Sequence[str], values: Mapping[str, set[str]]) -> Iterator[str]:
    """What to say of the labels that are taken."""
    yield f"labels: {', '.join(f'{label} ({len(values[label])} values)' for label in chosen) or 'none'}"
    for label in chosen:
        alike: dict[str, list[str]] = defaultdict(list)
        for value in sorted(values[label]):
            alike[value.casefold()].append(value)
        for spellings in alike.values():
            if len(spellings) > 1:
                yield f"{label}: {', '.join(spellings)} differ in case alone and are {len(spellings)} labels"


def _on_folders(root: Path, table: Path | None, folders_are_labels: bool) -> Iterator[str]:
    """What to say of the sub-folders."""
    if folders_are_labels or table is None:
        number = len(sub_folders(root))
        if folders_are_labels:
            yield f"{number} sub-folders: taken as labels" if number > 1 else "fewer than two sub-folders: no labels"
        elif number > 1:
            yield f"{number} sub-folders: not taken as labels (--labels folders takes them)"
