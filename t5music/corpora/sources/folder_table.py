"""The table of a folder of one's own: which of its files are meant, and their splits, groups and labels.

    file,split,group,genre,composer          (only `file` is required, also called filename; paths are below the folder)
    rock/a.mid,train,,rock,
    b.mid,test,suite 1,classical,Bach

Files are looked for as they are written and, where there is none, in the other Unicode form, in another case, with
slashes for backslashes, and, for a name that is not UTF-8, as the table's encoding or `files.printable_name` has it.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from t5music.corpora import csv_tables
from t5music.corpora.base import Entry
from t5music.corpora.csv_tables import Row, Table
from t5music.corpora.listing import MUSIC_SUFFIXES, Listing, is_hidden, list_files, relative_id
from t5music.corpora.tables import as_split
from t5music.errors import DataError, nearest
from t5music.files import printable_name

FILE = ("file", "filename", "file_name")  # what the column of files may be called
SPLIT, GROUP = "split", "group"
MOST_FAULTS = 10  # told one by one
_CODECS = {csv_tables.WINDOWS: "cp1252"}


@dataclass(frozen=True)
class LabelledFiles:
    """What a table says of a folder.

    Attributes:
        entries: its files, by id; their labels are the table's other columns, by `label_name`.
        columns: label -> its column as the table writes it.
        values: label -> its values in all rows, those at fault too.
        remarks: how the table was read, and what it leaves out.
        where: what the table is called in errors.
        faults: what is wrong with its columns, and with its rows, each with its line.
    """

    entries: list[Entry]
    columns: dict[str, str]
    values: dict[str, set[str]]
    remarks: tuple[str, ...]
    where: str
    faults: tuple[str, ...]

    def check(self, faults: Iterable[str] = ()) -> None:
        """Raises DataError that tells all faults of the table at once, and these before them; or that no file is in it.

        Args:
            faults: what else is wrong with its columns.
        """
        told = [*faults, *self.faults]
        if told:
            more = f"; and {len(told) - MOST_FAULTS} faults more" if len(told) > MOST_FAULTS else ""
            after = ", " if told[0].startswith("line ") else ": "
            raise DataError(f"{self.where}{after}{'; '.join(told[:MOST_FAULTS])}{more}")
        if not self.entries:
            raise DataError(f"{self.where}: no file in it")


def label_name(column: str) -> str:
    """A column's name as a label's: in lower case, with underscores for spaces."""
    return "_".join(column.lower().split())


def read(path: Path, root: Path) -> LabelledFiles:
    """Reads the table of a folder. No file of music is opened. What does not fit the folder is told by `check`.

    Raises:
        DataError: it is no table, or has no column of files.
    """
    table = csv_tables.read(path, (*FILE, SPLIT, GROUP))
    where = printable_name(path)
    faults: list[str] = []
    file_column, columns = _columns(table, where, faults)
    listing = list_files(root)
    names = _Names(listing, _CODECS.get(table.encoding, "utf-8"))
    entries: dict[str, Entry] = {}
    lines: dict[str, int] = {}
    values: dict[str, set[str]] = {label: set() for label in columns}
    for row in table.rows:
        texts = _texts(row, columns)
        for label, text in texts.items():
            values[label].add(text)
        entry, reasons = _entry(table, row, file_column, texts, names)
        if entry and entry.id in lines:
            reasons.append(f"{entry.id!r} is there twice, in line {lines[entry.id]} too")
        faults += [f"line {row.line}: {reason}" for reason in reasons]
        if entry and not reasons:
            entries[entry.id], lines[entry.id] = entry, row.line
    labels = {label: table.columns[place] for label, place in columns.items() if label not in (SPLIT, GROUP)}
    dialect = f"{printable_name(path.name)}: {len(entries)} files, read as {table.dialect()}"
    remarks = (dialect, *_others(path, listing, entries.keys()))
    of_labels = {label: values[label] - {""} for label in labels}
    return LabelledFiles([entries[name] for name in sorted(entries)], labels, of_labels, remarks, where, tuple(faults))


def _columns(table: Table, where: str, faults: list[str]) -> tuple[int, dict[str, int]]:
    """The place of the column of files, and of every other column by its label's name; of two alike the first."""
    places: dict[str, int] = {}
    for place, column in enumerate(table.columns):
        name = label_name(column)
        if name in places:
            faults.append(f"two columns are called {name!r}: rename or remove one")
        elif name:
            places[name] = place
    file_columns = [name for name in FILE if name in places]
    if not file_columns:
        listed = ", ".join(table.columns[:20]) + (", ..." if len(table.columns) > 20 else "")
        no_file = f"no column 'file' (its columns: {listed})"
        raise DataError(f"{where}: {'; '.join([*faults, no_file])}")
    return places.pop(file_columns[0]), places


def _texts(row: Row, columns: dict[str, int]) -> dict[str, str]:
    """The cells of a row but for the file, each in one line and in one Unicode form, lest one label becomes two."""
    return {label: " ".join(unicodedata.normalize("NFC", row.cell(place)).split()) for label, place in columns.items()}


def _entry(
    table: Table, row: Row, file_column: int, texts: dict[str, str], names: _Names
) -> tuple[Entry | None, list[str]]:
    """What a row says of its file, None where the file cannot be told; and all that is wrong with the row."""
    if any(row.cells[len(table.columns) :]):  # so nobody can say which cell belongs to which column
        counts = f"{len(row.cells)} cells and {len(table.columns)} columns"
        return None, [f"{counts}: put a cell that holds a separator in quotation marks"]
    values = {label: text for label, text in texts.items() if label not in (SPLIT, GROUP)}
    named_split, group = texts.get(SPLIT, ""), texts.get(GROUP, "")
    faults: list[str] = []
    file = split = None
    try:
        if not row.cell(file_column):
            raise DataError(f"nothing in column {table.columns[file_column]!r}")
        file = names.resolve(row.cell(file_column))
    except DataError as error:
        faults.append(str(error))
    try:
        split = as_split(named_split) if named_split else None
    except DataError as error:
        faults.append(str(error))
    return Entry(relative_id(file, names.root), file, values, group, split) if file else None, faults


def _others(path: Path, listing: Listing, names: Iterable[str]) -> list[str]:
    """What to say of the music of the folder that the table does not list."""
    music = {relative_id(file, listing.root) for file in listing.files if file.suffix.lower() in MUSIC_SUFFIXES}
    left_out = sorted(music - set(names))
    if not left_out:
        return []
    table = printable_name(path.name)
    return [f"{table}: {len(left_out)} other files of music are not in it and are left out (for example {left_out[0]})"]


class _Names:
    """The files of a folder by every name that a table may have for them."""

    def __init__(self, listing: Listing, codec: str) -> None:
        self.root = listing.root
        self.exact = {file.relative_to(self.root).as_posix(): file for file in listing.files}
        self.alike: dict[str, list[str]] = defaultdict(list)
        for name in self.exact:
            spellings = {_fold(name), _fold(printable_name(name)), _fold(os.fsencode(name).decode(codec, "replace"))}
            for spelling in spellings:
                self.alike[spelling].append(name)

    def resolve(self, text: str) -> Path:
        """The file of that name. Raises DataError that says what is wrong with it."""
        name = ""
        for spelling in (text, text.replace("\\", "/")):
            name = self._below_root(spelling)
            if name in self.exact:
                return self.exact[name]
            names = self.alike.get(_fold(name), [])
            if len(names) == 1:
                return self.exact[names[0]]
            if names:
                choices = " or ".join(sorted(map(printable_name, names)))
                raise DataError(f"{text!r} may be {choices}: write it as the file is called")
        if not name or re.match(r"[A-Za-z]:[\\/]", text):
            raise DataError(f"{text!r} lies outside {printable_name(self.root)}: write paths below it")
        path = self.root / name
        if os.path.isdir(path):
            raise DataError(f"{text!r} is a folder")
        if is_hidden(PurePosixPath(name)):
            raise DataError(f"{text!r} is hidden or lies in a hidden folder")
        if os.path.lexists(path):  # in a folder that several links lead to
            return path
        raise DataError(f"no file {text!r} below {printable_name(self.root)}{nearest(text, list(self.exact)[:2000])}")

    def _below_root(self, text: str) -> str:
        """A path in its shortest form, relative to the folder; '' if it lies outside."""
        root = f"{self.root.as_posix().rstrip('/')}/"
        name = posixpath.normpath(text.removeprefix(root))
        return "" if name.startswith(("/", "../")) or name == ".." else name


def _fold(name: str) -> str:
    """What names have in common that differ only in case, Unicode form or space at their ends."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())
