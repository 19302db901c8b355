"""Examples: inputs -> targets on a small chorale, and music out of answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from t5music.data import examples
from t5music.errors import DataError, MidiError
from t5music.music import encodings
from t5music.music.score import METER, NOTE, Score

REMI = encodings.get("remi")


def chorale(bars: int = 8) -> Score:
    """Four voices in 4/4: the soprano in quarters, the others in halves."""
    notes = []
    for bar in range(bars):
        start = bar * 4 * 480
        notes += [(start + beat * 480, 480, 72 + beat, 80, 52, 0) for beat in range(4)]
        for track, pitch in ((1, 67), (2, 60), (3, 48)):
            notes += [(start + half * 960, 960, pitch + bar % 3, 80, 52, track) for half in range(2)]
    meters = np.array([(0, 4, 4)], METER)
    return Score(480, np.array(notes, NOTE), meters=meters, track_names=("Soprano", "Alto", "Tenor", "Bass"))


ALL = [
    examples.Pieces("remi"),
    examples.Continue("chorale", "remi", words=64),
    examples.Accompany("chorale", "remi", part="soprano", bars=2),
    examples.Classify("composer", ("bach", "landini"), "remi", words=64, segments=2),
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.kind)
def test_config_round_trip(kind: examples.Examples):
    assert examples.from_config(examples.to_config(kind)) == kind


def test_unknown_kind_suggests_the_nearest():
    with pytest.raises(DataError, match="did you mean 'continue'"):
        examples.from_config({"kind": "continu"})
    with pytest.raises(DataError, match="pieces"):
        examples.from_config({"kind": "pieces", "encoding": "remi", "colour": 1})


def test_pieces_have_no_inputs_and_hold_every_note():
    score = chorale()
    made = list(examples.Pieces("remi", words=64).examples(score, {}))
    assert {example.inputs for example in made} == {""}
    words = [word for example in made for word in example.targets.split()]
    assert sum(word.startswith("Pitch_") for word in words) == len(score.notes)


def test_continue_pairs_neighbouring_segments():
    made = list(ALL[1].examples(chorale(), {}))
    assert len(made) > 2
    for one, two in itertools.pairwise(made):
        assert one.inputs.startswith("continue chorale: Bar TimeSig_4/4 ")
        assert two.inputs == f"continue chorale: {one.targets}"
        assert len(one.targets.split()) <= 64


def test_continuing_puts_the_answer_after_the_whole_piece():
    score = chorale(4)
    answer = REMI.encode(chorale(2))
    [prompt] = ALL[1].prompts(score)
    assert prompt.startswith("continue chorale: Bar ")
    music = ALL[1].music(score, answer)
    assert music.repairs == 0
    assert len(music.prompt.notes) == len(score.notes)
    assert len(music.score.notes) == len(score.notes) + len(chorale(2).notes)
    bar = 4 * music.score.ticks_per_quarter
    assert music.score.notes["onset"].max() == 5 * bar + 3 * music.score.ticks_per_quarter


def test_accompany_splits_the_given_part_from_the_others():
    made = list(ALL[2].examples(chorale(), {}))
    assert len(made) == 4
    given = made[0].inputs.removeprefix("accompany chorale: ")
    assert [word for word in given.split() if word.startswith("Pitch_")][:4] == [f"Pitch_{72 + b}" for b in range(4)]
    assert "Pitch_72" not in made[0].targets
    assert sum(word.startswith("Pitch_") for word in made[0].targets.split()) == 2 * 2 * 3


def test_accompaniment_lies_under_its_window():
    score = chorale(4)
    soprano = score.with_notes(score.notes[score.notes["track"] == 0])
    others = score.with_notes(score.notes[score.notes["track"] != 0])
    bar = 4 * 480
    answers = [REMI.encode(others.crop(start, start + 2 * bar)) for start in (0, 2 * bar)]
    assert len(ALL[2].prompts(score)) == 2
    music = ALL[2].music(score, answers)
    factor = music.score.ticks_per_quarter / 480
    expected = {(round(n["onset"] * factor), int(n["pitch"])) for n in score.notes}
    assert {(int(n["onset"]), int(n["pitch"])) for n in music.score.notes} == expected
    assert len(music.prompt.notes) == len(soprano.notes)
    assert set(music.score.notes["track"]) == {0, 1}


def test_classify_leaves_out_unknown_labels_and_limits_segments():
    made = list(ALL[3].examples(chorale(), {"composer": "bach"}))
    assert [example.targets for example in made] == ["bach", "bach"]
    assert made[0].inputs.startswith("classify composer: Bar ")
    assert list(ALL[3].examples(chorale(), {"composer": ""})) == []
    with pytest.raises(DataError, match="at least two"):
        examples.Classify("composer", ("bach",), "remi")


def test_nothing_to_continue_is_an_error():
    empty = Score(480, np.empty(0, NOTE))
    with pytest.raises(MidiError, match="no music"):
        ALL[1].prompts(empty)
    with pytest.raises(MidiError, match="no notes"):
        ALL[2].prompts(empty)
