"""Bars: what is given out while a model writes is what it has written at the end, for every kind of task."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.data.examples import Accompany, Continue, Improvise, Infill
from t5music.inference import bars as bars_module
from t5music.inference.bars import Bars
from t5music.inference.model import Model
from t5music.music.score import Score

TASKS = {
    "continue": Continue("pop", "remi", words=60),
    "infill": Infill("pop", "remi", words=80),
    "accompany": Accompany("pop", "remi", ("melody",), bars=2),
    "improvise": Improvise("pop", "remi"),
    "tx1": Continue("nes", "tx1", words=60),
    "performance": Continue("piano", "performance", words=60),
    "between": Infill("piano", "performance", words=80),
}


@pytest.fixture(scope="module")
def models() -> dict[int, Model]:
    return {seed: Model(tiny_models.trained(TASKS, seed), "tiny") for seed in range(2)}


def notes_of(task: str) -> Score | None:
    """Music for a task; that of the NES has one note at a time."""
    score = tiny_models.band(bars=3)
    if task == "tx1":
        return score.with_notes(score.notes[score.notes["track"] == 0])
    return None if task == "improvise" else score


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=5)
@given(
    seed=st.integers(0, 1000),
    words=st.sampled_from([1, 24]),
    weights=st.integers(0, 1),
    at_once=st.sampled_from([1, 5]),
)
def test_the_bars_together_are_the_result(models, task, seed, words, weights, at_once):
    model = models[weights]
    sampling = {"seed": seed, "words": words, "temperature": 1.0}
    former, bars_module.WORDS_AT_ONCE = bars_module.WORDS_AT_ONCE, at_once
    try:
        bars = Bars(model.ask(notes_of(task), task=task), **sampling)
        written = list(bars)
    finally:
        bars_module.WORDS_AT_ONCE = former
    whole = model.write(notes_of(task), task=task, **sampling)
    assert bars.result is not None
    assert bars.result.data == whole.data
    notes = np.concatenate([bar.notes for bar in written]) if written else whole.notes[:0]
    assert notes.tolist() == whole.notes.tolist()
    numbers = [bar.number for bar in written]
    assert numbers == sorted(set(numbers))
    for bar in written:
        begins = whole.score.seconds(bar.notes["onset"])
        assert ((begins >= bar.seconds[0] - 1e-9) & (begins < bar.seconds[1])).all()


def test_bars_come_before_the_end(models, monkeypatch):
    monkeypatch.setattr(bars_module, "WORDS_AT_ONCE", 4)
    begins_early = False
    for seed in range(8):
        bars = models[0].stream(None, task="improvise", words=60, temperature=1.0, seed=seed)
        steps = [bars.words for _ in bars]
        begins_early |= len(steps) > 1 and steps[0] < bars.words
    assert begins_early


def test_it_stops_where_it_is_told_to(models):
    stopped = []
    bars = models[0].stream(None, task="improvise", temperature=1.0, is_stopped=lambda: len(stopped) > 0)
    stopped.append(True)
    assert list(bars) == []
    assert bars.result is None
