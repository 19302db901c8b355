"""A folder of MIDI files as a corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t5music.data.corpora import folder
from t5music.data.corpora.base import Piece, Skipped
from t5music.errors import DataError
from t5music.music import midi
from t5music.music.score import NOTE, Score


def write(path: Path, first: int, tempo: int = 480) -> None:
    notes = np.array([(i * tempo, tempo, first + (i * 5) % 12, 80, 0, 0) for i in range(16)], NOTE)
    midi.write(Score(480, notes), path)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    write(tmp_path / "slow jazz" / "a.mid", 60)
    write(tmp_path / "slow jazz" / "deep" / "b.MID", 61, tempo=240)  # the same tune, a semitone up and twice as fast
    write(tmp_path / "pop" / "c.midi", 50)
    write(tmp_path / "d.mid", 40)
    (tmp_path / "pop" / "notes.txt").write_text("no music")
    (tmp_path / "pop" / "bad.mid").write_bytes(b"RIFF....")
    return tmp_path


def test_labels_are_the_first_folders_and_ids_are_paths(music: Path):
    corpus = folder.corpus(music, "mine")
    assert corpus.labels == {"folder": ("pop", "slow_jazz")}
    assert corpus.size() == 5
    read = {item.id: item for item in corpus.read()}
    pieces = {name: item for name, item in read.items() if isinstance(item, Piece)}
    assert {name: piece.labels["folder"] for name, piece in pieces.items()} == {
        "slow jazz/a.mid": "slow_jazz",
        "slow jazz/deep/b.MID": "slow_jazz",
        "pop/c.midi": "pop",
        "d.mid": "",
    }
    assert isinstance(read["pop/bad.mid"], Skipped)
    assert not read["pop/bad.mid"].reason.startswith(str(music))
    assert pieces["slow jazz/a.mid"].group == pieces["slow jazz/deep/b.MID"].group, "copies are one group"


def test_one_label_is_no_label(tmp_path: Path):
    write(tmp_path / "only" / "a.mid", 60)
    assert folder.corpus(tmp_path, "mine").labels == {}


@pytest.mark.parametrize("name", ["Mine", "1st", "my-music", "", "a b"])
def test_names_that_seqio_could_not_take(music: Path, name: str):
    with pytest.raises(DataError, match=r"--name"):
        folder.corpus(music, name)
