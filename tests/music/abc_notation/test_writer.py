"""Scores of tunes in ABC, and melodies written as ABC."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_abc import EIGHTH

from t5music.errors import MidiError
from t5music.music import abc_notation
from t5music.music.abc_notation import Key, Note, parse
from t5music.music.abc_notation.spelling import spell
from t5music.music.score import DRUMS, KEY, METER, NOTE, Score


def test_score_of_a_tune():
    score = parse("T:Upbeat\nM:3/4\nL:1/4\nK:Em\nB/|e2-e/B/|[EG]3-|[EG]2:|").to_score(program=40)
    quarter = score.ticks_per_quarter
    assert [(n["onset"] / quarter, n["duration"] / quarter, n["pitch"]) for n in score.notes] == [
        (2.5, 0.5, 71), (3, 2.5, 76), (5.5, 0.5, 71), (6, 5, 64), (6, 5, 67)]  # fmt: skip
    assert score.meters.tolist() == [(0, 3, 4)]
    assert score.keys.tolist() == [(0, 1, True)]
    assert score.track_names == ("Upbeat",)


def test_a_melody_is_written():
    notes = [(0, 480, 66), (480, 720, 69), (1200, 1680, 70), (3360, 480, 62)]
    score = Score(
        480,
        np.array([(*note, 80, 0, 0) for note in notes], NOTE),
        meters=np.array([(0, 3, 4)], METER),
        keys=np.array([(0, 2, False)], KEY),
    )
    tune = abc_notation.from_score(score, "Two\nbars%")
    assert tune.to_text() == "X:1\nT:Two bars\nM:3/4\nL:1/8\nK:D\nF2A3_B-|_B6|z2D2z2||\n"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (Key("C"), "C ^C D _E E F ^F G _A A _B B"),
        (Key("A", "m"), "C ^C D _E E F ^F G ^G A _B B"),
        (Key("E"), "=C C =D D E ^E F =G G A ^A B"),
        (Key("Db"), "C D =D E _F F G =G A __B B _c"),
    ],
    ids=str,
)
def test_spelling(key: Key, expected: str):
    """All twelve pitches, written in a key and read back."""
    notes = [Note((spell(midi_pitch, key),), EIGHTH) for midi_pitch in range(60, 72)]
    assert [note.pitches[0].midi for note in notes] == list(range(60, 72))
    whole = abc_notation.Tune(key, None, tuple(notes))
    assert parse(whole.to_text()) == whole
    alone = [abc_notation.Tune(key, None, (note,)).to_text().splitlines()[-1] for note in notes]
    assert " ".join(alone) == expected


@st.composite
def melodies(draw: st.DrawFn) -> Score:
    """Notes one after the other on the grid of 1/12 quarter, with rests, in any key and some changing meters."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 60), st.integers(0, 127)), min_size=1, max_size=12)
    )
    notes, now = [], 0
    for rest, length, pitch in steps:
        notes.append(((now + rest) * 40, length * 40, pitch, 80, 0, 0))
        now += rest + length
    meters = draw(st.lists(st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 2), (5, 8)]), max_size=3))
    bars = itertools.accumulate((4 * 480 * n // d for n, d in meters), initial=0)
    return Score(
        480,
        np.array(notes, NOTE),
        meters=np.array([(tick, *meter) for tick, meter in zip(bars, meters, strict=False)], METER),
        keys=np.array([(0, draw(st.integers(-7, 7)), draw(st.booleans()))], KEY),
    )


@settings(deadline=None)
@given(melodies())
def test_what_is_written_is_read_again(score: Score):
    tune = abc_notation.from_score(score)
    assert parse(tune.to_text()) == tune
    again = tune.to_score()
    factor = again.ticks_per_quarter // score.ticks_per_quarter
    assert again.notes["pitch"].tolist() == score.notes["pitch"].tolist()
    assert (again.notes["duration"] == score.notes["duration"] * factor).all()
    assert len(np.unique(again.notes["onset"] - score.notes["onset"] * factor)) == 1  # but for rests before an upbeat
    assert again.keys.tolist() == score.keys.tolist()


def test_what_cannot_be_written_is_said():
    drums = np.array([(0, 480, 36, 80, DRUMS, 0)], NOTE)
    with pytest.raises(MidiError, match="no notes"):
        abc_notation.from_score(Score(480, drums))
    together = np.array([(480, 480, 60, 80, 0, 0), (480, 480, 64, 80, 0, 0)], NOTE)
    with pytest.raises(MidiError, match=r"together at 0\.50 s"):
        abc_notation.from_score(Score(480, together))
    legato = np.array([(0, 700, 60, 80, 0, 0), (480, 480, 64, 80, 0, 0)], NOTE)
    assert abc_notation.from_score(Score(480, legato)).to_text().endswith("C2E2z4||\n")
