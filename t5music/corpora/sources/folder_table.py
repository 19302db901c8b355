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
        remarks: how the table was read, and what it leaves out.
    """

    entries: list[Entry]
    columns: dict[str, str]
    remarks: tuple[str, ...]


def label_name(column: str) -> str:
    """A column's name as a label's: in lower case, with underscores for spaces."""
    return "_".join(column.lower().split())


def read(path: Path, root: Path) -> LabelledFiles:
    """Reads the table of a folder. No file of music is opened.

    Raises:
        DataError: it is no table, or does not fit the folder: all faults at once, each with its line.
    """
    table = csv_tables.read(path, (*FILE, SPLIT, GROUP))
    where = printable_name(path)
    file_column, columns = _columns(table, where)
    listing = list_files(root)
    names = _Names(listing, _CODECS.get(table.encoding, "utf-8"))
    entries: dict[str, Entry] = {}
    lines: dict[str, int] = {}
    faults: list[str] = []
    for row in table.rows:
        try:
            file = names.resolve(_cell(table, row, file_column))
            entry = _entry(row, file, root, columns)
            if entry.id in lines:
                raise DataError(f"{entry.id!r} is there twice, in line {lines[entry.id]} too")
        except DataError as error:
            faults.append(f"line {row.line}: {error}")
        else:
            entries[entry.id], lines[entry.id] = entry, row.line
    if faults:
        more = f"; and {len(faults) - MOST_FAULTS} faults more" if len(faults) > MOST_FAULTS else ""
        raise DataError(f"{where}, {'; '.join(faults[:MOST_FAULTS])}{more}")
    if not entries:
        raise DataError(f"{where}: no file in it")
    labels = {label: table.columns[place] for label, place in columns.items() if label not in (SPLIT, GROUP)}
    remarks = (f"{printable_name(path.name)}: {len(entries)} files, read as {table.dialect()}",)
    return LabelledFiles(
        [entries[name] for name in sorted(entries)], labels, (*remarks, *_others(path, listing, entries.keys()))
    )


def _columns(table: Table, where: str) -> tuple[int, dict[str, int]]:
    """The place of the column of files, and of every other column by its label's name."""
    places: dict[str, int] = {}
    for place, column in enumerate(table.columns):
        name = label_name(column)
        if name in places:
            raise DataError(f"{where}: two columns are called {name!r}: rename or remove one")
        if name:
            places[name] = place
    file_columns = [name for name in FILE if name in places]
    if not file_columns:
        listed = ", ".join(table.columns[:20]) + (", ..." if len(table.columns) > 20 else "")
        raise DataError(f"{where}: no column 'file' (its columns: {listed})")
    return places.pop(file_columns[0]), places


def _cell(table: Table, row: Row, place: int) -> str:
    """The file a row names. Raises DataError for a row without one, or that has more cells than there are columns."""
    if any(row.cells[len(table.columns) :]):
        counts = f"{len(row.cells)} cells and {len(table.columns)} columns"
        raise DataError(f"{counts}: put a cell that holds a separator in quotation marks")
    if not row.cell(place):
        raise DataError(f"nothing in column {table.columns[place]!r}")
    return row.cell(place)


def _entry(row: Row, file: Path, root: Path, columns: dict[str, int]) -> Entry:
    # A value is one line, and in one Unicode form, lest one label becomes two.
    texts = {label: unicodedata.normalize("NFC", row.cell(place)) for label, place in columns.items()}
    values = {label: " ".join(text.split()) for label, text in texts.items()}
    split, group = values.pop(SPLIT, ""), values.pop(GROUP, "")
    return Entry(relative_id(file, root), file, values, group, as_split(split) if split else None)


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
