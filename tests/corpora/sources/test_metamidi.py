"""MetaMIDI, in the layout of its archive and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, write_files

from t5music.corpora.sources.metamidi import METAMIDI
from t5music.errors import DataError

NAMES = [f"{digits}{'0' * 29}" for digits in ("9d6", "9d7", "abc")]
TITLES = [
    {"md5": NAMES[0], "title_artist": [["Eructavit  a 6", "Andrea Gabrieli"], ["Eructavit", "Gabrieli"]]},
    {"md5": NAMES[1], "title_artist": [["eructavit a 6", "andrea gabrieli"]]},
]
GENRES = [{"md5": NAMES[0], "genre": [["renaissance", "sacred"], ["romantic"]]}, {"md5": NAMES[2], "genre": [[]]}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path / "MMD_MIDI", *(f"{name[0]}/{name[1]}/{name[2]}/{name}.mid" for name in NAMES))
    for table, rows in (("MMD_scraped_title_artist", TITLES), ("MMD_scraped_genre", GENRES)):
        (tmp_path / f"{table}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def test_labels_are_the_first_that_were_found(folder: Path):
    pieces = pieces_of(METAMIDI, folder)
    assert [tuple(pieces[name].labels.values()) for name in NAMES] == [
        ("Andrea Gabrieli", "Eructavit a 6", "renaissance"),
        ("andrea gabrieli", "eructavit a 6", ""),
        ("", "", ""),
    ]
    assert pieces[NAMES[0]].group == pieces[NAMES[1]].group != ""
    assert pieces[NAMES[2]].group == ""


def test_it_goes_without_its_tables(folder: Path):
    for path in folder.glob("*.jsonl"):
        path.unlink()
    assert all(not any(entry.labels.values()) for entry in entries_of(METAMIDI, folder).values())


@pytest.mark.parametrize("line", ["{", "[]", '{"md5": "a"}', '{"md5": ["a"], "genre": []}'])
def test_a_damaged_table_is_named(folder: Path, line: str):
    (folder / "MMD_scraped_genre.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"MMD_scraped_genre\.jsonl"):
        entries_of(METAMIDI, folder)
