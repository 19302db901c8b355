"""A folder of MIDI files as a corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from t5music.corpora.base import Piece, Skipped
from t5music.corpora.sources import folder
from t5music.errors import DataError
from t5music.music import fingerprint, midi
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
    read = {item.id: item for entry in corpus.entries(music) for item in corpus.read(entry)}
    assert len(read) == 5
    pieces = {name: item for name, item in read.items() if isinstance(item, Piece)}
    assert {name: piece.labels["folder"] for name, piece in pieces.items()} == {
        "slow jazz/a.mid": "slow_jazz",
        "slow jazz/deep/b.MID": "slow_jazz",
        "pop/c.midi": "pop",
        "d.mid": "",
    }
    assert isinstance(read["pop/bad.mid"], Skipped)
    assert not read["pop/bad.mid"].reason.startswith(str(music))
    copies = [fingerprint.opening(pieces[name].score) for name in ("slow jazz/a.mid", "slow jazz/deep/b.MID")]
    assert copies[0] == copies[1]


def test_one_label_is_no_label(tmp_path: Path):
    write(tmp_path / "only" / "a.mid", 60)
    assert folder.corpus(tmp_path, "mine").labels == {}


@pytest.mark.parametrize("name", ["Mine", "1st", "my-music", "", "a b"])
def test_names_that_seqio_could_not_take(music: Path, name: str):
    with pytest.raises(DataError, match=r"--name"):
        folder.corpus(music, name)


def table(root: Path, text: str, name: str = "labels.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8-sig")
    return root


def test_a_table_gives_labels_splits_and_groups(music: Path):
    table(
        music,
        "file,split,Genre,year,group\npop/c.midi,valid,pop,1999,\n"
        "d.mid,,jazz,2001,suite\nslow jazz/a.mid,test,,2002,suite\n",
    )
    corpus = folder.corpus(music, "mine")
    assert corpus.labels == {"genre": ("jazz", "pop")}, "a column of numbers is no label unless it is asked for"
    entries = {entry.id: entry for entry in corpus.entries(music)}
    assert {name: (entry.split, entry.group, entry.labels) for name, entry in entries.items()} == {
        "pop/c.midi": ("validation", "", {"genre": "pop"}),
        "d.mid": (None, "suite", {"genre": "jazz"}),
        "slow jazz/a.mid": ("test", "suite", {"genre": ""}),
    }
    assert folder.corpus(music, "mine", ["year"]).labels == {"year": ("1999", "2001", "2002")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,genre\nd.mid,jazz\n", "no column 'file'"),
        ("file\nnone.mid\n", "line 2: no file 'none.mid'"),
        ("file,split\nd.mid,train\npop/c.midi,half\n", "line 3: split 'half'"),
        ("file\nd.mid\nd.mid\n", "line 3: 'd.mid' is there twice"),
        ("file\n", "no file in it"),
    ],
)
def test_a_table_that_does_not_fit(music: Path, text: str, message: str):
    with pytest.raises(DataError, match=message):
        folder.corpus(table(music, text), "mine")


def test_another_table_must_be_there(music: Path):
    other = table(music, "file,style\nd.mid,a\npop/c.midi,b\n", "manifest.csv") / "manifest.csv"
    assert folder.corpus(music, "mine").labels.keys() == {"folder"}
    assert folder.corpus(music, "mine", table=other).labels == {"style": ("a", "b")}
    with pytest.raises(DataError, match=r"--table .*: no such file"):
        folder.corpus(music, "mine", table=music / "none.csv")


def test_a_label_that_is_not_there_suggests_the_nearest(music: Path):
    table(music, "file,genre\nd.mid,jazz\n")
    with pytest.raises(DataError, match="did you mean 'genre'"):
        folder.corpus(music, "mine", ["genres"])
