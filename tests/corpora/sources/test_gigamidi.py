"""GigaMIDI, in the layout of its unpacked archives."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, write_files

from t5music.corpora import download
from t5music.corpora.sources.gigamidi import GIGAMIDI
from t5music.errors import DataError


def test_splits_are_its_own(tmp_path: Path):
    write_files(
        tmp_path / "Final_GigaMIDI_V2.0_Final",
        "training-V1.1-80%/no-drums/24/58df.mid",
        "training-V1.1-80%/drums-only/0/aa00.mid",
        "validation-V1.1-10%/all-instruments-with-drums/1/bb11.mid",
        "test-V1.1-10%/no-drums/2/cc22.mid",
        "__MACOSX/training-V1.1-80%/no-drums/24/58df.mid",
    )
    pieces = pieces_of(GIGAMIDI, tmp_path)
    assert {name: (piece.split, piece.labels["drums"]) for name, piece in pieces.items()} == {
        "58df": ("train", "no-drums"),
        "aa00": ("train", "drums-only"),
        "bb11": ("validation", "all-instruments-with-drums"),
        "cc22": ("test", "no-drums"),
    }


def test_an_unknown_split_is_refused(tmp_path: Path):
    write_files(tmp_path, "extra-V1.1-5%/no-drums/0/a.mid")
    with pytest.raises(DataError, match=r"split 'extra' is none of"):
        entries_of(GIGAMIDI, tmp_path)


def test_it_is_given_by_hand(tmp_path: Path):
    with pytest.raises(DataError, match=r"get it from https://huggingface.*--build gigamidi --from"):
        download.obtain(GIGAMIDI, tmp_path, accept_licence=True)
