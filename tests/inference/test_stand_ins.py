"""Instruments that a model has never heard are asked about, and written, as those that it knows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from t5music.data.examples import Classify
from t5music.inference import embed, labels
from t5music.inference.model import Model
from t5music.inference.stand_ins import stand_ins, with_stand_ins
from t5music.model import decoding
from t5music.music import encodings
from t5music.music.score import DRUMS, Score

PIANO, GUITAR, BASS, VIOLIN, CELLO, CHOIR, OOHS = 0, 24, 32, 40, 42, 52, 53
PROGRAMS = st.sets(st.integers(0, DRUMS), max_size=8)


def played_by(score: Score, program: int) -> Score:
    notes = score.notes[score.notes["program"] != DRUMS].copy()
    notes["program"] = program
    return score.with_notes(notes)


@pytest.mark.parametrize(
    ("programs", "known", "expected"),
    [
        ([OOHS], [PIANO, VIOLIN, CHOIR], {OOHS: CHOIR}),  # the family's
        ([GUITAR], [PIANO, VIOLIN], {GUITAR: VIOLIN}),  # the nearest
        ([VIOLIN, CELLO + 1], [VIOLIN, CELLO], {CELLO + 1: CELLO}),
        ([CHOIR, OOHS], [CHOIR], {OOHS: CHOIR}),  # shared, where no other is left
        ([CHOIR, OOHS], [CHOIR, VIOLIN], {OOHS: VIOLIN}),
        ([GUITAR, BASS], [PIANO, VIOLIN], {GUITAR: VIOLIN, BASS: PIANO}),
        ([PIANO, DRUMS], [PIANO], {}),
        ([DRUMS], [PIANO], {}),
        ([GUITAR], [], {}),
        ([GUITAR], [DRUMS], {}),
    ],
)
def test_the_nearest_that_is_free_stands_in(programs: list[int], known: list[int], expected: dict[int, int]):
    assert stand_ins(programs, known) == expected


@given(programs=PROGRAMS, known=PROGRAMS)
def test_whatever_is_not_known_has_one_that_is(programs: set[int], known: set[int]):
    chosen = stand_ins(programs, known)
    assert set(chosen) == (programs - known - {DRUMS} if known - {DRUMS} else set())
    assert set(chosen.values()) <= known - {DRUMS}
    free = known - programs - {DRUMS}
    assert len(set(chosen.values()) & free) == min(len(free), len(chosen)), "free ones are taken first"


def test_music_for_a_strange_instrument_goes_on_as_it_would_for_the_one_that_stands_in():
    knows = dataclasses.replace(tiny_models.trained(tiny_models.ABILITIES), programs=(VIOLIN,))
    known, strange = (played_by(tiny_models.band(), program) for program in (VIOLIN, OOHS))
    expected, result = (Model(knows, "tiny").continue_(music, temperature=0, words=60) for music in (known, strange))
    new, other = result.score.notes[result.is_new], expected.score.notes[expected.is_new]
    assert len(new)
    assert set(new["program"].tolist()) == {OOHS}
    for field in ("onset", "duration", "pitch", "velocity"):
        np.testing.assert_array_equal(new[field], other[field])
    remark = "Voice Oohs is new to the model, which reads and writes it as Violin"
    assert remark in result.remarks
    assert remark not in expected.remarks
    unknown = Model(dataclasses.replace(knows, programs=None), "tiny").continue_(strange, temperature=0, words=60)
    assert not np.array_equal(unknown.score.notes[unknown.is_new]["pitch"], new["pitch"])


def test_an_instrument_that_is_asked_for_has_one_too():
    knows = dataclasses.replace(tiny_models.trained(tiny_models.ABILITIES), programs=(PIANO, VIOLIN))
    music = played_by(tiny_models.band(), PIANO)
    result = Model(knows, "tiny").continue_(music, seed=1, words=60, instruments="flute")
    assert "Flute is new to the model, which reads and writes it as Violin" in result.remarks


def test_the_strange_instrument_has_the_probabilities_of_the_one_that_stands_in():
    knows = dataclasses.replace(tiny_models.trained(tiny_models.ABILITIES), programs=(VIOLIN, CELLO))
    words, ids = encodings.get("remi").words, knows.vocabulary.event_ids("remi")
    violin, cello, guitar = (int(ids[words.index(f"Program_{program}")]) for program in (VIOLIN, CELLO, GUITAR))
    trained, _ = with_stand_ins(knows, [GUITAR, VIOLIN])  # the cello is free
    expected, scores = (
        decoding.token_scores(model, np.array([[violin, row, 1]]), np.array([[row, violin, 1]]))
        for model, row in ((knows.model, cello), (trained.model, guitar))
    )
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("encoding", ["remi", "performance"])
def test_what_is_classified_or_embedded_is_read_as_music_for_known_instruments(encoding: str):
    task = Classify("composer", ("bach", "abba"), encoding)
    knows = dataclasses.replace(tiny_models.trained({"classify_composer": task}), programs=(VIOLIN,))
    known, strange = (played_by(tiny_models.band(), program) for program in (VIOLIN, OOHS))
    assert labels.ranked(knows, task, strange, "strange") == labels.ranked(knows, task, known, "known")
    settings = embed.settings_of(knows, "tiny")
    segments = [embed.segments_of(score, knows, settings, "music") for score in (known, strange)]
    np.testing.assert_array_equal(*embed.vectors_of(knows, settings, segments))
    unknown = dataclasses.replace(knows, programs=None)
    differ = labels.ranked(unknown, task, strange, "strange") != labels.ranked(unknown, task, known, "known")
    assert differ == (encoding == "remi"), "the other says no programs"


def test_a_model_that_knows_all_of_them_is_itself():
    knows = dataclasses.replace(tiny_models.trained(tiny_models.ABILITIES), programs=(PIANO, VIOLIN))
    for trained in (knows, dataclasses.replace(knows, programs=None)):
        model, remarks = with_stand_ins(trained, [PIANO, DRUMS])
        assert model is trained
        assert not remarks
    before = np.array(knows.model.embedding[...])
    with_stand_ins(knows, [GUITAR])
    np.testing.assert_array_equal(knows.model.embedding[...], before)
