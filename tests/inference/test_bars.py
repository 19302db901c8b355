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
from t5music.inference.result import Result
from t5music.music.score import NOTE, Score

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


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=[] if task in ("continue", "performance") else [pytest.mark.slow]) for task in TASKS],
)
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


@pytest.mark.parametrize(("bars_long", "settled"), [(0.25, 3), (1, 3), (3, 1), (9, 0)])
def test_a_bar_is_given_out_once_nothing_in_it_can_change(bars_long: float, settled: int):
    """Quarters over four bars, and one note that begins with the second bar, or with the first where it is longest."""
    begin = 0 if bars_long > 4 else 1920
    rows = [(480 * beat, 240, 60, 80, 0, 0) for beat in range(16)] + [(begin, int(1920 * bars_long), 40, 80, 0, 0)]
    score = Score(480, np.array(rows, NOTE))
    result = Result(b"", score, np.ones(len(rows), bool), 0)
    bars = bars_module._new_bars(result)
    assert [bar.number for bar in bars] == [1, 2, 3, 4]
    assert bars_module._settled(result, bars) == settled


def test_it_stops_where_it_is_told_to(models):
    stopped = []
    bars = models[0].stream(None, task="improvise", temperature=1.0, is_stopped=lambda: len(stopped) > 0)
    stopped.append(True)
    assert list(bars) == []
    assert bars.result is None
