"""The Session, in the form of its dump."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of

from t5music.corpora import download
from t5music.corpora.sources.thesession import THE_SESSION
from t5music.errors import DataError, MidiError

HEAD = ["tune_id", "setting_id", "name", "type", "meter", "mode", "abc", "date", "username", "composer"]
SCALE = "|:CDEF GABc:|\n|:c4 C4:|"
ROWS = [
    ["7", "70", "Scale, The", "reel", "4/4", "Cmajor", SCALE, "2016-03-31 15:34:45", "ann", ""],
    ["7", "71", "Scale, The", "reel", "4/4", "Ddorian", '|:"Dm"DEFG ABcd:|1 d4 D4:|2 d8||', "2017", "bob", ""],
    ["8", "80", "Mine", "tango", "2/4", "Amixolydian", "ABcd|e4|", "2018", "cleo", "Cleo  Ann"],
]


def dump(folder: Path, rows: list[list[str]] = ROWS) -> Path:
    folder.mkdir(exist_ok=True)
    with open(folder / "tunes.csv", "w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([HEAD, *rows])
    return folder.parent


def test_settings_of_one_tune_are_together_and_played_with_their_repeats(tmp_path: Path):
    pieces = pieces_of(THE_SESSION, dump(tmp_path / "csv"))
    assert {name: piece.group for name, piece in pieces.items()} == {"70": "tune 7", "71": "tune 7", "80": "tune 8"}
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    assert pieces["70"].score.notes["pitch"].tolist() == scale * 2 + [72, 60] * 2
    assert pieces["71"].score.notes["pitch"].tolist()[:8] == [62, 64, 65, 67, 69, 71, 72, 74]
    assert pieces["71"].score.duration_seconds == pieces["70"].score.duration_seconds
    assert {name: tuple(piece.labels.values())[:5] for name, piece in pieces.items()} == {
        "70": ("Scale, The", "reel", "4/4", "Cmajor", ""),
        "71": ("Scale, The", "reel", "4/4", "Ddorian", ""),
        "80": ("Mine", "", "2/4", "Amixolydian", "Cleo Ann"),
    }
    assert pieces["70"].labels["abc"] == f"X:1\nT:Scale, The\nM:4/4\nL:1/8\nK:Cmajor\n{SCALE}"


@pytest.mark.parametrize("mode", ["major", "minor", "dorian", "mixolydian"])
@pytest.mark.parametrize("tonic", "CDEFGAB")
def test_the_modes_of_the_site_are_keys(tmp_path: Path, tonic: str, mode: str):
    rows = [["7", "70", "A tune", "jig", "6/8", f"{tonic}{mode}", "CDE FGA|", "", "", ""]]
    assert len(pieces_of(THE_SESSION, dump(tmp_path / "csv", rows))["70"].score.notes) == 6


def test_what_is_no_abc_is_left_out_by_name(tmp_path: Path):
    tunes = {"70": "[K:G harmonic minor]GAB|", "71": "z6|"}
    rows = [["7", number, "A tune", "jig", "6/8", "Gmajor", abc, "", "", ""] for number, abc in tunes.items()]
    entries = entries_of(THE_SESSION, dump(tmp_path / "csv", rows))
    with pytest.raises(MidiError, match="70"):
        list(THE_SESSION.read(entries["70"]))
    assert [item.reason for item in THE_SESSION.read(entries["71"])] == ["no notes in it"]


def test_its_terms_are_read_before_it_is_built(tmp_path: Path):
    assert "NOT for use with large language models" in THE_SESSION.licence
    with pytest.raises(DataError, match=r"get it from https://github.*--from"):
        download.obtain(THE_SESSION, tmp_path, accept_licence=True)
    assert not THE_SESSION.permissive
