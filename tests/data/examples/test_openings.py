"""`improvise STYLE` and `compose: ...`."""

from __future__ import annotations

import dataclasses

import pytest
from small_scores import NOTHING, chorale, piece, sounding, tune

from t5music.data.examples import Compose, Improvise
from t5music.errors import ConfigError
from t5music.music import encodings

OPENING = "Bar TimeSig_4/4 Pos_0 Tempo_120 Program_40 Velocity_20 Pitch_69 Duration_12 Pos_12 Pitch_71 Duration_12"


def test_improvise_to_the_letter():
    [example] = Improvise("folk", "remi").examples(piece(tune([69, 71])))
    assert example == ("improvise folk", OPENING)


def test_compose_to_the_letter():
    score = tune([69, 71])
    [example] = Compose("remi").examples(piece(score, caption="A short  tune\nfor the fiddle."))
    assert example == ("compose: A short tune for the fiddle.", OPENING)
    assert list(Compose("remi").examples(piece(score, caption=""))) == []
    assert list(Compose("remi").examples(piece(score))) == []


@pytest.mark.parametrize("encoding", ["remi", "performance"])
def test_an_opening_is_no_longer_than_asked(encoding: str):
    [example] = Improvise("chorale", encoding, words=64).examples(piece(chorale(20)))
    assert 16 < len(example.targets.split()) <= 64


def test_the_model_is_asked_for_a_caption():
    asked = Compose("remi")
    with pytest.raises(ConfigError, match="no caption"):
        asked.prompts(NOTHING)
    asked = dataclasses.replace(asked, caption="Slow.")
    assert asked.prompts(NOTHING) == ["compose: Slow."]


@pytest.mark.parametrize("kind", [Improvise("folk", "remi"), Compose("remi")], ids=lambda kind: kind.kind)
def test_the_answer_stands_alone(kind: Improvise | Compose):
    score = tune([69, 71, 72])
    music = kind.music(chorale(), [encodings.get("remi").encode(score)])
    assert sounding(music.score) == sounding(score)
    assert (len(music.prompt.notes), music.repairs, music.cut) == (0, 0, None)
