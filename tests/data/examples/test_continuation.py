"""`continue STYLE: ...`."""

from __future__ import annotations

import itertools

import pytest
from small_scores import chorale, piece, tune

from t5music.data.examples import Continue
from t5music.music import encodings

REMI = encodings.get("remi")
CONTINUE = Continue("chorale", "remi", words=64)


def test_what_is_asked_and_answered_to_the_letter():
    [example] = Continue("folk", "remi", words=16).examples(piece(tune([69, 71, 72, 74, 76])))
    assert example.inputs == (
        "continue folk: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_40 Velocity_20 Pitch_69 Duration_12 "
        "Pos_12 Pitch_71 Duration_12 Pos_24 Pitch_72 Duration_12"
    )
    assert (
        example.targets
        == "Pos_36 Pitch_74 Duration_12 Bar TimeSig_4/4 Pos_0 Program_40 Velocity_20 Pitch_76 Duration_12"
    )


def test_pairs_neighbouring_chunks():
    made = list(CONTINUE.examples(piece(chorale())))
    assert len(made) > 2
    for one, two in itertools.pairwise(made):
        assert one.inputs.startswith("continue chorale: Bar TimeSig_4/4 ")
        assert two.inputs == f"continue chorale: {one.targets}"
        assert len(one.targets.split()) <= 64


@pytest.mark.parametrize("encoding", ["remi", "performance", "tx1"])
def test_prompt_and_answer_are_the_piece_again(encoding: str):
    score = tune([60, 64, 67, 72, 0, 71] * 10)
    [first, *_] = made = list(Continue("folk", encoding, words=32).examples(piece(score)))
    words = [first.inputs.removeprefix("continue folk: "), *(example.targets for example in made)]
    found = encodings.get(encoding)
    assert found.from_text(" ".join(words)).tolist() == found.encode(score).tolist()


def test_the_answer_comes_after_the_whole_piece():
    score = chorale(4)
    answer = REMI.encode(chorale(2))
    [prompt] = CONTINUE.prompts(score)
    assert prompt.startswith("continue chorale: Bar ")
    music = CONTINUE.music(score, [answer])
    assert music.repairs == 0
    assert len(music.prompt.notes) == len(score.notes)
    assert len(music.score.notes) == len(score.notes) + len(chorale(2).notes)
    bar = 4 * music.score.ticks_per_quarter
    assert music.score.notes["onset"].max() == 5 * bar + 3 * music.score.ticks_per_quarter
    assert music.cut == pytest.approx(8.0)
