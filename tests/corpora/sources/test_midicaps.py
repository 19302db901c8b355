"""MidiCaps, in the layout of its archive and table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, skipped, splits_of, write_files

from t5music.corpora.sources.midicaps import MIDICAPS, VALIDATION
from t5music.errors import DataError

ROWS = [
    {
        "location": "lmd_full/1/1aa.mid",
        "caption": "A slow piece for piano, in B flat.",
        "genre": ["classical", "soundtrack"],
        "mood": ["film", "slow"],
        "key": "Bb major",
        "time_signature": "3/4",
        "tempo": 60,
        "test_set": False,
    },
    {
        "location": "lmd_full/0/0bb.mid",
        "caption": "Rock.",
        "genre": [],
        "mood": None,
        "key": "A# minor",
        "test_set": True,
    },
]


def table(root: Path, *lines: str) -> Path:
    (root / "train.json").write_text("".join(f"{line}\n" for line in lines))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return table(write_files(tmp_path, *(row["location"] for row in ROWS)), *map(json.dumps, ROWS))


def test_captions_and_the_first_of_each_list(root: Path):
    pieces = pieces_of(MIDICAPS, root)
    assert {name: tuple(piece.labels.values()) for name, piece in pieces.items()} == {
        "lmd_full/0/0bb": ("Rock.", "Bb minor", "", "", ""),
        "lmd_full/1/1aa": ("A slow piece for piano, in B flat.", "Bb major", "3/4", "classical", "film"),
    }
    assert pieces["lmd_full/0/0bb"].split == "test"
    assert pieces["lmd_full/1/1aa"].split in ("train", "validation")


def test_validation_is_a_twentieth_of_what_is_not_test(tmp_path: Path):
    rows = [{"location": f"lmd_full/0/{n:032x}.mid", "caption": "", "test_set": n % 10 == 0} for n in range(4000)]
    splits = splits_of(entries_of(MIDICAPS, table(tmp_path, *map(json.dumps, rows))))
    assert splits["test"] == 400
    assert splits["validation"] == pytest.approx(3600 / VALIDATION, rel=0.2)


def test_a_file_that_is_listed_and_not_there_is_skipped(root: Path):
    (root / "lmd_full/0/0bb.mid").unlink()
    assert skipped(MIDICAPS, entries_of(MIDICAPS, root)["lmd_full/0/0bb"]) == "no such file"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"location": "a.mid"}', "line 2: no 'location' or 'caption'"),
        ('{"location": "a.mid", "caption": ', "line 2: not JSON"),
        ("[]", "line 2: no 'location' or 'caption'"),
    ],
)
def test_a_damaged_table(root: Path, line: str, message: str):
    with pytest.raises(DataError, match=message):
        entries_of(MIDICAPS, table(root, json.dumps(ROWS[0]), line))


def test_no_table(tmp_path: Path):
    with pytest.raises(DataError, match=r"train\.json: no such file"):
        MIDICAPS.entries(tmp_path)
