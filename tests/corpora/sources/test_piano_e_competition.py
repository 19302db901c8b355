"""The Piano-e-Competition, in the layout of the repository that collects it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from small_music import entries_of, pieces_of, skipped

from t5music.corpora.base import assign_splits, merge_groups
from t5music.corpora.sources.piano_e_competition import PIANO_E_COMPETITION
from t5music.music import fingerprint, midi
from t5music.music.score import NOTE, Score


def write(path: Path, piece: int, player: int) -> None:
    """A melody of 80 notes, the piece's, in the player's own time."""
    notes = np.zeros(80, NOTE)
    notes["pitch"] = np.random.default_rng(piece).integers(50, 80, 80)
    notes["onset"] = np.cumsum(np.random.default_rng(player).integers(100, 300, 80))
    notes["duration"], notes["velocity"] = 90, 64
    midi.write(Score(480, notes), path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "piano-e-competition-midi-files-x"
    write(folder / "download/2002/lim02.mid", piece=1, player=1)
    write(folder / "download/2014/KimHJ08.MID", piece=1, player=2)
    write(folder / "download/2014/KimHJ09.MID", piece=2, player=2)
    write(folder / "midi/2014_KimHJ09.MID", piece=2, player=2)
    (folder / "download/2018").mkdir()
    (folder / "download/2018/WuuE03.MID").write_bytes(b"not a MIDI file")
    return tmp_path


def test_labels_and_the_performances_of_one_piece(root: Path):
    entries = entries_of(PIANO_E_COMPETITION, root)
    assert list(entries) == ["2002/lim02.mid", "2014/KimHJ08.MID", "2014/KimHJ09.MID", "2018/WuuE03.MID"]
    assert [entry.group for entry in entries.values()] == ["2002/lim02.mid", "2002/lim02.mid", *list(entries)[2:]]
    assert entries["2014/KimHJ08.MID"].labels == {"year": "2014", "pianist": "KimHJ"}
    assert "MIDI" in skipped(PIANO_E_COMPETITION, entries["2018/WuuE03.MID"])


@pytest.mark.slow
@pytest.mark.data
def test_real_performances_of_one_piece_are_on_one_side(real_music):
    folder = real_music("classical_piano") / "ecompetition_subset"
    with open(folder / "manifest.csv", encoding="utf-8") as table:
        years = {row["file"].removeprefix("midi/"): row["year"] for row in csv.DictReader(table)}
    pieces = pieces_of(PIANO_E_COMPETITION, folder)
    assert {name: piece.labels["year"] for name, piece in pieces.items()} == years
    declared = [piece.group for piece in pieces.values()]
    openings = [fingerprint.opening(piece.score) for piece in pieces.values()]
    assert len(openings) - len(set(openings)) < 20, "no two performances open alike"
    assert 200 < len(declared) - len(set(declared)) < 300
    splits = assign_splits(merge_groups(openings, declared))
    assert set(splits.values()) == {"train", "validation", "test"}
