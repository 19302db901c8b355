"""PDMX, in the layout of its record: a table and the scores that it names."""

from __future__ import annotations

import csv
import tarfile
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, score_of

from t5music.corpora import download
from t5music.corpora.sources.pdmx import PDMX
from t5music.errors import DataError
from t5music.music import musicxml

HEAD = ["path", "mxl", "license", "license_conflict", "genres", "song_name", "composer_name", "n_notes",
        "subset:no_license_conflict"]  # fmt: skip
ROWS = [
    ["./data/1/11/QmA.json", "./mxl/1/11/QmA.mxl", "cc-zero", "False", "classical", 'Lied, "alt"', "Hensel", "9",
     "True"],
    ["./data/1/12/QmB.json", "./mxl/1/12/QmB.mxl", "publicdomain", "False", "NA", 'Lied, "alt"', "hensel", "9",
     "True"],
    ["./data/2/21/QmC.json", "./mxl/2/21/QmC.mxl", "cc-zero", "True", "pop", "Hit", "Me", "9", "False"],
    ["./data/2/22/QmD.json", "NA", "cc-zero", "False", "pop", "Lost", "NA", "9", "True"],
    ["./data/2/23/QmE.json", "./mxl/2/23/QmE.mxl", "cc-zero", "False", "folk", "Air\nin G", "", "9", "True"],
]  # fmt: skip


def write_table(folder: Path, rows: list[list[str]], head: list[str] = HEAD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "PDMX.csv", "w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([head, *rows])
    return folder


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = write_table(tmp_path / "record", ROWS)
    for seed, row in enumerate(ROWS):
        if row[1] != "NA":
            (folder / row[1]).parent.mkdir(parents=True, exist_ok=True)
            musicxml.write(score_of(seed), folder / row[1])
    return folder


def test_only_scores_without_licence_conflict_are_taken(record: Path):
    pieces = pieces_of(PDMX, record)
    assert {name: tuple(piece.labels.values()) for name, piece in pieces.items()} == {
        "QmA": ("Hensel", 'Lied, "alt"', "classical", "cc-zero"),
        "QmB": ("hensel", 'Lied, "alt"', "", "publicdomain"),
        "QmE": ("", "Air in G", "folk", "cc-zero"),
    }
    assert pieces["QmA"].group == pieces["QmB"].group != "", "one song by one composer"
    assert pieces["QmE"].group == "", "a title alone says little"
    assert len(pieces["QmA"].score.notes) == 16


def test_the_files_of_the_record_are_laid_out_so(record: Path, tmp_path: Path):
    with tarfile.open(tmp_path / "mxl.tar.gz", "w:gz") as archive:
        archive.add(record / "mxl", "mxl")
    unpacked = download.archives.unpack([record / "PDMX.csv", tmp_path / "mxl.tar.gz"], tmp_path / "files", False)
    assert set(pieces_of(PDMX, unpacked)) == {"QmA", "QmB", "QmE"}
    assert [each.name for each in PDMX.downloads] == ["PDMX.csv", "mxl.tar.gz"]


@pytest.mark.parametrize(
    ("rows", "head", "error"),
    [
        ([], ["path", "mxl"], "no column 'song_name'"),
        ([[*ROWS[0][:1], "../../secret.mxl", *ROWS[0][2:]]], HEAD, "which is not in the archive"),
        ([[*ROWS[0][:1], "/etc/secret.mxl", *ROWS[0][2:]]], HEAD, "which is not in the archive"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path: Path, rows, head, error: str):
    with pytest.raises(DataError, match=error):
        entries_of(PDMX, write_table(tmp_path, rows, head))


@pytest.mark.parametrize("content", [b"", b'mxl,song_name\n"open', b"\xff\xfe\x00"])
def test_a_damaged_table_is_refused_by_name(tmp_path: Path, content: bytes):
    (tmp_path / "PDMX.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"PDMX\.csv"):
        entries_of(PDMX, tmp_path)


def test_its_weights_may_be_given_away():
    assert PDMX.permissive
    assert PDMX.files == 222_856
