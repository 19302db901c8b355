"""The phrase that a piece repeats most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from strategies import scores

from t5music.music import themes
from t5music.music.score import DRUMS, NOTE, Score

QUARTER = 480
THEME = [60, 62, 64, 60, 67, 65, 64, 62]


def line(pitches: list[int], program: int = 0) -> Score:
    notes = [(n * QUARTER, QUARTER, pitch, 80, program, 0) for n, pitch in enumerate(pitches) if pitch]
    return Score(QUARTER, np.array(notes, NOTE))


def test_melody_is_the_highest_note_that_is_not_covered():
    notes = [(0, 960, 72, 80, 0, 0), (0, 240, 48, 80, 0, 1), (240, 240, 52, 80, 0, 1), (480, 240, 55, 80, 0, 1)]
    notes += [(960, 480, 71, 80, 0, 0), (1430, 480, 69, 80, 0, 0), (1920, 480, 40, 80, DRUMS, 2)]
    found = themes.melody(Score(QUARTER, np.array(notes, NOTE)))
    assert found["pitch"].tolist() == [72, 71, 69]  # the last overlaps the one before by a little: legato


def test_a_phrase_recurs_in_another_key_and_rhythm():
    fourth = [pitch + 5 for pitch in THEME]
    found = themes.find(line([*THEME, 72, 50, 71, 48, *fourth, 61, 80, 55, 70]))
    assert (found.bars, found.places) == (2, (0, 3))
    assert found.notes["pitch"].tolist() == THEME


def test_what_covers_most_bars_is_the_theme_and_the_longer_of_two():
    other = [72, 74, 71, 69, 76, 74, 72, 71]
    found = themes.find(line([*THEME, *other, *THEME, *other, *THEME]))
    # theme and other, four bars, twice: as many bars as could be
    assert (found.bars, found.places) == (4, (0, 4))
    found = themes.find(line([*THEME, *other, *THEME, *other, *THEME]), bars=(2,))
    assert (found.bars, found.places) == (2, (0, 4, 8))


@pytest.mark.parametrize(
    "pitches", [[], [60] * 32, [60, 0, 0, 0] * 8, [60 + (7 * n * n) % 31 for n in range(32)]], ids=lambda p: str(len(p))
)
def test_repeated_notes_long_notes_and_what_does_not_recur_are_no_theme(pitches: list[int]):
    assert themes.find(line(pitches)) is None


@given(scores(max_notes=40, last_onset=40_000))
def test_every_place_has_the_intervals_of_the_theme(score: Score):
    melody, (starts, _) = themes.melody(score), score.bars()
    assert (np.diff(melody["onset"]) > 0).all()
    found = themes.find(score, bars=(1, 2))
    if found is None:
        return
    assert len(found.places) >= 2
    assert (np.diff(found.places) >= found.bars).all()
    ends = np.append(starts, score.end_tick + 1)
    for place in found.places:
        inside = (melody["onset"] >= starts[place]) & (melody["onset"] < ends[place + found.bars])
        assert np.diff(melody["pitch"][inside]).tolist() == np.diff(found.notes["pitch"]).tolist()
