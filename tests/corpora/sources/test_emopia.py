"""EMOPIA: emotions, songs and its two splits."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from small_music import entries_of, pieces_of, splits_of, write_files

from t5music.corpora.sources.emopia import EMOPIA, EMOPIA_CLIPS


def test_emotions_songs_and_splits(tmp_path: Path):
    write_files(tmp_path / "EMOPIA_2.2", "midis/Q1_0vLPYiPN7qY_0.mid", "midis/Q1_0vLPYiPN7qY_1.mid",
                "midis/Q3_0vLPYiPN7qY_2.mid", "midis/Q4_zzzzzzzzzzz_0.mid")  # fmt: skip
    (tmp_path / "EMOPIA_2.2/midis/._Q1_0vLPYiPN7qY_0.mid").touch()
    by_song, by_clip = pieces_of(EMOPIA, tmp_path), pieces_of(EMOPIA_CLIPS, tmp_path)
    assert [piece.labels["emotion"] for piece in by_song.values()] == ["Q1", "Q1", "Q3", "Q4"]
    assert [piece.group for piece in by_clip.values()] == [*["0vLPYiPN7qY"] * 3, "zzzzzzzzzzz"]
    assert [piece.split for piece in by_song.values()] == [*["validation"] * 3, "train"]
    assert [piece.split for piece in by_clip.values()][:2] == ["validation", "train"], "the song is on both sides"
    assert "LEAKS" in EMOPIA_CLIPS.splits


@pytest.fixture
def real(real_music, tmp_path: Path) -> Path:
    (tmp_path / "midis").symlink_to(real_music("emopia") / "midi")
    return tmp_path


@pytest.mark.data
def test_real_files(real: Path):
    pieces = pieces_of(EMOPIA, real)
    assert len(pieces) == EMOPIA.files
    emotions = [piece.labels["emotion"] for piece in pieces.values()]
    assert [emotions.count(emotion) for emotion in ("Q1", "Q2", "Q3", "Q4")] == [250, 265, 253, 310]
    assert len({piece.group for piece in pieces.values()}) == 387
    assert splits_of(pieces) == {"test": 88, "train": 784, "validation": 206}
    sides = {}
    for piece in pieces.values():
        sides.setdefault(piece.group, set()).add(piece.split)
    assert all(len(splits) == 1 for splits in sides.values()), "no song on two sides"


@pytest.mark.data
def test_the_split_by_song_is_the_authors(real: Path, real_music):
    entries = entries_of(EMOPIA, real)
    tables = real_music("labels_only") / "emopia_cls/dataset/split"
    for name, split in (("train", "train"), ("val", "validation"), ("test", "test")):
        with open(tables / f"{name}.csv") as table:
            clips = [row["fname"] for row in csv.DictReader(table)]
        assert {entries[clip].split for clip in clips} == {split}


@pytest.mark.data
def test_the_split_by_clip_leaks_as_it_is_said_to(real: Path):
    entries = entries_of(EMOPIA_CLIPS, real)
    assert splits_of(entries) == {"test": 107, "train": 864, "validation": 107}
    training = {entry.group for entry in entries.values() if entry.split == "train"}
    test = [entry for entry in entries.values() if entry.split == "test"]
    assert sum(entry.group in training for entry in test) == 93
