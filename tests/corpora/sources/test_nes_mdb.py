"""NES-MDB, in the layout of its archives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, skipped, splits_of, write_midi

from t5music.corpora.sources.nes_mdb import NES_MDB_MIDI, NES_MDB_TX1
from t5music.errors import DataError

VOICES = ("p1", "p2", "tr", "no")
SONGS = {
    "train/297_SkyKid_00_01StartMusicBGMIntroBGM": ("SkyKid", "StartMusicBGMIntroBGM"),
    "train/297_SkyKid_01_02GameOver": ("SkyKid", "GameOver"),
    "valid/270_Punch_Out___00_01TitleScreen": ("Punch_Out__", "TitleScreen"),
    "test/191_Kirby_sAdventure_02_03PlainsLevel": ("Kirby_sAdventure", "PlainsLevel"),
}
TX1 = "P1_NOTEON_60\nTR_NOTEON_40\nWT_100\nP1_NOTEOFF\nNO_NOTEON_3\nWT_200\nTR_NOTEOFF\nNO_NOTEOFF\n"


@pytest.fixture
def midi_root(tmp_path: Path) -> Path:
    for seed, name in enumerate(SONGS):
        write_midi(tmp_path / "nesmdb_midi" / f"{name}.mid", seed, tracks=VOICES, program=80)
    return tmp_path


def tx1_root(root: Path) -> Path:
    for name in SONGS:
        path = root / "nesmdb_tx1" / f"{name}.tx1.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TX1)
    return root


def test_games_titles_and_official_splits(midi_root: Path):
    pieces = pieces_of(NES_MDB_MIDI, midi_root)
    assert {name: (piece.labels["game"], piece.labels["title"]) for name, piece in pieces.items()} == SONGS
    assert splits_of(pieces) == {"test": 1, "train": 2, "validation": 1}
    assert {piece.group for piece in pieces.values()} == {"297_SkyKid", "270_Punch_Out__", "191_Kirby_sAdventure"}
    assert all(piece.score.track_names == VOICES for piece in pieces.values())


def test_tx1_is_the_same_music_in_words(tmp_path: Path):
    pieces = pieces_of(NES_MDB_TX1, tx1_root(tmp_path))
    assert {name: (piece.labels["game"], piece.labels["title"]) for name, piece in pieces.items()} == SONGS
    assert splits_of(pieces) == {"test": 1, "train": 2, "validation": 1}
    for piece in pieces.values():
        assert piece.score.track_names == VOICES
        assert piece.mended == ()
        notes = [
            tuple(int(note[field]) for field in ("onset", "duration", "pitch", "track")) for note in piece.score.notes
        ]
        assert notes == [(0, 100, 60, 0), (0, 300, 40, 2), (100, 200, 3, 3)]


def test_waits_that_the_vocabulary_lacks_are_the_nearest_words(tmp_path: Path):
    tx1_root(tmp_path)
    entry = entries_of(NES_MDB_TX1, tmp_path)["train/297_SkyKid_01_02GameOver"]
    words = "P1_NOTEON_60 WT_735 P1_NOTEON_62 WT_10499 P1_NOTEOFF WT_250000 P1_NOTEON_64 WT_5 P1_NOTEOFF"
    entry.path.write_text(words.replace(" ", "\n"))
    [piece] = NES_MDB_TX1.read(entry)
    assert piece.score.notes["onset"].tolist() == [0, 740, 740 + 10_000 + 100_000]
    assert piece.score.notes["duration"].tolist() == [740, 10_000, 5]
    assert piece.mended == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("P1_NOTEON_60\nHELLO\n", "not TX1"), ("WT_100\n", "no notes"), ("", "no notes")],
)
def test_words_that_are_no_music(tmp_path: Path, text: str, reason: str):
    tx1_root(tmp_path)
    entry = entries_of(NES_MDB_TX1, tmp_path)["test/191_Kirby_sAdventure_02_03PlainsLevel"]
    entry.path.write_text(text)
    assert reason in skipped(NES_MDB_TX1, entry)
    entry.path.unlink()
    assert skipped(NES_MDB_TX1, entry) == "no such file"


def test_events_that_do_not_fit_are_told(tmp_path: Path):
    tx1_root(tmp_path)
    entry = entries_of(NES_MDB_TX1, tmp_path)["train/297_SkyKid_01_02GameOver"]
    entry.path.write_text("P2_NOTEOFF\n" + TX1)
    [piece] = NES_MDB_TX1.read(entry)
    assert piece.mended == ("events that do not fit: 1",)


def test_composers_from_a_table_beside_the_music(midi_root: Path):
    table = {
        "297_SkyKid": {"composers": ["A. Composer", "B. Composer"], "release_year": "1986"},
        "270_Punch_Out__": {"composers": ["Unknown"], "release_year": "Unknown"},
    }
    (midi_root / "nesmdb_meta_json1.json").write_text(json.dumps(table))
    pieces = pieces_of(NES_MDB_MIDI, midi_root)
    known = {piece.labels["game"]: (piece.labels["composer"], piece.labels["year"]) for piece in pieces.values()}
    assert known == {
        "SkyKid": ("A. Composer, B. Composer", "1986"),
        "Punch_Out__": ("", ""),
        "Kirby_sAdventure": ("", ""),
    }
    (midi_root / "nesmdb_meta_json1.json").write_text('{"297_SkyKid": {}}')
    with pytest.raises(DataError, match=r"nesmdb_meta_json1\.json: not a table of games with 'composers'"):
        entries_of(NES_MDB_MIDI, midi_root)


@pytest.mark.data
def test_real_names_of_games(real_music, tmp_path: Path):
    table = real_music("labels_only") / "nesmdb_meta/db_metadata/nesmdb/nesmdb_meta_json2808.json"
    games = json.loads(table.read_text())
    (tmp_path / "nesmdb_midi/train").mkdir(parents=True)
    (tmp_path / "nesmdb_midi/nesmdb_meta.json").symlink_to(table)
    names = [Path(song["url"]).name for facts in games.values() for song in facts["songs"]]
    for name in names:
        (tmp_path / "nesmdb_midi/train" / name).touch()
    entries = entries_of(NES_MDB_MIDI, tmp_path)
    assert len(entries) == len(names) == 5277
    assert {entry.group for entry in entries.values()} == set(games)
    assert sum(bool(entry.labels["composer"]) for entry in entries.values()) > 4000
