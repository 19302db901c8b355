"""Tables of corpora: good ones, damaged ones, and the published splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from t5music.corpora import tables
from t5music.errors import DataError


def test_rows_are_stripped_and_may_have_more_columns(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text('file,title,more\n a.mid ,"Air, slow",x\nb.mid,,\n', "utf-8-sig")
    assert tables.read_csv(path, ("file", "title")) == [
        {"file": "a.mid", "title": "Air, slow", "more": "x"},
        {"file": "b.mid", "title": "", "more": ""},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,name\na,b\n", r"t\.csv: no column 'title' \(its columns: file, name\)"),
        (b"", r"t\.csv: there is nothing in it"),
        (b"file,title\na,b\nc\n", "line 3: nothing in column 'title'"),
        (b"file,title\n\xff\xfe,b\n", "cannot be read as a table"),
    ],
)
def test_a_damaged_table_names_the_file_and_the_column(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        tables.read_csv(path, ("file", "title"))


def test_missing_files(tmp_path: Path):
    for read in (tables.read_json, lambda path: tables.read_csv(path, ())):
        with pytest.raises(DataError, match="none: no such file"):
            read(tmp_path / "none")


def test_damaged_json(tmp_path: Path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json cannot be read as JSON"):
        tables.read_json(tmp_path / "a.json")


def test_splits_by_the_names_people_give_them():
    assert [tables.as_split(name, "t") for name in ("train", "valid", "Val", "dev", "validation", "TEST")] == [
        "train",
        "validation",
        "validation",
        "validation",
        "validation",
        "test",
    ]
    with pytest.raises(DataError, match="line 3: split 'dev2' is none of train, validation, test"):
        tables.as_split("dev2", "line 3")


@pytest.mark.parametrize(
    ("corpus", "validation", "test"),
    [("emopia", 64, 32), ("emopia_clips", 107, 107), ("pianist8", 37, 37), ("pop909", 86, 86)],
)
def test_sizes_of_the_published_splits(corpus: str, validation: int, test: int):
    splits = list(tables.published_split(corpus).values())
    assert (splits.count("validation"), splits.count("test")) == (validation, test)
    assert len(splits) == validation + test


def test_files_of_other_systems_are_no_music(tmp_path: Path):
    for name in ("b.mid", "a.mid", "._a.mid", "__MACOSX/c.mid", ".ipynb_checkpoints/a.mid", "deep/d.mid", "e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in tables.music_files(tmp_path, "**/*.mid")]
    assert found == ["a.mid", "b.mid", "deep/d.mid"]


def test_names_with_underscores():
    assert tables.spaced("Merry_Christmas__Mr_ Lawrence") == "Merry Christmas Mr Lawrence"
