"""Jazz piano: titles, and who plays."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from small_music import entries_of, pieces_of, score_of, write_midi

from t5music.corpora.sources.jazz_piano import JAZZ_PIANO
from t5music.music import midi


def test_pianos_alone_and_with_others(tmp_path: Path):
    root = tmp_path / "Jazz-x" / "Midi Download"
    write_midi(root / "midi/A Sleepin' Bee.mid", 1)
    duo = score_of(2, ("Piano", "Bass"))
    notes = duo.notes.copy()
    notes["program"] = np.where(notes["track"] == 1, 32, 0)
    midi.write(duo.with_notes(notes), root / "midi/AFineRomance.MID")
    (root / "midi/readme.txt").touch()
    pieces = pieces_of(JAZZ_PIANO, tmp_path)
    assert {name: tuple(piece.labels.items()) for name, piece in pieces.items()} == {
        "A Sleepin' Bee": (("title", "A Sleepin' Bee"), ("solo_piano", "yes")),
        "AFineRomance": (("title", "AFineRomance"), ("solo_piano", "no")),
    }


@pytest.mark.data
def test_real_files(real_music):
    folder = real_music("jazz_piano")
    with open(folder / "manifest.csv", encoding="utf-8") as table:
        solo = {Path(row["file"]).stem: row["solo_piano"] == "1" for row in csv.DictReader(table)}
    entries = entries_of(JAZZ_PIANO, folder)
    assert set(entries) == set(solo)
    assert len(solo) == JAZZ_PIANO.files
    pieces = pieces_of(JAZZ_PIANO, folder)
    assert {name: piece.labels["solo_piano"] == "yes" for name, piece in pieces.items()} == solo
