"""Between music and ABC: what each direction is asked and answers."""

from __future__ import annotations

import numpy as np
import pytest
from small_scores import NOTHING, chorale, piece, tune

from t5music.data import examples
from t5music.data.examples import PlayAbc, TranscribeAbc
from t5music.errors import MidiError
from t5music.music import abc_notation
from t5music.music.score import NOTE, Score

WRITTEN = """X: 7
T:The example
% from nowhere
M:3/4
L:1/4
K:D
"D" D F A | "A7" c>B A :|
"""
CANONICAL = "X:1\nM:3/4\nL:1/8\nK:D\nD2F2A2|c3BA2:|"
WORDS = (
    "Bar TimeSig_3/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_62 Duration_12 Pos_12 Pitch_66 Duration_12 "
    "Pos_24 Pitch_69 Duration_12 "
    "Bar TimeSig_3/4 Pos_0 Program_0 Velocity_20 Pitch_73 Duration_18 Pos_18 Pitch_71 Duration_6 "
    "Pos_24 Pitch_69 Duration_12"
)


def test_transcribe_abc_and_back():
    """The label is the tune; the score of the piece, with its repeats played, is not looked at."""
    one = piece(chorale(), abc=WRITTEN)
    [transcribed], [played] = TranscribeAbc().examples(one), PlayAbc().examples(one)
    assert transcribed == (f"transcribe abc: {WORDS}", CANONICAL)
    assert played == (f"abc to music: {CANONICAL}", WORDS)


def test_a_melody_without_a_label_is_written_down():
    melody = tune([62, 66, 69, 74, 73, 71, 69, 0])
    [example] = TranscribeAbc().examples(piece(melody))
    assert example.targets == "X:1\nM:4/4\nL:1/8\nK:C\nD2^F2A2d2|^c2B2A2z2||"
    [prompt] = TranscribeAbc().prompts(melody)
    assert prompt == example.inputs


def test_what_is_no_melody_is_refused():
    for kind in (TranscribeAbc(), PlayAbc()):
        for other in (piece(chorale()), piece(NOTHING)):
            with pytest.raises(MidiError, match="pitched tracks, none of them called melody"):
                list(kind.examples(other))
        with pytest.raises(MidiError):
            list(kind.examples(piece(chorale(), abc="no tune at all")))
        assert examples.from_config(examples.to_config(kind)) == kind
    with pytest.raises(MidiError, match="4 pitched tracks"):
        TranscribeAbc().prompts(chorale())


def test_the_track_called_melody_is_taken():
    notes = np.array([(0, 480, 72, 80, 0, 1), (0, 480, 48, 80, 0, 0)], NOTE)
    [prompt] = TranscribeAbc().prompts(Score(480, notes, track_names=("chords", "Melody")))
    assert "Pitch_72" in prompt
    assert "Pitch_48" not in prompt


def test_a_label_of_several_voices_is_refused():
    for text in ("K:C\nV:1\nC\nV:2\nE", "K:C\nC & E"):
        with pytest.raises(MidiError, match="its ABC has several voices: give the melody alone"):
            list(TranscribeAbc().examples(piece(chorale(), abc=text)))


def test_an_order_of_parts_is_not_heard_in_a_tune_as_written():
    parts = WRITTEN.replace("K:D\n", "P:ABA\nK:D\nP:A\n") + 'P:B\n|: "D" d F A :|\n'
    plain = WRITTEN + '|: "D" d F A :|\n'
    [example], [other] = (TranscribeAbc().examples(piece(chorale(), abc=text)) for text in (parts, plain))
    assert example == other


def test_long_tunes_are_left_out_whole():
    one = piece(chorale(), abc=WRITTEN)
    assert not list(TranscribeAbc(words=len(WORDS.split()) - 1).examples(one))
    assert list(TranscribeAbc(words=len(WORDS.split()), characters=len(CANONICAL)).examples(one))
    assert not list(PlayAbc(characters=len(CANONICAL) - 1).examples(one))
    with pytest.raises(MidiError, match="more than 16 words"):
        TranscribeAbc(words=16).prompts(tune([60, 62, 64, 65, 67]))


def test_an_answer_is_abc_that_plays_what_was_asked():
    [example] = TranscribeAbc().examples(piece(chorale(), abc=WRITTEN))
    assert abc_notation.parse(example.targets).pitches == [(62,), (66,), (69,), (73,), (71,), (69,)]


@pytest.mark.data
def test_most_real_tunes_fit(real_music):
    folder = real_music("nottingham") / "ABC_cleaned"
    texts = ["X:" + text for text in (folder / "jigs.abc").read_text("utf-8").split("\nX:")[1:60]]
    examples_of_texts = [list(TranscribeAbc().examples(piece(NOTHING, abc=text))) for text in texts]
    assert sum(map(len, examples_of_texts)) > 0.6 * len(texts)
    for [example] in filter(None, examples_of_texts):
        assert example.targets.startswith("X:1\nM:6/8\nL:1/8\nK:")
        assert '"' not in example.targets
