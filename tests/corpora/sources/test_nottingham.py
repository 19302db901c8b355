"""Nottingham: tracks, and the ABC of every tune."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_music import entries_of, pieces_of, skipped, write_midi

from t5music.corpora.sources.nottingham import NOTTINGHAM, TUNE_SETS
from t5music.errors import DataError

ABC = """% a comment
X: 2
T:The Second
M:6/8
K:Em
e2 f|

X: 10
T:The Tenth
T:also called so
M:4/4
L:1/8
K:D
d2|
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ABC_cleaned").mkdir()
    (tmp_path / "ABC_cleaned" / "jigs.abc").write_text(ABC)
    write_midi(tmp_path / "MIDI/jigs2.mid", 2, tracks=("", ""))
    write_midi(tmp_path / "MIDI/jigs10.mid", 10)
    write_midi(tmp_path / "MIDI/melody/jigs2.mid", 2)
    return tmp_path


def test_tracks_and_the_tunes_head(root: Path):
    pieces = pieces_of(NOTTINGHAM, root)
    assert set(pieces) == {"jigs2", "jigs10"}
    assert pieces["jigs2"].score.track_names == ("melody", "chords")
    assert pieces["jigs10"].score.track_names == ("melody",)
    assert pieces["jigs2"].labels == {
        "tune_set": "jigs",
        "title": "The Second",
        "key": "E minor",
        "meter": "6/8",
        "abc": "X: 2\nT:The Second\nM:6/8\nK:Em\ne2 f|\n",
    }
    assert pieces["jigs10"].labels["title"] == "The Tenth"
    assert pieces["jigs10"].group == "the tenth"
    assert pieces["jigs10"].split is None


def test_a_tune_without_abc(root: Path):
    write_midi(root / "MIDI/jigs3.mid", 3)
    assert pieces_of(NOTTINGHAM, root)["jigs3"].labels == {
        "tune_set": "jigs", "title": "", "key": "", "meter": "", "abc": "",
    }  # fmt: skip


def test_more_tracks_than_melody_and_chords(root: Path):
    write_midi(root / "MIDI/jigs2.mid", 2, tracks=("", "", ""))
    assert skipped(NOTTINGHAM, entries_of(NOTTINGHAM, root)["jigs2"]).startswith("it has 3 tracks")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ABC.replace("X: 10", "X: 2").encode(), r"jigs\.abc: X: 2 is no number, or there twice"),
        (ABC.replace("X: 10", "X: ten").encode(), r"jigs\.abc: X: ten is no number"),
        (b"X:1\nT:\xff\xfe\n", r"jigs\.abc cannot be read as ABC"),
    ],
)
def test_damaged_abc(root: Path, content: bytes, message: str):
    (root / "ABC_cleaned" / "jigs.abc").write_bytes(content)
    with pytest.raises(DataError, match=message):
        entries_of(NOTTINGHAM, root)


@pytest.mark.data
def test_real_files(real_music):
    pieces = pieces_of(NOTTINGHAM, real_music("nottingham"))
    assert len(pieces) == NOTTINGHAM.files
    assert {piece.labels["tune_set"] for piece in pieces.values()} == set(TUNE_SETS)
    assert sum(piece.score.track_names == ("melody", "chords") for piece in pieces.values()) == 1021
    assert all(piece.labels["abc"] and piece.labels["key"] and piece.labels["meter"] for piece in pieces.values())


def turns(pitches: np.ndarray) -> set[tuple[int, ...]]:
    """Every four pitches in a row, without repetitions."""
    pitches = pitches[np.append(True, np.diff(pitches) != 0)]
    return {tuple(pitches[start : start + 4].tolist()) for start in range(len(pitches) - 3)}


@pytest.mark.data
def test_every_tune_has_its_own_abc(real_music):
    """Of the ABC in a tune's set its own is the most like it, unless the set has the tune twice."""
    from t5music.music import abc_notation

    pieces = [piece for piece in pieces_of(NOTTINGHAM, real_music("nottingham")).values()
              if piece.labels["tune_set"] in ("ashover", "waltzes", "xmas", "slip")]  # fmt: skip
    played = [turns(piece.score.notes["pitch"][piece.score.notes["track"] == 0]) for piece in pieces]
    tunes = [abc_notation.parse(piece.labels["abc"]).unfolded().to_score() for piece in pieces]
    written = [turns(tune.notes["pitch"]) for tune in tunes]
    for index, notes in enumerate(played):
        likeness = [len(notes & other) / max(len(notes | other), 1) for other in written]
        assert np.argmax(likeness) == index, pieces[index].id
        assert likeness[index] > 0.3
