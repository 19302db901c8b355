from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import scores

from t5music.errors import MidiError
from t5music.music import midi
from t5music.music.fingerprint import opening
from t5music.music.score import DRUMS, NOTE, TEMPO, Score


def score_of(*pitches: int | tuple[int, ...], program: int = 0) -> Score:
    """A score of one chord after the other."""
    chords = [chord if isinstance(chord, tuple) else (chord,) for chord in pitches]
    rows = [(4 * tick, 4, pitch, 64, program, 0) for tick, chord in enumerate(chords) for pitch in chord]
    return Score(4, np.array(rows, NOTE))


def altered(score: Score, *, stretch: int, semitones: int, velocity: int, program: int) -> Score:
    """A copy as the web has them: slower or faster on paper, in another key, of other loudness and instrument."""
    notes = score.notes.copy()
    for field in ("onset", "duration"):
        notes[field] *= stretch
    notes["velocity"] = velocity
    pitched = notes["program"] != DRUMS
    notes["program"][pitched] = program
    notes["track"] = 0
    copy = replace(score, notes=notes, tempos=np.array([(0, 123_456)], TEMPO), pedals=score.pedals[:0], track_names=())
    return copy.transpose(semitones)


ALTERATIONS = {
    "stretch": st.integers(1, 5),
    "semitones": st.integers(-6, 6),
    "velocity": st.integers(1, 127),
    "program": st.integers(0, 127),
}


@given(scores(), st.fixed_dictionaries(ALTERATIONS))
@settings(deadline=None)
def test_copies_have_one_fingerprint(score, alteration):
    pitch = score.notes["pitch"][score.notes["program"] != DRUMS]
    moved = pitch + alteration["semitones"]
    assume(((moved >= 0) & (moved <= 127)).all())
    assert opening(altered(score, **alteration)) == opening(score)


def test_the_line_of_the_highest_notes_counts():
    tune = score_of(60, 62, 64)
    assert opening(tune) == opening(score_of((48, 60), (55, 62), 64)) == opening(score_of(67, 69, 71))
    assert opening(tune) == opening(score_of(60, 60, 62, 64, 64))  # a note repeated counts once
    assert opening(tune) != opening(score_of(60, 62, 65))
    assert opening(tune) != opening(score_of(60, 62))
    assert opening(tune) != opening(score_of(60, 62, 64, 60))
    assert opening(score_of()) != opening(score_of(60))


def test_only_the_opening_counts():
    line = [60 + 7 * step % 12 for step in range(40)]
    assert opening(score_of(*line)) == opening(score_of(*line[:32])) != opening(score_of(*line[:31]))
    assert opening(score_of(*line), notes=10) == opening(score_of(*line[:10]), notes=10)
    assert opening(score_of(*line), notes=10) != opening(score_of(*line), notes=11)


def test_percussion_counts_only_where_there_is_nothing_else():
    tune, beat = score_of(60, 62, 64), score_of(36, 38, 36, program=DRUMS)
    both = replace(tune, notes=np.concatenate([tune.notes, beat.notes]))
    assert opening(both) == opening(tune)
    assert opening(beat) != opening(score_of(36, 42, 36, program=DRUMS))


def test_fingerprints_never_change():
    """Another value here moves pieces between the splits of everything that people have compiled."""
    assert opening(score_of(60, 62, 64)) == "6f9b04e1ab8121aacb8a305a1db1a8d8"
    assert opening(score_of()) == "6e340b9cffb37a989ca544e6bb780a2c"


@pytest.mark.data
@pytest.mark.parametrize(
    ("archive", "folder", "step"), [("nottingham", "MIDI", 100), ("jsb_chorales", "bach370_midi", 10)]
)
def test_altered_copies_of_real_pieces_stay_together(real_music, archive, folder, step):
    paths = sorted((real_music(archive) / folder).rglob("*.mid"))[::step]
    fingerprints = set()
    for index, path in enumerate(paths):
        score = midi.read(path)
        copy = altered(score, stretch=1 + index % 3, semitones=index % 7 - 3, velocity=30 + index, program=index % 128)
        assert opening(midi.read(midi.to_bytes(copy))) == opening(score), path
        fingerprints.add(opening(score))
    assert len(fingerprints) > 0.85 * len(paths)  # both have tunes twice


@pytest.mark.slow
@pytest.mark.data
def test_copies_on_the_web_stay_together_and_little_else_does(real_music):
    """README.md of the data: 64 extra copies with other bytes and the same opening. We find them and some fifty more
    (transposed, other instruments, medleys that open with the same song), in groups of at most five."""
    folder = real_music("web_midi_multitrack")
    groups, copies = defaultdict(set), defaultdict(set)
    with open(folder / "manifest.csv", newline="") as file:
        for row in csv.DictReader(file):
            try:
                score = midi.read(folder / row["file"])
            except MidiError:
                continue
            groups[opening(score)].add(row["file"])
            notes = score.notes[np.lexsort((score.notes["pitch"], score.notes["onset"]))]
            copies[notes["pitch"][:200].tobytes()].add(opening(score))
    assert 64 <= sum(len(group) - 1 for group in groups.values()) <= 150
    assert max(map(len, groups.values())) <= 5
    assert sum(len(found) > 1 for found in copies.values()) <= 1  # of 62 with the same first 200 pitches
