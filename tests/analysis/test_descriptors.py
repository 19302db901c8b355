"""Descriptors of music of which they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from t5music.analysis.descriptors import describe
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
