"""Hand-made features: what they say of music that is known, and what they must not depend on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import scores

from t5music.analysis.handmade_features import NAMES, features
from t5music.music.score import DRUMS, NOTE, TEMPO, Score

RELATIVE = [name for name in NAMES if not name.startswith(("pitch_mean", "pitch_lowest", "pitch_highest"))]


def named(score: Score) -> dict[str, float]:
    return dict(zip(NAMES, features(score).tolist(), strict=True))


def of(*notes: tuple[int, ...], **settings) -> Score:
    """Notes as (onset, duration, pitch, velocity), 24 ticks a quarter."""
    return Score(24, np.array([(*note, 0, 0) for note in notes], NOTE), **settings)


def test_a_known_piece():
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    notes = [(24 * place, 24, pitch, 60 + place) for place, pitch in enumerate(scale)]
    values = named(of(*notes, (0, 96, 48, 90), (0, 96, 52, 90)))
    assert values["fits_major"] > 0.8 > values["fits_minor"]
    assert (values["pitch_lowest"], values["pitch_highest"]) == (48, 72)
    assert values["pitch_class_0"] == pytest.approx(6 / 16)  # of sixteen quarters that sound, c has one, one and four
    assert values["pitch_class_1"] == 0
    assert values["interval_steps"] == values["interval_rises"] == 1
    assert values["interval_mean"] == pytest.approx(12 / 7)
    assert values["notes_per_beat"] == 10 / 8
    assert values["notes_per_second"] == pytest.approx(10 / 4)
    assert values["polyphony"] == 2
    assert values["chords"] == pytest.approx(1 / 8)
    assert values["silence"] == values["off_beat"] == values["percussion"] == 0
    assert values["on_beat"] == values["legato"] * 1.0 == 1
    assert values["tempo"] == pytest.approx(120)
    assert values["bars_per_minute"] == pytest.approx(30)
    assert values["velocity_range"] == 30


def test_rests_off_beats_and_percussion():
    values = named(of((0, 6, 60, 64), (36, 12, 67, 64)))
    assert values["silence"] == pytest.approx(30 / 48)
    assert values["off_beat"] == 0.5
    assert values["interval_leaps"] == 0
    notes = np.array([(0, 6, 36, 64, DRUMS, 0), (0, 6, 38, 64, DRUMS, 0), (24, 24, 60, 64, 0, 1)], NOTE)
    drums = named(Score(24, notes))
    assert drums["percussion"] == pytest.approx(2 / 3)
    assert drums["polyphony"] == 1
    assert not np.any(features(Score(24, notes[:0])))


@given(scores(max_notes=12))
@settings(deadline=None, max_examples=40)
def test_any_score_has_finite_features_and_transposing_moves_the_pitch_alone(score: Score):
    values = named(score)
    assert np.isfinite(list(values.values())).all()
    pitched = score.notes["pitch"][score.notes["program"] != DRUMS]
    if len(pitched) and pitched.max() < 120:
        moved = named(score.transpose(5))
        assert moved["pitch_mean"] == pytest.approx(values["pitch_mean"] + 5)
        # Where two keys fit alike, another tonic may be taken: the fit is the same.
        free = [name for name in RELATIVE if not name.startswith(("pitch_class", "fits"))]
        assert [moved[name] for name in free] == pytest.approx([values[name] for name in free])
        assert max(moved["fits_major"], moved["fits_minor"]) == pytest.approx(
            max(values["fits_major"], values["fits_minor"]), abs=1e-9
        )


def test_twice_as_fast_is_twice_as_fast():
    notes = [(24 * place, 24, 60 + place, 64) for place in range(8)]
    slow, fast = (of(*notes, tempos=np.array([(0, tempo)], TEMPO)) for tempo in (1_000_000, 500_000))
    ratio = (
        features(fast)[np.array(NAMES) == "notes_per_second"] / features(slow)[np.array(NAMES) == "notes_per_second"]
    )
    assert ratio == pytest.approx(2)
    beats = [name for name in NAMES if "beat" in name]
    assert [named(fast)[name] for name in beats] == [named(slow)[name] for name in beats]
    assert named(dataclasses.replace(fast, tempos=slow.tempos)) == named(slow)
