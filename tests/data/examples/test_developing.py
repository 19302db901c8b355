"""`develop theme: ...`."""

from __future__ import annotations

import numpy as np
import pytest
from small_scores import BAR, QUARTER, piece, sounding, tune

from t5music.data.examples import Develop
from t5music.errors import DataError, MidiError
from t5music.music import encodings
from t5music.music.score import NOTE, Score

REMI = encodings.get("remi")
THEME = [60, 62, 64, 60, 67, 65, 64, 62]  # two bars
OTHER = [72, 71, 69, 67, 65, 72, 60, 79, 61, 70, 66, 75]


def rondo() -> Score:
    """Theme, three other bars, the theme a fourth higher; a bass note in every bar."""
    line = tune([*THEME, *OTHER, *(pitch + 5 for pitch in THEME)], program=0)
    bass = np.array([(bar * BAR, BAR, 36, 80, 0, 1) for bar in range(7)], NOTE)
    return Score(QUARTER, np.concatenate([line.notes, bass]), track_names=("right", "left"))


def test_what_is_asked_and_answered_to_the_letter():
    one, two = Develop("remi", words=64).examples(piece(rondo()))
    assert one.inputs == two.inputs
    assert one.inputs == (
        "develop theme: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60 Duration_12 Pos_12 Pitch_62 "
        "Duration_12 Pos_24 Pitch_64 Duration_12 Pos_36 Pitch_60 Duration_12 Bar TimeSig_4/4 Pos_0 Program_0 "
        "Velocity_20 Pitch_67 Duration_12 Pos_12 Pitch_65 Duration_12 Pos_24 Pitch_64 Duration_12 Pos_36 Pitch_62 "
        "Duration_12"
    )
    assert one.targets.startswith(
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_36 Duration_48 Pitch_60 Duration_12 Pos_12 "
    )
    assert two.targets.startswith(
        "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_36 Duration_48 Pitch_65 Duration_12 Pos_12 "
    )


def test_no_section_begins_within_another():
    assert len(list(Develop("remi").examples(piece(rondo())))) == 1  # all seven bars in 512 words
    many = tune([*THEME, *OTHER[:4]] * 12, program=0)
    assert len(list(Develop("remi", words=64).examples(piece(many)))) == 4
    assert len(list(Develop("remi", words=64, sections=2).examples(piece(many)))) == 2


def test_where_no_phrase_recurs_there_is_no_example():
    steps = np.cumsum([1, 3, -2, 5, -4, 6, -1, 2, -3, 4, -5, 7, -6, 1, 1, -2, 2, 5, -7, 3])
    through = tune((60 + steps).tolist())
    assert list(Develop("remi").examples(piece(through))) == []
    with pytest.raises(MidiError, match="no phrase of 2 to 4 bars recurs"):
        Develop("remi").prompts(through)


def test_the_model_is_asked_for_the_theme_that_recurs_or_for_one_given_alone():
    [prompt] = Develop("remi").prompts(rondo())
    assert prompt == next(Develop("remi").examples(piece(rondo()))).inputs
    [alone] = Develop("remi").prompts(tune(THEME, program=0))
    assert alone == prompt


def test_the_answer_follows_the_theme():
    kind = Develop("remi", words=64)
    [_, second] = kind.examples(piece(rondo()))
    music = kind.music(rondo(), [REMI.from_text(second.targets)])
    theme = {(float(beat), 1.0, pitch) for beat, pitch in enumerate(THEME)}
    section = {(on - 12, length, pitch) for on, length, pitch in sounding(rondo()) if on >= 20}
    assert sounding(music.prompt) == theme
    assert sounding(music.score) == theme | section
    assert music.cut == pytest.approx(4.0)
    assert music.repairs == 0


def test_it_needs_bars():
    with pytest.raises(DataError, match="has no bars"):
        Develop("performance")
