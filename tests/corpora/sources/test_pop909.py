"""POP909: tracks, keys, bar lines and MIDI-BERT's split."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_music import entries_of, pieces_of, score_of, skipped, splits_of

from t5music.corpora.base import Piece
from t5music.corpora.sources.pop909 import POP909, POP909_ALIGNED, lay_bars
from t5music.music import midi
from t5music.music.score import KEY, METER, PEDAL, TEMPO

TRACKS = ("MELODY", "BRIDGE", "PIANO")
OFFSET = 40  # ticks by which the files' beats miss the quarters


def song(root: Path, number: str, *, beats_a_bar: int = 4, heard: int = 4) -> Path:
    """A song whose beats lie 40 ticks after the quarters, the second of them being the first downbeat."""
    folder = root / "POP909" / number
    folder.mkdir(parents=True)
    score = score_of(int(number), TRACKS)
    notes = score.notes.copy()
    notes["onset"] += OFFSET
    meters = np.array([(0, 1, 4)], METER)
    midi.write(dataclasses.replace(score, notes=notes, meters=meters), folder / f"{number}.mid")
    seconds = [(OFFSET + 480 * beat) / 960 for beat in range(17)]
    rows = [(second, float(beat % 2 == 1), float((beat - 1) % beats_a_bar == 0)) for beat, second in enumerate(seconds)]
    (folder / "beat_midi.txt").write_text("".join(f"{a} {b} {c}\n" for a, b, c in rows))
    order = [(second, (beat - 1) % heard + 1) for beat, second in enumerate(seconds)]
    (folder / "beat_audio.txt").write_text("".join(f"{a:.2f} {b:.1f}\n" for a, b in order))
    (folder / "key_audio.txt").write_text("0.5\t3.0\tGb:maj\n3.0\t9.0\tA:min\n")
    return folder


def test_tracks_key_and_split(tmp_path: Path):
    for number in ("001", "003", "900"):
        song(tmp_path, number)
    versions = tmp_path / "POP909" / "001" / "versions"
    versions.mkdir()
    midi.write(score_of(5), versions / "001-v1.mid")
    pieces = pieces_of(POP909, tmp_path)
    assert list(pieces) == ["001", "003", "900"], "without its discarded versions"
    assert all(piece.score.track_names == TRACKS for piece in pieces.values())
    assert pieces["001"].labels == {"key": "A minor", "meter": "4/4"}, "the key that holds longest"


def test_bars_begin_at_the_annotated_downbeats(tmp_path: Path):
    song(tmp_path, "001")
    [piece] = pieces_of(POP909, tmp_path).values()
    first = OFFSET + 480
    moved = 4 * 480 - first
    assert np.array_equal(piece.score.notes["onset"], np.sort(np.tile(np.arange(16) * 480, 3)) + OFFSET + moved)
    assert [tuple(int(x) for x in meter) for meter in piece.score.meters] == [(0, 4, 4)]
    assert first + moved in piece.score.bars()[0].tolist()


def test_contradicting_annotations_change_nothing(tmp_path: Path):
    folder = song(tmp_path, "001", heard=3)
    [piece] = pieces_of(POP909, tmp_path).values()
    assert piece.score == midi.read(folder / "001.mid")
    assert piece.labels["meter"] == ""


def test_without_annotations(tmp_path: Path):
    folder = song(tmp_path, "001")
    for path in folder.glob("*.txt"):
        path.unlink()
    [piece] = pieces_of(POP909, tmp_path).values()
    assert piece.labels == {"key": "", "meter": ""}


def test_aligned_songs_are_on_sixteenths_of_their_beats(tmp_path: Path):
    for number in ("001", "003", "900"):
        song(tmp_path, number)
    pieces = pieces_of(POP909_ALIGNED, tmp_path)
    assert {name: piece.split for name, piece in pieces.items()} == {
        name: entry.split for name, entry in entries_of(POP909, tmp_path).items()
    }
    piece = pieces["001"]
    assert piece.labels == {"key": "A minor", "meter": "4/4"}
    assert piece.score.track_names == TRACKS
    assert not (piece.score.notes["onset"] % 120).any()
    assert not (piece.score.notes["duration"] % 120).any()
    assert piece.score.notes["onset"][0] == 3 * 480, "the first beat is the fourth of its bar"


def test_what_is_not_in_four_is_not_aligned(tmp_path: Path):
    song(tmp_path, "001", beats_a_bar=3, heard=3)
    entries = entries_of(POP909_ALIGNED, tmp_path)
    assert skipped(POP909_ALIGNED, entries["001"]) == "not annotated as being in 4/4"
    (entries["001"].path.parent / "beat_audio.txt").unlink()
    assert skipped(POP909_ALIGNED, entries["001"]) == "not annotated as being in 4/4"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("beat_midi.txt", "0.1 1.0\n", "beat_midi.txt: not a table of 3 numbers"),
        ("beat_audio.txt", "0.1 one\n", "beat_audio.txt: not a table of 2 numbers"),
        ("key_audio.txt", "0.1 A:min\n", "key_audio.txt: '0.1 A:min' is not 'start end key'"),
    ],
)
def test_damaged_annotations_are_a_reason_to_skip(tmp_path: Path, name: str, text: str, reason: str):
    folder = song(tmp_path, "001")
    (folder / name).write_text(text)
    assert skipped(POP909, entries_of(POP909, tmp_path)["001"]) == reason


def test_bars_of_other_lengths_have_meters_of_their_own():
    score = dataclasses.replace(
        score_of(0, quarter=10),
        tempos=np.array([(0, 500_000), (40, 400_000)], TEMPO),
        keys=np.array([(0, 1, False)], KEY),
        pedals=np.array([(5, 10, 0)], PEDAL),
    )
    laid = lay_bars(score, 10, np.array([4, 4, 2, 3, 4]))
    assert [tuple(int(x) for x in meter) for meter in laid.meters] == [
        (0, 4, 4), (120, 2, 4), (140, 3, 4), (170, 4, 4),
    ]  # fmt: skip
    assert laid.notes["onset"][0] == laid.pedals["onset"][0] - 5 == 30, "moved to the next bar line"
    assert laid.tempos["tick"].tolist() == [0, 70], "what begins the file still does"
    assert laid.keys["tick"].tolist() == [0]
    assert laid.bars()[0].tolist() == [0, 40, 80, 120, 140, 170]


@pytest.mark.data
def test_real_files(real_music):
    folder = real_music("pop909")
    pieces = pieces_of(POP909, folder)
    assert len(pieces) == POP909.files
    assert splits_of(pieces) == {"test": 86, "train": 693 + 44, "validation": 86}
    assert {piece.score.track_names for piece in pieces.values()} == {TRACKS}
    meters = [piece.labels["meter"] for piece in pieces.values()]
    assert [meters.count(meter) for meter in ("4/4", "3/4", "")] == [865, 25, 19]
    assert all(piece.labels["key"] for piece in pieces.values())
    held_out = [piece for piece in pieces.values() if piece.split != "train"]
    assert {piece.labels["meter"] for piece in held_out} == {"4/4"}
    on_sixteenths = [
        (piece.score.notes["onset"] % (piece.score.ticks_per_quarter // 4) == 0).mean() for piece in held_out
    ]
    assert np.mean(on_sixteenths) > 0.8


@pytest.mark.data
def test_midi_bert_s_songs_are_aligned(real_music):
    entries = entries_of(POP909_ALIGNED, real_music("pop909"))
    read = [next(POP909_ALIGNED.read(entry)) for entry in entries.values()]
    pieces = {piece.id: piece for piece in read if isinstance(piece, Piece)}
    assert splits_of(pieces) == {"test": 86, "train": 693, "validation": 86}
    assert len(read) - len(pieces) == 44
