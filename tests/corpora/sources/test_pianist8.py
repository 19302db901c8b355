"""Pianist8: names, composers and MIDI-BERT's split."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_music import pieces_of, splits_of, write_files

from t5music.corpora.sources.pianist8 import COMPOSERS, PIANIST8


def test_composers_titles_and_split(tmp_path: Path):
    write_files(tmp_path / "Pianist8-x", "midi/Einaudi/Einaudi_Nightbook.mid", "midi/Hancock/Hancock_Jessica.mid",
                "midi/Yiruma/Yiruma_Poemusician.mid")  # fmt: skip
    pieces = pieces_of(PIANIST8, tmp_path)
    assert {name: (piece.labels["composer"], piece.labels["title"], piece.split) for name, piece in pieces.items()} == {
        "Einaudi/Einaudi_Nightbook": ("Einaudi", "Nightbook", "test"),
        "Hancock/Hancock_Jessica": ("Hancock", "Jessica", "validation"),
        "Yiruma/Yiruma_Poemusician": ("Yiruma", "Poemusician", "train"),
    }


@pytest.mark.data
def test_real_files(real_music):
    pieces = pieces_of(PIANIST8, real_music("pianist8"))
    assert len(pieces) == PIANIST8.files
    assert splits_of(pieces) == {"test": 37, "train": 337, "validation": 37}
    assert {piece.labels["composer"] for piece in pieces.values()} == set(COMPOSERS)
