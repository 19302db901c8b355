"""Chord symbols of a melody: what is asked, and that the answer moves with the music."""

from __future__ import annotations

import re

import numpy as np
import pytest
from small_scores import NOTHING, chorale, piece, tune

from t5music.data import examples
from t5music.data.examples import NameChords
from t5music.errors import DataError, MidiError
from t5music.music.chord_recognition import ROOTS, bars_of
from t5music.music.score import METER, NOTE, Score

BAR = 1920
KIND = NameChords("folk", "remi", part=("melody",), answer=("chords",), bars=2, versions=12)


def harmonised(bars: int = 5) -> Score:
    """A melody on the root of each bar's chord, C F G7 and again, and the chords on a track of their own."""
    notes = []
    for bar in range(bars):
        root, steps = ((0, (0, 4, 7)), (5, (0, 4, 7)), (7, (0, 4, 7, 10)))[bar % 3]
        notes += [(bar * BAR + beat * 480, 480, 72 + root, 80, 0, 0) for beat in range(4)]
        notes += [(bar * BAR, BAR, 48 + root + step, 80, 0, 1) for step in steps]
    meters = np.array([(0, 4, 4)], METER)
    return Score(480, np.array(notes, NOTE), meters=meters, track_names=("Melody", "chords"))


def test_windows_of_bars_and_their_chords():
    targets_of = {example.inputs: example.targets for example in KIND.examples(piece(harmonised()))}
    untransposed = [prompt for prompt in KIND.prompts(harmonised()) if prompt in targets_of]
    assert [targets_of[prompt] for prompt in untransposed] == ["| C | F |", "| G7 | C |", "| F |"]
    assert untransposed[0].startswith("chords folk: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_72 ")
    assert "Pitch_48" not in untransposed[0]


def test_the_chords_move_with_the_melody():
    """The melody is on the root of each bar's chord, and stays there."""
    answers = list(KIND.examples(piece(harmonised())))
    assert len(answers) == len({example.inputs for example in answers}) > 3 * 9
    for example in answers:
        bars = [re.findall(r"Pitch_(\d+)", bar) for bar in example.inputs.split("Bar ")[1:]]
        roots = [ROOTS[int(pitches[0]) % 12] for pitches in bars]
        assert [chord.removesuffix("7") for (chord,) in bars_of(example.targets)] == roots


def test_of_four_parts_each_beat_has_its_chord():
    kind = NameChords("chorale", "remi", part=("soprano",), versions=1)
    (example,) = kind.examples(piece(chorale()))
    assert len(bars_of(example.targets)) == 8
    assert kind.prompts(chorale())[0].count("Pitch_") == example.inputs.count("Pitch_") == 32


def test_without_a_melody_or_chords_nothing_is_asked():
    assert not list(KIND.examples(piece(NOTHING)))
    assert not list(KIND.examples(piece(tune(range(60, 72)))))  # no track of chords
    assert not list(KIND.examples(piece(tune(range(60, 72), name="chords"))))  # no melody
    assert len(KIND.prompts(tune(range(60, 72), name="anything"))) == 2  # one's own melody has any name
    with pytest.raises(MidiError, match="no melody to name the chords of"):
        KIND.prompts(NOTHING)


def test_its_config_and_what_it_refuses():
    assert examples.from_config(examples.to_config(KIND)) == KIND
    with pytest.raises(DataError, match="chords piano: performance has no bars; use remi"):
        NameChords("piano", "performance", part=("melody",))
