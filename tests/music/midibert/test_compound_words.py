"""MIDI-BERT's view of a piece, against a second implementation, and against the arrays its authors published."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import scores

from t5music.errors import ConfigError, MidiError
from t5music.music import midi
from t5music.music.midibert.beat_alignment import align, in_four
from t5music.music.midibert.compound_words import CHUNK, MASK, PADDING, chunks, compound_words, spans
from t5music.music.note_classes import melody_classes, velocity_classes
from t5music.music.score import NOTE, Score


def score_of(rows) -> Score:
    """Rows of (onset, duration, pitch[, track])."""
    return Score(480, np.array([(*row[:3], 64, 0, row[3] if len(row) > 3 else 0) for row in rows], NOTE))


def test_sizes():
    assert PADDING.tolist() == [2, 16, 86, 64]
    assert MASK.tolist() == [3, 17, 87, 65]
    assert CHUNK == 512


def test_literal():
    rows = [
        (0, 480, 60),
        (0, 60, 64),  # in the order of pitch
        (59, 90, 22),  # nearer to 0; 90 ticks are half way, so 60
        (60, 91, 107),  # half way between two positions: the earlier
        (61, 5000, 50),
        (1919, 1, 60),  # the next bar's first position
        (5760, 120, 60),  # an empty bar between is not counted
        (5790, 120, 61),  # never to or beyond the last onset: of those below 5,790 the nearest
    ]
    words, order = compound_words(score_of(rows))
    assert words.tolist() == [
        [0, 0, 38, 7],
        [1, 0, 42, 0],
        [1, 0, 0, 0],
        [1, 0, 85, 1],
        [1, 1, 28, 63],
        [0, 0, 38, 0],
        [0, 0, 38, 1],
        [1, 0, 39, 1],
    ]
    assert order.tolist() == list(range(8))
    assert compound_words(score_of([(0, 60, 60), (1920, 60, 60)])).words[:, 1].tolist() == [
        0,
        15,
    ]  # the last grid point
    assert compound_words(score_of([])).words.shape == (0, 4)


def test_order_is_position_then_onset_track_and_pitch():
    words, order = compound_words(
        score_of([(110, 60, 70, 0), (130, 60, 40, 0), (100, 60, 80, 1), (100, 60, 90, 0), (960, 60, 30)])
    )
    assert (words[:, 2] + 22).tolist() == [90, 80, 70, 40, 30]
    assert order.tolist() == [0, 1, 2, 3, 4]
    late = score_of([(170, 60, 70, 0), (190, 60, 40, 0), (185, 60, 80, 1), (960, 60, 30)])
    assert compound_words(late).order.tolist() == [0, 1, 2, 3]


def slowly(score: Score) -> list[list[int]]:
    """The same by comparing every note with every point of every scale, as the authors' scripts do."""
    notes = sorted(score.notes.tolist(), key=lambda n: (n[0], n[5], n[2], n[1]))
    grid = range(0, max(notes[-1][0], 1), 120)
    placed = []
    for onset, duration, pitch, *_ in notes:
        placed.append((min(grid, key=lambda point: (abs(point - onset), point)), duration, pitch))
    placed.sort(key=lambda note: note[0])
    words, bar = [], -1
    for onset, duration, pitch in placed:
        lengths = range(60, 3841, 60)
        length = min(range(64), key=lambda i: (abs(lengths[i] - duration), i))
        words.append([int(onset // 1920 == bar), onset % 1920 // 120, pitch - 22, length])
        bar = onset // 1920
    return words


@settings(deadline=None)
@given(scores(min_notes=1, last_onset=6000, longest=4500))
def test_against_a_slow_second_implementation(score):
    notes = score.notes.copy()
    notes["pitch"] = 22 + notes["pitch"] % 86
    score = score.with_notes(notes)
    words, order = compound_words(score)
    assert words.tolist() == slowly(score)
    assert sorted(order.tolist()) == list(range(len(notes)))
    assert (score.notes["pitch"][order] - 22 == words[:, 2]).all()


@pytest.mark.parametrize("pitch", [21, 108])
def test_pitches_without_a_word(pitch):
    with pytest.raises(MidiError, match=rf"pitches 22\.\.107 and this piece has {pitch}"):
        compound_words(score_of([(0, 60, pitch)]))


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 12))
def test_chunks(notes, length, shortest):
    rows = np.arange(1, notes + 1)
    made = chunks(rows, 0, length, shortest=shortest)
    left = notes % length
    kept = notes - left if 0 < left < min(shortest, length) else notes
    assert made.ravel()[made.ravel() > 0].tolist() == rows[:kept].tolist()
    assert made.shape == (-(-kept // length), length)
    assert sum(span.stop - span.start for span in spans(notes, length, shortest=shortest)) == kept


def test_chunks_of_words():
    made = chunks(np.ones((3, 4)), PADDING, 2)
    assert made.tolist() == [[[1] * 4, [1] * 4], [[1] * 4, [2, 16, 86, 64]]]
    with pytest.raises(ConfigError, match="at least 1 note"):
        spans(3, 0)


# ------------------------------------------------------------------------------------------ the authors' own arrays

COMPOSERS = ("Bethel", "Clayderman", "Einaudi", "Hancock", "Hillsong", "Hisaishi", "Ryuichi", "Yiruma")


def listed(folder) -> list[dict[str, str]]:
    with open(folder / "manifest.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.data
@pytest.mark.parametrize(
    ("archive", "published", "column", "classes", "shortest"),
    [
        ("emopia", "emopia_cp", "emotion", ("Q1", "Q2", "Q3", "Q4"), 1),
        ("pianist8", "composer_cp", "composer", COMPOSERS, 256),
    ],
)
def test_chunks_and_labels_of_pieces_are_the_published_ones(real_music, archive, published, column, classes, shortest):
    folder, arrays = real_music(archive), real_music("midibert_cp") / "Data" / "CP_data"
    entries = listed(folder)
    made: dict[str, list[tuple[bytes, int]]] = {"train": [], "valid": [], "test": []}
    for entry in entries:
        words = compound_words(midi.read(folder / entry["file"])).words
        rows = chunks(words, PADDING, shortest=shortest)
        made[entry["split"]] += [(row.tobytes(), classes.index(entry[column])) for row in rows]
    for split in ("valid", "test"):
        theirs = np.load(arrays / f"{published}_{split}.npy")
        answers = np.load(arrays / f"{published}_{split}_ans.npy")
        assert sorted(made[split]) == sorted(zip((row.tobytes() for row in theirs), answers.tolist(), strict=True))
    answers = np.load(arrays / f"{published}_train_ans.npy")  # the chunks themselves are not at hand
    assert sorted(label for _, label in made["train"]) == sorted(answers.tolist())


@pytest.mark.data
@pytest.mark.parametrize("split", ["valid", "test"])
def test_answers_of_notes_are_the_published_ones(real_music, split):
    folder, arrays = real_music("pop909"), real_music("midibert_cp") / "Data" / "CP_data"
    made = []
    for entry in listed(folder):
        if entry["split"] != split:
            continue
        path = folder / entry["file"]
        beats, numbers = np.loadtxt(path.parent / "beat_audio.txt").T
        _, _, downbeats = np.loadtxt(path.parent / "beat_midi.txt").T
        assert in_four(numbers, downbeats)
        score = align(midi.read(path), beats, numbers)
        order = compound_words(score).order
        melody = chunks(melody_classes(score)[order] + 1, 0)
        velocity = chunks(velocity_classes(score.notes["velocity"])[order] + 1, 0)
        made += [(a.tobytes(), b.tobytes()) for a, b in zip(melody, velocity, strict=True)]
    theirs = [np.load(arrays / f"pop909_{split}_{kind}ans.npy") for kind in ("mel", "vel")]
    assert sorted(made) == sorted((a.tobytes(), b.tobytes()) for a, b in zip(*theirs, strict=True))
