"""`perform: ...`: ASAP's layout, a performance aligned with what is written."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from small_scores import NOTHING, QUARTER, chorale, piece, sounding, tune

from t5music.corpora.base import Piece
from t5music.data.examples import Perform
from t5music.errors import DataError
from t5music.music import encodings
from t5music.music.score import Score

PERFORMANCE, REMI = encodings.get("performance"), encodings.get("remi")
PERFORM = Perform(bars=1)


def played(score: Score, beats: list[float]) -> Piece:
    """A score in quarters whose beat n is played at beats[n] seconds, each note a tenth shorter than written."""
    notes = score.notes.copy()
    when = np.interp(np.stack([notes["onset"], notes["onset"] + notes["duration"]]) / QUARTER, range(len(beats)), beats)
    notes["onset"] = np.rint(when[0] * 1000)
    notes["duration"] = np.rint((when[1] - when[0]) * 900)
    performance = Score(500, notes)  # 1000 ticks a second
    written = [beat / 2 for beat in range(len(beats))]
    return Piece("p", performance, {"alignment": json.dumps([written, beats])}, others={"score": score})


def test_what_is_asked_and_answered_to_the_letter():
    beats = [1.0, 1.6, 2.2, 2.8, 3.4, 4.0, 4.6, 5.2, 5.8]
    one, two = PERFORM.examples(played(tune([60, 0, 62, 0, 64, 0, 0, 0], program=0), beats))
    assert one.inputs == (
        "perform: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_60 Duration_12 "
        "Pos_24 Pitch_62 Duration_12"
    )
    assert one.targets == (
        "TIME_SHIFT_5 VELOCITY_20 NOTE_ON_60 TIME_SHIFT_54 NOTE_OFF_60 TIME_SHIFT_66 NOTE_ON_62 TIME_SHIFT_54 "
        "NOTE_OFF_62 TIME_SHIFT_61"
    )
    assert two.inputs == "perform: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_0 Velocity_20 Pitch_64 Duration_12"
    assert two.targets.startswith("TIME_SHIFT_5 VELOCITY_20 NOTE_ON_64 TIME_SHIFT_54 NOTE_OFF_64")


def test_a_target_lasts_as_long_as_its_bars():
    beats = np.cumsum([0.5, *np.linspace(0.4, 0.8, 32)]).tolist()
    made = list(PERFORM.examples(played(chorale(8), beats)))
    assert len(made) == 8
    for bar, example in enumerate(made[:-1]):
        seconds = PERFORMANCE.times(PERFORMANCE.from_text(example.targets))[-1]
        assert seconds == pytest.approx(beats[4 * bar + 4] - beats[4 * bar], abs=0.011)


def test_the_true_answers_give_the_performance_again():
    beats = np.cumsum([0.5, *np.linspace(0.4, 0.8, 32)]).tolist()
    made = played(chorale(8), beats)
    examples = list(PERFORM.examples(made))
    assert PERFORM.prompts(made.others["score"]) == [example.inputs for example in examples]
    music = PERFORM.music(made.others["score"], [PERFORMANCE.from_text(example.targets) for example in examples])
    assert (music.repairs, len(music.prompt.notes)) == (0, 0)
    found, expected = (
        np.array(sorted((int(p), float(s)) for p, s in zip(x.notes["pitch"], x.seconds(x.notes["onset"]), strict=True)))
        for x in (music.score, made.score)
    )
    assert np.array_equal(found[:, 0], expected[:, 0])
    # The performance starts 0.45 s into the recording; each of 8 windows is off by half a step at most.
    assert np.abs(found[:, 1] - (expected[:, 1] - 0.45)).max() < 0.06


def test_windows_outside_of_the_aligned_beats_are_left_out():
    whole = played(chorale(8), (0.5 + 0.6 * np.arange(33)).tolist())
    beats = np.array(json.loads(whole.labels["alignment"]))
    part = {"alignment": json.dumps(beats[:, 6:].tolist())}
    assert len(list(PERFORM.examples(dataclasses.replace(whole, labels=part)))) == 6


def test_a_piece_without_score_or_alignment_makes_no_example():
    whole = played(chorale(2), (0.6 * np.arange(9)).tolist())
    assert list(PERFORM.examples(piece(chorale()))) == []
    assert list(PERFORM.examples(dataclasses.replace(whole, others={}))) == []
    assert list(PERFORM.examples(dataclasses.replace(whole, labels={"alignment": ""}))) == []
    back = {"alignment": json.dumps([[0, 1, 2], [0, 2, 1]])}
    assert list(PERFORM.examples(dataclasses.replace(whole, labels=back))) == []
    assert list(PERFORM.examples(dataclasses.replace(whole, others={"score": NOTHING}))) == []


@pytest.mark.parametrize("text", ["[1, 2", "[[1, 2], [1]]", "[[1, 2], [1, 2], [1, 2]]", '{"a": 1}'])
def test_an_alignment_that_is_none_is_an_error_that_names_the_piece(text: str):
    whole = played(chorale(2), (0.6 * np.arange(9)).tolist())
    with pytest.raises(DataError, match=r"^p: its alignment"):
        list(PERFORM.examples(dataclasses.replace(whole, labels={"alignment": text})))


def test_bars_of_rest_are_not_asked_for():
    score = tune([60, 60, 60, 60, 0, 0, 0, 0, 60])
    assert [prompt.count("Bar") for prompt in PERFORM.prompts(score)] == [1, 1]
    assert len(Perform(bars=4).prompts(chorale(8))) == 2
    bar = PERFORMANCE.from_text("TIME_SHIFT_50 VELOCITY_20 NOTE_ON_60 TIME_SHIFT_50 NOTE_OFF_60")
    assert sounding(PERFORM.music(score, [bar, bar]).score) == {(1, 1, 60), (3, 1, 60)}


def test_the_answer_must_run_by_a_clock():
    with pytest.raises(DataError, match=r"perform: time in remi does not pass in waits; use performance"):
        Perform(encoding="remi")
