"""The table of a folder: which files are meant, and all its faults at once."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.corpora.listing import relative_id
from t5music.corpora.sources import folder_table
from t5music.errors import DataError
from t5music.files import printable_name

FILES = (b"a.mid", b"rock/b.MID", "rock/Ärger.mid".encode(), b"Caf\xe9 tango.mid", b"x.mid", b"X.mid", b"other.kar")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("music")
    for name in (*FILES, b"notes.txt", b".hidden.mid", b"__MACOSX/._a.mid"):
        path = root / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (root / "folder.mid").mkdir()
    (root / "link.mid").symlink_to("a.mid")
    return root


def read(root: Path, text: str | bytes, tmp_path: Path) -> folder_table.LabelledFiles:
    table = tmp_path / "labels.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    files = folder_table.read(table, root)
    files.check()
    return files


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("rock/b.MID", "rock/b.MID"),
        ("./rock//b.MID", "rock/b.MID"),
        ("rock/../a.mid", "a.mid"),
        ("rock\\b.MID", "rock/b.MID"),
        ("Rock\\B.mid", "rock/b.MID"),
        (unicodedata.normalize("NFD", "rock/Ärger.mid"), "rock/Ärger.mid"),
        ("rock/ÄRGER.MID", "rock/Ärger.mid"),
        (r"Caf\xe9 tango.mid", r"Caf\xe9 tango.mid"),
        ("x.mid", "x.mid"),
        ("X.mid", "X.mid"),
        ("link.mid", "link.mid"),
        ("notes.txt", "notes.txt"),
    ],
)
def test_files_by_the_names_people_give_them(music: Path, tmp_path: Path, written: str, name: str):
    assert [entry.id for entry in read(music, f'file\n"{written}"\n', tmp_path).entries] == [name]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_a_name_that_is_not_utf_8_in_the_table_s_own_bytes(music: Path, tmp_path: Path, encoding: str):
    text = "file;note\nCafé tango.mid;é\n" if encoding == "cp1252" else "file;note\nCaf\\xe9 tango.mid;é\n"
    files = read(music, text.encode(encoding), tmp_path)
    assert [entry.path.name for entry in files.entries] == [os.fsdecode(b"Caf\xe9 tango.mid")]
    assert files.entries[0].labels == {"note": "é"}


def test_absolute_paths_may_lie_below_the_folder(music: Path, tmp_path: Path):
    assert [entry.id for entry in read(music, f"file\n{music}/rock/b.MID\n", tmp_path).entries] == ["rock/b.MID"]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("none.mid", "no file 'none.mid' below"),
        ("b.mid", "no file 'b.mid' below"),
        ("other.mid", "did you mean 'other.kar'"),
        ("../a.mid", "'../a.mid' lies outside"),
        ("rock/../../a.mid", "lies outside"),
        ("/etc/passwd", "'/etc/passwd' lies outside"),
        ("C:\\music\\a.mid", "lies outside"),
        ("..", "lies outside"),
        ("rock", "'rock' is a folder"),
        ("folder.mid", "'folder.mid' is a folder"),
        (".hidden.mid", "'.hidden.mid' is hidden or lies in a hidden folder"),
        ("__MACOSX/._a.mid", "is hidden or lies in a hidden folder"),
        ("x.MID", "'x.MID' may be X.mid or x.mid: write it as the file is called"),
    ],
)
def test_files_that_are_not_there(music: Path, tmp_path: Path, cell: str, fault: str):
    with pytest.raises(DataError) as refused:
        read(music, f"file\n{cell}\n", tmp_path)
    assert f"labels.csv, line 2: {fault}" in str(refused.value) or fault in str(refused.value)


def test_all_faults_are_told_at_once(music: Path, tmp_path: Path):
    rows = ["file,split,genre", "a.mid,train,x", "none.mid,,", ',,"no file"', "", "x.mid,half,", "./a.mid,,",
            "x.mid,,,,y", ",,", '"rock/\nb.mid",most,', "X.mid,Dev,"]  # fmt: skip
    with pytest.raises(DataError) as refused:
        read(music, "\n".join(rows), tmp_path)
    faults = str(refused.value).partition("labels.csv, ")[2].replace("; line", "\nline").splitlines()
    assert [fault.split(":")[0] for fault in faults] == [f"line {number}" for number in (3, 4, 6, 7, 8, 10, 10)]
    for fault, text in zip(
        faults,
        ["no file 'none.mid'", "nothing in column 'file'", "split 'half' is none of train, validation, test",
         "'a.mid' is there twice, in line 2 too", "5 cells and 3 columns", "no file 'rock/\\nb.mid'",
         "split 'most' is none of"],
        strict=True,
    ):  # fmt: skip
        assert text in fault
    many = "\n".join(["file", *(f"none{n}" for n in range(1000))])
    with pytest.raises(DataError, match=r"line 11: no file 'none9' below [^;]*; and 990 faults more$"):
        read(music, many, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,genre\na.mid,jazz\n", r"no column 'file' \(its columns: path, genre\)"),
        ("file,file\na.mid,a.mid\n", "two columns are called 'file'"),
        ("file,Genre,genre \na.mid,x,y\n", "two columns are called 'genre'"),
        ("file,a,A,b,B\nnone.mid\n", "labels.csv: two columns are called 'a'.*; two .* called 'b'.*; line 2: no"),
        ("name,a,A\na.mid\n", "labels.csv: two columns are called 'a'.*; no column 'file'"),
        ("file\n", "no file in it"),
        ("file,genre\n,,\n", "no file in it"),
    ],
)
def test_a_table_that_does_not_fit(music: Path, tmp_path: Path, text: str, message: str):
    with pytest.raises(DataError, match=message):
        read(music, text, tmp_path)


@pytest.mark.parametrize("column", ["file", "File", "FILENAME", "file name", "file_name"])
def test_what_the_column_of_files_may_be_called(music: Path, tmp_path: Path, column: str):
    assert [entry.id for entry in read(music, f"genre\t{column}\nx\ta.mid\n", tmp_path).entries] == ["a.mid"]


def test_empty_rows_are_passed_over_and_other_files_counted(music: Path, tmp_path: Path):
    files = read(music, "file;Mood A\n;\nx.mid; \n\na.mid;calm\n;\n;\n", tmp_path)
    assert [(entry.id, entry.labels) for entry in files.entries] == [
        ("a.mid", {"mood_a": "calm"}),
        ("x.mid", {"mood_a": ""}),
    ]
    assert files.columns == {"mood_a": "Mood A"}
    assert files.remarks == (
        "labels.csv: 2 files, read as UTF-8, semicolons",
        r"labels.csv: 6 other files of music are not in it and are left out (for example Caf\xe9 tango.mid)",
    )


NAMES = st.binary(min_size=1, max_size=10).filter(
    lambda name: not set(name) & set(b"/\0") and not name.startswith(b".")
)


@given(st.sets(NAMES.filter(lambda name: os.fsdecode(name).strip()), min_size=1, max_size=5))
def test_any_file_can_be_named_in_a_table(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]):
    root = tmp_path_factory.mktemp("names")
    for name in names:
        (root / os.fsdecode(name)).touch()
    paths = [root / os.fsdecode(name) for name in sorted(names)]
    cells = ['"' + relative_id(path, root).replace('"', '""') + '"' for path in paths]
    try:
        files = read(root, "\n".join(["file", *cells]), tmp_path_factory.mktemp("table"))
    except DataError:  # names that differ in case or in space at their ends
        folded = [printable_name(path.name).strip().casefold() for path in paths]
        assert len(set(folded)) < len(folded)
    else:
        assert {entry.path.name for entry in files.entries} == {path.name for path in paths}
