"""SelectBars: windows of satb's words that begin with a bar."""

from __future__ import annotations

import numpy as np
import pytest

from t5music.data import objectives
from t5music.data.objectives import LanguageModel, SelectBars
from t5music.data.vocabulary import default
from t5music.errors import ConfigError

LENGTHS = {"inputs": 2, "targets": 151}


def windows(length: int, room: int, draws: int = 200) -> list[tuple[int, int]]:
    """(begin, end) of windows of a piece whose tokens are their own places."""
    step, rng = SelectBars(length=room), np.random.default_rng(0)
    chosen = [step({"targets": np.arange(length)}, rng, LENGTHS, default())["targets"] for _ in range(draws)]
    assert all(np.array_equal(window, np.arange(window[0], window[-1] + 1)) for window in chosen)
    return [(int(window[0]), int(window[-1]) + 1) for window in chosen]


def test_windows_begin_with_bars_and_every_token_is_in_one():
    for length, room in ((1000, 150), (130, 128), (64 * 5, 64), (64 * 5, 40)):
        chosen = windows(length, room)
        assert {begin % 64 for begin, _ in chosen} == {0}
        assert all(0 < end - begin <= room for begin, end in chosen)
        assert all(end - begin == min(room, length - begin) for begin, end in chosen)
        if room >= 64:
            assert set().union(*(range(*window) for window in chosen)) == set(range(length))


def test_a_piece_that_fits_stays_whole():
    assert set(windows(150, 150)) == {(0, 150)}


def test_it_takes_the_length_of_the_step_that_follows():
    steps = (SelectBars(), LanguageModel())
    example = objectives.apply(steps, {"targets": np.arange(500)}, np.random.default_rng(3), LENGTHS, default())
    assert len(example["targets"]) <= 150
    assert example["targets"][0] % 64 == 0
    assert len(example["inputs"]) == 0
    with pytest.raises(ConfigError, match="select_bars without a length must be followed by a step"):
        SelectBars()({"targets": np.arange(9)}, np.random.default_rng(0), LENGTHS, default())
    assert objectives.from_config(SelectBars().to_config()) == SelectBars()
