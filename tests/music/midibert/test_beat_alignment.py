"""Performances on the grid of their beats, by the rules of MIDI-BERT's preprocessing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import DataError
from t5music.music.midibert.beat_alignment import align, in_four
from t5music.music.score import NOTE, PEDAL, TEMPO, Score

BEATS = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0])  # slower from the fifth on
NUMBERS = np.array([4, 1, 2, 3, 4, 1, 2])  # the first is an upbeat


def performed(*notes, names=("MELODY",)) -> Score:
    """Notes of (seconds, seconds, pitch[, track]), at 1 ms a tick."""
    rows = [(round(1000 * n[0]), round(1000 * n[1]), n[2], 64, 0, n[3] if len(n) > 3 else 0) for n in notes]
    return Score(500, np.array(rows, NOTE), pedals=np.array([(0, 9, 0)], PEDAL), track_names=names)


def placed(*notes) -> list[tuple[int, int]]:
    """(onset, duration) in 1/16 notes."""
    made = align(performed(*notes), BEATS, NUMBERS).notes
    return [(int(note["onset"]) / 120, int(note["duration"]) / 120) for note in made]


def test_beats_are_quarters_and_downbeats_bar_lines():
    # The upbeat is the fourth beat of the first bar: 12 sixteenths in.
    assert placed((1.5, 0.5, 60)) == [(16, 4)]
    assert placed((1.0, 0.25, 60)) == [(12, 2)]
    assert placed((2.13, 0.13, 60), (2.37, 0.12, 62)) == [(21, 1), (23, 1)]
    assert placed((3.25, 0.5, 60)) == [(29, 2)]  # a beat lasts a second here
    assert placed((3.0, 1.0, 60)) == [(28, 8)]  # a note on a beat lasts as many of the beats before


def test_what_is_left_out_and_what_is_moved():
    assert placed((0.89, 0.5, 60)) == []  # before the first beat
    assert placed((0.95, 0.19, 60)) == []
    assert placed((0.95, 0.3, 60)) == [(12, 2)]  # long enough: on the first beat, with what is left of it
    assert placed((1.5, 0.05, 60)) == []  # rounds to nothing
    assert placed((5.9, 0.5, 60)) == [(40, 2)]
    assert placed((6.1, 0.5, 60)) == []  # more than a beat after the last one


def test_notes_of_one_pitch_end_together():
    made = align(performed((1.5, 1.0, 60), (2.0, 1.0, 60), (2.0, 1.0, 64), (2.0, 1.0, 60, 1)), BEATS, NUMBERS).notes
    assert made[["onset", "duration", "pitch", "track"]].tolist() == [
        (16 * 120, 8 * 120, 60, 0),
        (20 * 120, 4 * 120, 60, 0),  # ends with the one before it
        (20 * 120, 8 * 120, 64, 0),
        (20 * 120, 8 * 120, 60, 1),  # another track
    ]


def test_the_score_around_the_notes():
    made = align(performed((1.5, 1.0, 60)), BEATS, NUMBERS)
    assert made.ticks_per_quarter == 480
    assert made.track_names == ("MELODY",)
    assert len(made.pedals) == len(made.meters) == len(made.keys) == 0
    assert made.tempos.tolist() == [(0, 500_000), (1440 + 4 * 480, 1_000_000)]
    seconds = made.seconds(1440 + 480 * np.arange(7)) - made.seconds(1440)
    assert seconds == pytest.approx(BEATS - 1)
    assert len(align(performed(), BEATS, NUMBERS).notes) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8000), st.integers(1, 3000), st.integers(30, 90)), max_size=30))
def test_onsets_are_the_nearest_sixteenth_of_their_beat(rows):
    notes = [(onset / 1000, duration / 1000, pitch) for onset, duration, pitch in rows]
    made = align(performed(*notes), BEATS, NUMBERS)
    assert (made.notes["onset"] % 120 == 0).all()
    assert (made.notes["duration"] % 120 == 0).all()
    assert (made.notes["duration"] > 0).all()
    assert len(made.notes) <= len(notes)
    sixteenths = np.interp(np.arange(33) / 4, np.arange(9), [*BEATS, 6.0, 7.0])
    for note in made.notes:
        at = sixteenths[int(note["onset"]) // 120 - 12]
        assert min(abs(at - onset) for onset, _, pitch in notes if pitch == note["pitch"]) <= 0.126


def test_tempo_of_the_performance_is_played():
    rows = performed((1.0, 0.5, 60))
    slow = Score(500, rows.notes, tempos=np.array([(0, 500_000), (1000, 1_000_000)], TEMPO))
    assert align(slow, BEATS, NUMBERS).notes["duration"].tolist() == [960]


@pytest.mark.parametrize(
    ("beats", "numbers", "message"),
    [
        ([0, 1, 2], [1, 2, 3], "four or more"),
        ([0, 1, 1, 2], [1, 2, 3, 4], "rising"),
        ([0, 1, 2, 3], [1, 2, 3], "with a number each"),
        ([0, 1, 2, 3], [2, 3, 4, 5], "none of the first four beats is a downbeat"),
    ],
)
def test_impossible_beats(beats, numbers, message):
    with pytest.raises(DataError, match=message):
        align(performed((1.0, 1.0, 60)), beats, numbers)


def test_in_four():
    assert in_four([1, 2, 3, 4] * 5, [1, 0, 0, 0] * 5)
    assert not in_four([1, 2, 3] * 5, [1, 0, 0] * 5)
    assert not in_four([1, 2, 3, 4] * 5, [1, 0, 0] * 5)
