"""Classes of notes, the skyline, and the order in which remi says notes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import scores

from t5music.errors import MidiError
from t5music.music import encodings, midi
from t5music.music.note_classes import (
    ACCOMPANIMENT,
    MELODY,
    melody_classes,
    remi_order,
    skyline,
    skyline_of_words,
    velocity_classes,
)
from t5music.music.score import DRUMS, NOTE, Score

REMI = encodings.get("remi")


def score_of(rows, names=()) -> Score:
    """Rows of (onset, duration, pitch, track)."""
    return Score(480, np.array([(*row[:3], 64, 0, row[3]) for row in rows], NOTE), track_names=names)


def test_melody_classes_go_by_the_names_of_tracks():
    rows = [(0, 10, 60, 2), (0, 10, 61, 0), (5, 10, 62, 1), (9, 10, 63, 2)]
    assert melody_classes(score_of(rows, ("BRIDGE", "Melody ", "PIANO"))).tolist() == [1, 2, 0, 2]
    assert melody_classes(score_of([], ("anything",))).tolist() == []
    with pytest.raises(MidiError, match="'lead' is none of POP909's: MELODY, BRIDGE, PIANO"):
        melody_classes(score_of(rows, ("MELODY", "lead", "PIANO")))


def test_velocity_classes():
    velocities = [0, 1, 31, 32, 47, 48, 63, 64, 79, 80, 95, 96, 127]
    assert velocity_classes(velocities).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_skyline():
    rows = [
        (0, 100, 60, 0),
        (0, 100, 72, 0),  # the highest at 0
        (50, 10, 65, 0),  # below a held note
        (50, 10, 80, 1),  # above it
        (100, 10, 64, 0),  # the 72 ends here
        (100, 20, 64, 1),  # the same, but longer
        (200, 0, 50, 0),
    ]
    classes = skyline(score_of(rows))
    assert [row[2:] for row, one in zip(rows, classes, strict=True) if one == MELODY] == [
        (72, 0),
        (80, 1),
        (64, 1),
        (50, 0),
    ]
    assert set(classes.tolist()) == {MELODY, ACCOMPANIMENT}
    assert skyline(score_of([])).tolist() == []


@settings(deadline=None)
@given(scores(max_notes=16))
def test_skyline_note_by_note(score):
    notes = score.notes
    classes = skyline(score)
    for onset in np.unique(notes["onset"]):
        sounding = (notes["onset"] <= onset) & (
            (notes["onset"] + notes["duration"] > onset) | (notes["onset"] == onset)
        )
        top = notes["pitch"][sounding].max()
        here = notes["onset"] == onset
        chosen = notes["pitch"][here & (classes == MELODY)].tolist()
        assert chosen == ([top] if top in notes["pitch"][here] else [])


@settings(deadline=None)
@given(scores(max_notes=30, last_onset=1_000, longest=400))
def test_the_skyline_of_words_is_that_of_the_music_they_spell(score):
    notes = score.notes.copy()
    notes["program"], notes["track"] = 0, 0
    events = REMI.encode(score.with_notes(notes))
    spelt = REMI.decode(events).score
    assert skyline_of_words(events).tolist() == skyline(spelt)[remi_order(spelt)].tolist()


def test_the_skyline_of_words_sees_every_note():
    text = "Bar TimeSig_4/4 Pos_0 Pitch_60 Duration_24 Pitch_60 Duration_9 Pos_12 Pitch_55 Duration_9 Drum_36 Pitch_72"
    assert skyline_of_words(REMI.from_text(text)).tolist() == [MELODY, ACCOMPANIMENT, ACCOMPANIMENT, MELODY]
    assert skyline_of_words(REMI.from_text("")).tolist() == []


@settings(deadline=None, max_examples=200)
@given(scores(max_notes=40, last_onset=1_000, longest=400))
def test_remi_order_is_that_of_its_note_words(score):
    events = REMI.encode(score)
    words = [REMI.words[event] for event in events[REMI.is_note[events]]]
    notes = score.notes[remi_order(score)]
    assert words == [f"{'Drum' if note['program'] == DRUMS else 'Pitch'}_{note['pitch']}" for note in notes]
    assert len(set(remi_order(score).tolist())) == len(notes)


@pytest.mark.data
def test_real_music(real_music):
    paths = sorted(real_music("pop909").glob("POP909/*/*.mid"))[::60]
    right = notes = 0
    for path in paths:
        score = midi.read(path)
        events = REMI.encode(score)
        order = remi_order(score)
        pitches = [int(REMI.words[event][6:]) for event in events[REMI.is_note[events]]]
        assert score.notes["pitch"][order].tolist() == pitches
        right += int(((skyline(score) == MELODY) == (melody_classes(score) == MELODY)).sum())
        notes += len(score.notes)
    assert right / notes > 0.7  # 0.785 in MIDI-BERT's paper, by another skyline, on its test set
