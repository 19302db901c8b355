"""Long music by windows: each answer begins with the last bar of the one before, and nothing is written twice."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import tiny_models

from t5music.data.examples import Accompany, Continue, Improvise, Infill
from t5music.inference import answers
from t5music.inference.likelihoods import Exchange
from t5music.inference.model import Model
from t5music.music import encodings
from t5music.music.encodings.base import Events
from t5music.music.encodings.remi.words import BAR, FIRST

REMI = encodings.get("remi")
TASKS = {
    "continue": Continue("pop", "remi", words=200),
    "improvise": Improvise("pop", "remi"),
    "play_on": Continue("piano", "performance", words=100),
    "infill": Infill("pop", "remi", words=240),
    "accompany": Accompany("pop", "remi", ("melody",), bars=2),
}


@pytest.fixture(scope="module")
def model() -> Model:
    trained = dataclasses.replace(tiny_models.trained(TASKS), lengths={"inputs": 512, "targets": 192})
    return Model(trained, "tiny")


def events_of(model: Model, exchange: Exchange, encoding: str = "remi") -> Events:
    """What was written, up to the end of its last note."""
    events = model.trained.vocabulary.decode_events(encoding, exchange.written[0])
    return answers._to_last_note(encoding, events[:-1] if events[-1] == FIRST[BAR] else events)


@pytest.mark.parametrize("task", ["continue", pytest.param("improvise", marks=pytest.mark.slow)])
def test_an_answer_goes_on_from_the_last_bar_of_the_one_before(model: Model, task: str):
    music = None if task == "improvise" else tiny_models.band(bars=4)
    result = model.write(music, task=task, length="30 bars", density="2-8", key="C major")
    assert len(result.exchanges) > 2
    written = events_of(model, result.exchanges[0])
    for before, exchange in itertools.pairwise(result.exchanges):
        ending = events_of(model, before)
        last_bar = ending[np.flatnonzero(ending == FIRST[BAR])[-1] :]
        prefix = model.trained.vocabulary.decode_events("remi", exchange.prefix[0])
        assert prefix.tolist() == [*last_bar, FIRST[BAR]]
        assert not exchange.is_counted()[0, : len(prefix)].any()
        events = events_of(model, exchange)
        assert events[: len(prefix)].tolist() == prefix.tolist()
        written = np.concatenate([written, events[len(last_bar) :]])
    assert int((written == FIRST[BAR]).sum()) == 30
    notes = REMI.decode(written).score.notes
    assert sorted(notes["pitch"].tolist()) == sorted(result.notes["pitch"].tolist())


def test_a_bar_that_would_fill_an_answer_is_not_given(model: Model):
    long_bar = np.concatenate([REMI.encode(tiny_models.band(bars=1))] * 2)
    short, room = REMI.encode(tiny_models.band(bars=2)), 400
    before, begin = answers._last_bar("remi", short, room)
    assert [*before, *begin[:-1]] == short.tolist()
    assert begin[-1] == begin[0] == FIRST[BAR]
    assert (begin == FIRST[BAR]).sum() == 2
    for events, here in ((short, 4 * (len(begin) - 1)), (long_bar[: len(long_bar) // 2], room)):
        before, begin = answers._last_bar("remi", events, here)
        assert before.tolist() == events.tolist()
        assert not len(begin)


def test_music_without_bars_goes_on_from_its_end(model: Model):
    result = model.write(tiny_models.band(bars=2), task="play_on", length="20 s")
    assert len(result.exchanges) > 1
    assert all(not exchange.prefix.any() for exchange in result.exchanges[1:])


@pytest.mark.parametrize("task", ["infill", "accompany"])
def test_an_answer_has_the_bars_that_it_belongs_to(model: Model, task: str):
    """Where there is no room for all, it ends earlier."""
    band, kind = tiny_models.band(bars=6), TASKS[task]
    windows = [len(window) for _, window in kind.windows(band)]
    assert max(windows) > 1
    for seed in range(3):
        written = answers.answer_in_words(model.trained, kind, band, "band", seed=seed, temperature=1.0)[1][0].written
        for row, count in zip(written, windows, strict=True):
            bars = int((model.trained.vocabulary.decode_events("remi", row) == FIRST[BAR]).sum())
            assert bars - count in (0, 1)  # a Bar behind the last one ends
    short = answers.answer_in_words(model.trained, kind, band, "band", temperature=1.0, words=6)[1][0].written
    assert short.shape[1] <= 6
