"""OpenScore, in the layout of its repositories."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, score_of

from t5music.corpora import catalogue
from t5music.corpora.sources.openscore import LIEDER, STRING_QUARTETS, VOICE
from t5music.errors import DataError
from t5music.music import musicxml

SONGS = (
    "scores/Brahms,_Johannes/4_Lieder,_Op.43/1_Von_ewiger_Liebe/lc1.mxl",
    "scores/Brahms,_Johannes/_/Mondnacht/lc2.mxl",
    "scores/Hensel,_Fanny/_/Bergeslust/lc3.mxl",
)


def write(path: Path, seed: int, **more) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    musicxml.write(score_of(seed, **more), path)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    for seed, name in enumerate(SONGS):
        write(tmp_path / "Lieder-main" / name, seed, tracks=("Singstimme", "Piano"), program=68)
    (tmp_path / "Lieder-main" / SONGS[0]).with_suffix(".mscx").touch()
    return tmp_path


def test_songs_have_labels_by_their_folders_and_composers_are_groups(songs: Path):
    entries = entries_of(LIEDER, songs)
    assert {name: dict(entry.labels) for name, entry in entries.items()} == {
        "lc1": {"composer": "Brahms, Johannes", "set": "4 Lieder, Op.43", "title": "1 Von ewiger Liebe"},
        "lc2": {"composer": "Brahms, Johannes", "set": "", "title": "Mondnacht"},
        "lc3": {"composer": "Hensel, Fanny", "set": "", "title": "Bergeslust"},
    }
    assert [entry.group for entry in entries.values()] == ["composer brahms, johannes"] * 2 + ["composer hensel, fanny"]
    assert entries["lc1"].split is None


def test_singers_sing(songs: Path):
    score = pieces_of(LIEDER, songs)["lc1"].score
    assert score.track_names == ("Singstimme", "Piano")
    programs = [set(score.notes["program"][score.notes["track"] == track].tolist()) for track in (0, 1)]
    assert programs == [{VOICE}, {68}]


def test_quartets(tmp_path: Path):
    write(tmp_path / "scores/Bartók,_Béla/String_Quartet_No.2/sq1.mxl", 1, tracks=("Violin 1",), program=40)
    entries = entries_of(STRING_QUARTETS, tmp_path)
    title = "String Quartet No.2"
    assert entries["sq1"].labels == {"composer": "Bartók, Béla", "set": title, "title": title}
    assert pieces_of(STRING_QUARTETS, tmp_path)["sq1"].score.notes["program"].tolist() == [40] * 16


def test_another_folder_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="is not openscore_lieder: there is no scores"):
        entries_of(LIEDER, tmp_path)


def test_they_are_in_the_catalogue():
    assert catalogue.get("openscore_lieder") is LIEDER
    assert catalogue.get("openscore_string_quartets") is STRING_QUARTETS
