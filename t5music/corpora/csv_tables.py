"""CSV tables as people and spreadsheets save them: any usual encoding and separator, and each row with its line.

    encodings    UTF-8 and UTF-16, with a byte order mark or without; else Windows-1252
    separators   comma, semicolon or tab, whichever gives the head the columns that are looked for; Excel's first line
                 `sep=;` says it itself
    rows         quoted as RFC 4180 has it, also over several lines; rows with nothing in them are passed over

What is not such a table is refused with the line that is at fault.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from t5music.errors import DataError
from t5music.files import open_regular, printable_name

MOST_BYTES = 64 * 2**20  # of a table; that of 100,000 files has about ten million
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
UTF_8, UTF_16, WINDOWS = "UTF-8", "UTF-16", "Windows-1252"

_MARKS = ((codecs.BOM_UTF8, UTF_8, "utf-8"), (codecs.BOM_UTF16_LE, UTF_16, "utf-16-le"),
          (codecs.BOM_UTF16_BE, UTF_16, "utf-16-be"))  # fmt: skip
_AGAIN = "save it again as CSV in UTF-8"
_NEWLINE = re.compile(r"\r\n|\r|\n")
_EXCEL = re.compile(r'"?sep=(.)"?(\r\n|\r|\n|$)', re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: its line in the file, from 1; the first one of a row that has several.
        cells: stripped of space; fewer or more than there are columns where the row is shorter or longer.
    """

    line: int
    cells: tuple[str, ...]

    def cell(self, place: int) -> str:
        """The cell in a column; '' where the row does not reach it."""
        return self.cells[place] if place < len(self.cells) else ""


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        path: its file.
        encoding: UTF_8, UTF_16 or WINDOWS.
        separator: between cells.
        columns: the head, stripped of space; '' for a column without a name.
        rows: all that have something in them.
    """

    path: Path
    encoding: str
    separator: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def dialect(self) -> str:
        """How it was read, in words."""
        return f"{self.encoding}, {SEPARATORS.get(self.separator, repr(self.separator))}"


def read(path: Path, columns: Sequence[str]) -> Table:
    """Reads a table.

    Args:
        path: the file.
        columns: those that are looked for, in any case; they decide on the separator and need not be there.

    Raises:
        DataError: there is no such file, it is no table, or too large; with the line where that can be told.
    """
    where = printable_name(path)
    text, encoding = _decode(_load(path, where), where)
    text = text.lstrip("\ufeff")  # a mark more
    if "\0" in text:
        line = len(_NEWLINE.findall(text, 0, text.index("\0"))) + 1
        raise DataError(f"{where}, line {line}: a NUL character, so it is no table: {_AGAIN}")
    stated = _EXCEL.match(text)
    start = stated.end() if stated else 0
    candidates = [stated[1]] if stated else list(SEPARATORS)
    heads = {separator: _head(text[start:], separator, where) for separator in candidates}
    looked_for = {name.lower() for name in columns}

    def fitness(separator: str) -> tuple[int, int]:
        head = heads[separator]
        return sum(name.lower() in looked_for for name in head), len(head)

    separator = max(candidates, key=fitness)
    rows = [
        Row(line + (1 if stated else 0), tuple(cell.strip() for cell in cells))
        for line, cells in _records(text[start:], separator, where)
    ]
    rows = [row for row in rows if any(row.cells)]
    if not rows:
        raise DataError(f"{where}: there is nothing in it")
    head, *body = rows
    return Table(path, encoding, separator, head.cells, tuple(body))


def _load(path: Path, where: str) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise DataError(f"{where}: no such file") from error
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise DataError(f"{where}: larger than {MOST_BYTES // 2**20} MiB, too large for a table of files")
    return data


def _decode(data: bytes, where: str) -> tuple[str, str]:
    """The text, and what it is encoded in."""
    for mark, encoding, codec in _MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(codec), encoding
            except UnicodeDecodeError as error:
                raise DataError(f"{where}: it begins as {encoding} and is damaged: {error.reason}: {_AGAIN}") from error
    if data.count(0) >= max(len(data) // 8, 1):  # text has none, but for the upper halves of UTF-16's units
        codec = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            text = "\0"
        if "\0" not in text:
            return text, UTF_16
    if b"\0" in data:
        return data.decode("latin-1"), WINDOWS  # refused by the line of the first
    try:
        return data.decode("utf-8"), UTF_8
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
    # Windows-1252 forms hardly ever what is UTF-8 too: where most is, the table is UTF-8 with a fault.
    mixed = data.decode("utf-8", "surrogateescape")
    wrong = sum("\udc80" <= character <= "\udcff" for character in mixed)
    if sum(character > "\x7f" for character in mixed) - wrong > wrong:
        raise DataError(
            f"{where}, line {line}: the byte 0x{byte:02x} is not UTF-8, as all else is: {_AGAIN} "
            f"(in a file's name write \\x{byte:02x} for it)"
        )
    try:
        return data.decode("cp1252"), WINDOWS
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: neither {UTF_8} nor {UTF_16} nor {WINDOWS}: {_AGAIN}") from error


def _head(text: str, separator: str, where: str) -> list[str]:
    """The first row with something in it, stripped; empty where there is none, or none with this separator."""
    try:
        rows = (cells for _, cells in _records(text, separator, where))
        cells = next((cells for cells in rows if any(cell.strip(" \t,;") for cell in cells)), [])
    except DataError:  # told when the table itself is read
        return []
    return [cell.strip() for cell in cells]


def _records(text: str, separator: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each row with its first line."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    except (TypeError, ValueError) as error:  # such as 'sep=\r'
        raise DataError(f"{where}, line 1: {separator!r} cannot separate cells") from error
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{where}, line {line}: {_REASONS.get(str(error), error)}") from error


_REASONS = {"unexpected end of data": "a quotation mark is opened and never closed"} | {
    f"'{separator}' expected after '\"'": (
        'text behind a closing quotation mark: within quotes a quotation mark is written twice ("")'
    )
    for separator in SEPARATORS
}
