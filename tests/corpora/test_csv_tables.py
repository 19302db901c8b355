"""Tables in every dialect and encoding are read alike; what is no table is refused with its line."""

from __future__ import annotations

import codecs
import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.corpora import csv_tables
from t5music.errors import DataError

DIALECTS = {
    "utf-8": (b"", "UTF-8"),
    "utf-8-sig": (b"", "UTF-8"),
    "utf-16-le": (codecs.BOM_UTF16_LE, "UTF-16"),
    "utf-16-be": (codecs.BOM_UTF16_BE, "UTF-16"),
    "cp1252": (b"", "Windows-1252"),
}


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(table: csv_tables.Table) -> list[tuple[int, tuple[str, ...]]]:
    return [(row.line, row.cells) for row in table.rows]


# Letters that Windows-1252 has too; quotation marks, separators and lines within cells.
CELLS = st.text('abcéÜñß€“ \t,;"\n0', max_size=8)


@given(
    cells=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5),
    separator=st.sampled_from(",;\t"),
    encoding=st.sampled_from(list(DIALECTS)),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    stated=st.booleans(),
)
def test_every_dialect_is_read_alike(tmp_path_factory, cells, separator, encoding, newline, quoting, stated):
    content = io.StringIO(newline="")
    if stated:
        content.write(f"sep={separator}{newline}")
    writer = csv.writer(content, delimiter=separator, lineterminator=newline, quoting=quoting)
    expected, line = [], 2 + stated
    for row in [["File", "genre é€ß“"], *cells]:
        writer.writerow(row)
        if row[0] == "File":
            continue
        stripped = tuple(cell.strip() for cell in row)
        if any(stripped):
            expected.append((line, stripped))
        line += 1 + sum(cell.count("\n") for cell in row)
    mark, name = DIALECTS[encoding]
    folder = tmp_path_factory.mktemp("tables")
    table = csv_tables.read(write(folder / "t.csv", mark + content.getvalue().encode(encoding)), ("file",))
    assert (table.columns, table.separator, table.encoding) == (("File", "genre é€ß“"), separator, name)
    assert rows(table) == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(tmp_path: Path, encoding: str):
    table = csv_tables.read(write(tmp_path / "t.csv", "file\tgenre\na.mid\tJazz é 日本\n".encode(encoding)), ("file",))
    assert table.dialect() == "UTF-16, tabs"
    assert rows(table) == [(2, ("a.mid", "Jazz é 日本"))]


def test_lines_are_counted_over_quoted_and_empty_ones(tmp_path: Path):
    text = 'sep=;\n\nfile;note\n"a\nb.mid";"one\r\ntwo"\n;\n\n ; \nc.mid\nd.mid;x;y\n'
    table = csv_tables.read(write(tmp_path / "t.csv", text), ("file",))
    assert rows(table) == [(4, ("a\nb.mid", "one\r\ntwo")), (10, ("c.mid",)), (11, ("d.mid", "x", "y"))]
    assert table.rows[1].cell(1) == ""


@pytest.mark.parametrize("newline", ["\r", "\n", "\r\n"])
def test_lines_end_as_they_may(tmp_path: Path, newline: str):
    table = csv_tables.read(write(tmp_path / "t.csv", newline.join(["file", "a.mid", "b.mid"])), ("file",))
    assert [row.line for row in table.rows] == [2, 3]


def test_the_separator_is_the_one_that_gives_the_columns(tmp_path: Path):
    for text, separator, columns in (
        ("file;a,b\n", ";", ("file", "a,b")),
        ("a;b,file\n", ",", ("a;b", "file")),
        ("FILE\n", ",", ("FILE",)),
        ("x;y;z\n", ";", ("x", "y", "z")),
    ):
        table = csv_tables.read(write(tmp_path / "t.csv", text), ("file",))
        assert (table.separator, table.columns) == (separator, columns)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"t\.csv: there is nothing in it"),
        (b"\n,,\n\n", r"t\.csv: there is nothing in it"),
        (b"sep=;", r"t\.csv: there is nothing in it"),
        (b'file\na.mid\n"b.mid\nc.mid\n', r"line 3: a quotation mark is opened and never closed"),
        (b'file,x\n"a.mid",1\n"Weird" Al,2\n', r"line 3: text behind a closing quotation mark"),
        (b"file\na.mid\nb\0.mid\n", r"line 3: a NUL character"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", r"line \d: a NUL character"),
        (
            "file,genre\na.mid,é\nb.mid,ü\nc.mid,".encode() + b"\xe9\n",
            r"line 4: the byte 0xe9 is not UTF-8.*\\xe9 for it",
        ),
        (b"file\n\x81\x8d\n", "neither UTF-8 nor UTF-16 nor Windows-1252: save it again as CSV in UTF-8"),
        (codecs.BOM_UTF16_LE + b"f\0i", "begins as UTF-16 and is damaged"),
        (b"file\n" + b"x" * 200_000, r"line 2: field larger than field limit"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(DataError, match=message):
        csv_tables.read(write(tmp_path / "t.csv", content), ("file",))


def test_what_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    with open(tmp_path / "sparse.csv", "wb") as file:
        file.truncate(2**40)
    for name, message in (("none.csv", "no such file"), ("pipe.csv", "it is a pipe"), ("folder.csv", "is a folder"),
                          ("sparse.csv", "larger than 64 MiB")):  # fmt: skip
        with pytest.raises(DataError, match=rf"{name}.*{message}"):
            csv_tables.read(tmp_path / name, ("file",))


TABLES = [
    'file,genre\na.mid,é\n"b\nc.mid",x\n'.encode(),
    "sep=;\nfile;genre\na.mid;x\n".encode("utf-16"),
    "file\tgenre\na.mid\t“é”\n".encode("cp1252"),
]


@given(st.sampled_from(TABLES), st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3)), max_size=8))
def test_a_damaged_table_is_read_or_refused(tmp_path_factory, content: bytes, changes: list[tuple[int, bytes]]):
    data = bytearray(content)
    for place, piece in changes:
        data[place % len(data) : place % len(data) + 1] = piece or b"\0"
    path = write(tmp_path_factory.mktemp("damaged") / "t.csv", bytes(data))
    lines, message = [1], ""
    try:
        lines += [row.line for row in csv_tables.read(path, ("file",)).rows]
    except DataError as error:
        message = str(error)
    assert message.startswith(str(path)) or not message
    assert len(message.splitlines()) <= 1
    assert lines == sorted(set(lines))
