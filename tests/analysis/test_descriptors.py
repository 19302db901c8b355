"""Descriptors of music of which they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from t5music.analysis.descriptors import MEANINGS, describe, describe_piece
from t5music.music.score import DRUMS, NOTE, Score


def score(*notes: tuple[float, float, int], program: int = 0) -> Score:
    """Of (begin, end, pitch) in seconds; a tick is a millisecond."""
    rows = [(round(1000 * begin), round(1000 * (end - begin)), pitch, 64, program, 0) for begin, end, pitch in notes]
    return Score(500, np.array(rows, NOTE))


def test_what_is_played_between_two_times():
    music = score((0, 3, 40), (2, 4, 60), (3, 4, 72), (3, 5, 67), (8, 9, 60))
    assert describe(music, 2, 7) == pytest.approx(
        {
            "notes_per_second": 3 / 5,
            "pitch_range": 12,
            "pitch_class_entropy": -(2 / 3) * math.log2(2 / 3) - (1 / 3) * math.log2(1 / 3),
            "polyphony": (1 + 2 + 1 + 2) / 3,  # the first note's last second is one of these
            "silence": 2 / 5,
        }
    )


def test_against_a_raster_of_the_same_music():
    rng = np.random.default_rng(3)
    begins = rng.integers(0, 900, 60) / 100
    notes = [(begin, begin + rng.integers(1, 80) / 100, rng.integers(30, 90)) for begin in begins]
    raster = np.zeros((1000, 60), bool)  # hundredths of a second
    for number, (begin, end, _) in enumerate(notes):
        raster[round(100 * begin) : round(100 * end), number] = True
    description = describe(score(*notes), 1.0, 8.0)
    sounding = raster[100:800].sum(axis=1)
    inside = [pitch for begin, _, pitch in notes if 1 <= begin < 8]
    classes = np.bincount(np.array(inside) % 12)
    assert description["polyphony"] == pytest.approx(sounding[sounding > 0].mean())
    assert description["silence"] == pytest.approx((sounding == 0).mean())
    assert description["notes_per_second"] == pytest.approx(len(inside) / 7)
    assert description["pitch_range"] == max(inside) - min(inside)
    assert description["pitch_class_entropy"] == pytest.approx(stats.entropy(classes, base=2))


def test_percussion_has_no_pitch():
    description = describe(score((0, 1, 36), (1, 2, 42), program=DRUMS), 0, 2)
    assert description["notes_per_second"] == 1
    assert math.isnan(description["pitch_range"])
    assert math.isnan(description["pitch_class_entropy"])


@pytest.mark.parametrize("times", [(0.0, 4.0), (1.0, 1.0)], ids=["silence", "no time"])
def test_where_there_is_nothing_to_measure(times: tuple[float, float]):
    description = describe(Score(480, np.empty(0, NOTE)), *times)
    nothing = {name for name, value in description.items() if math.isnan(value)}
    assert nothing >= {"pitch_range", "pitch_class_entropy", "polyphony"}
    if times[1] > times[0]:
        assert description["silence"] == 1
        assert description["notes_per_second"] == 0


# What MusPy 0.5.0 says of `three_voices` of seeds 0, 1 and 2 (its polyphony counts unisons once; there are none).
MUSPY = (
    {
        "pitches": 33,
        "pitch_range": 48,
        "pitch_entropy": 4.909368063943884,
        "pitch_class_entropy": 3.4509683842205963,
        "scale_consistency": 0.6379310344827587,
        "polyphony": 2.574468085106383,
        "groove_consistency": 0.8625,
    },
    {
        "pitches": 33,
        "pitch_range": 48,
        "pitch_entropy": 4.819114154689793,
        "pitch_class_entropy": 3.4070802980925174,
        "scale_consistency": 0.6944444444444444,
        "polyphony": 2.7127659574468086,
        "groove_consistency": 0.8625,
    },
    {
        "pitches": 35,
        "pitch_range": 49,
        "pitch_entropy": 4.947159723424148,
        "pitch_class_entropy": 3.467363370035478,
        "scale_consistency": 0.6944444444444444,
        "polyphony": 2.5531914893617023,
        "groove_consistency": 0.825,
    },
)


def three_voices(seed: int, bars: int = 6) -> Score:
    """Voices that do not meet, in 4/4 of 12 ticks a quarter; the last bar is not full."""
    rng = np.random.default_rng(seed)
    notes = []
    for track, (low, high) in enumerate([(60, 80), (45, 59), (30, 44)]):
        tick = 0
        while tick < bars * 48 - 8:
            length = min(int(rng.choice([3, 6, 6, 12, 12, 24])), bars * 48 - 6 - tick)
            if tick == 0 or rng.random() < 0.85:
                notes.append((tick, length, int(rng.integers(low, high)), 64, 0, track))
            tick += length
    return Score(12, np.array(notes, NOTE))


@pytest.mark.parametrize("seed", range(len(MUSPY)))
def test_as_muspy_has_it(seed: int):
    description = describe_piece(three_voices(seed))
    assert {name: description[name] for name in MUSPY[seed]} == pytest.approx(MUSPY[seed])


def test_a_piece_by_hand():
    # A bar lasts two seconds, and the music begins in the third; what begins below a held note is not the highest line.
    music = score((4, 5, 60), (5, 6, 64), (4, 5.5, 48), (5.5, 6, 50), (6, 8, 72))
    description = describe_piece(music)
    assert list(description) == list(MEANINGS)
    assert description["notes"] == 5
    assert description["bars"] == 2
    assert description["notes_per_bar"] == 5 / 2
    assert description["notes_per_second"] == 5 / 4  # from the first onset on
    assert description["pitch_interval"] == (4 + 8) / 2
    assert description["inter_onset"] == 2 / 3
    assert description["silence"] == 0
    assert description["longest_loop"] == 0


@given(seed=st.integers(0, 50), semitones=st.integers(-12, 12), factor=st.integers(1, 40))
def test_what_a_piece_is_called_and_divided_into_counts_for_nothing(seed: int, semitones: int, factor: int):
    music = three_voices(seed)
    moved = music.transpose(semitones).notes.copy()
    for name in ("onset", "duration"):
        moved[name] *= factor
    moved["track"] = 0
    moved["velocity"] = 100
    other = describe_piece(Score(12 * factor, moved))
    assert other == pytest.approx(describe_piece(music), nan_ok=True)


def test_a_piece_without_notes_or_of_percussion_alone():
    nothing = describe_piece(Score(480, np.empty(0, NOTE)))
    assert {name for name, value in nothing.items() if not math.isnan(value)} == {"notes", "bars"}
    drums = describe_piece(score((0, 1, 36), (2, 3, 36), (4, 5, 36), program=DRUMS))
    assert math.isnan(drums["scale_consistency"])
    assert drums["longest_loop"] == 3
