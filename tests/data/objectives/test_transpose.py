"""Transposition moves every pitch word by the same interval and nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data.objectives.transpose import Transpose, transposition_room
from t5music.data.vocabulary import Vocabulary, default
from t5music.errors import ConfigError
from t5music.music import encodings


def transpose(texts: dict[str, str], seed: int, step: Transpose) -> dict[str, str]:
    vocabulary = default()
    example = {name: vocabulary.encode(text) for name, text in texts.items()}
    made = step(example, np.random.default_rng(seed), {}, vocabulary)
    return {name: vocabulary.decode(ids) for name, ids in made.items()}


def pitches(text: str) -> list[tuple[str, int]]:
    return [(name, int(pitch)) for name, pitch in re.findall(r"(\w*NOTEON|NOTE_ON|NOTE_OFF|Pitch|Drum)_(\d+)", text)]


@given(st.integers(0, 2**32))
def test_all_features_move_by_the_same_interval(seed):
    texts = {
        "inputs": "accompany: P1_NOTEON_60 WT_50 P2_NOTEON_70 TR_NOTEON_40 NO_NOTEON_3 P1_NOTEOFF",
        "targets": "NOTE_ON_61 VELOCITY_20 TIME_SHIFT_5 NOTE_OFF_61 Bar Program_3 Pitch_62 Duration_3 Drum_38 C4",
    }
    made = transpose(texts, seed, Transpose())
    before = [pair for text in texts.values() for pair in pitches(text)]
    after = [pair for text in made.values() for pair in pitches(text)]
    intervals = {b[1] - a[1] for a, b in zip(before, after, strict=True) if a[0] not in ("NO_NOTEON", "Drum")}
    still = {b[1] - a[1] for a, b in zip(before, after, strict=True) if a[0] in ("NO_NOTEON", "Drum")}
    assert len(intervals) == 1
    assert -6 <= intervals.pop() <= 6
    assert still == {0}
    for name, text in texts.items():
        assert re.sub(r"\d+", "", text) == re.sub(r"\d+", "", made[name])


@pytest.mark.parametrize(
    ("texts", "possible"),
    [
        ({"targets": "P1_NOTEON_108 WT_5"}, range(-6, 1)),  # tx1's highest pitch
        ({"targets": "P1_NOTEON_34"}, range(-1, 7)),
        ({"inputs": "TR_NOTEON_22", "targets": "P2_NOTEON_107"}, range(-1, 2)),
        ({"targets": "NOTE_ON_127 NOTE_ON_0"}, range(1)),
        ({"targets": "no music at all"}, range(-6, 7)),
    ],
)
def test_only_intervals_that_break_nothing_are_drawn_and_all_of_them(texts, possible):
    vocabulary = default()
    drawn = set()
    for seed in range(200):
        example = {name: vocabulary.encode(text) for name, text in texts.items()}
        rng = np.random.default_rng(seed)
        made = Transpose()(example, rng, {}, vocabulary)
        moved = {
            int(after - before)
            for name in texts
            for before, after in zip(example[name], made[name], strict=True)
            if transposition_room(vocabulary).pitched[before]
        }
        drawn |= moved
    assert drawn == (set(possible) if texts["targets"] != "no music at all" else set())


def test_the_interval_is_uniform():
    counts = np.zeros(13)
    vocabulary = default()
    example = {"targets": vocabulary.encode("Pitch_60")}
    for seed in range(2600):
        counts[
            (Transpose()(example, np.random.default_rng(seed), {}, vocabulary)["targets"] - example["targets"]) + 6
        ] += 1
    assert ((counts - 200) ** 2 / 200).sum() < 32.9  # 99.9 % point, 12 degrees of freedom


def test_the_ranges_of_the_default_vocabulary():
    vocabulary = default()
    pitched, down, up = transposition_room(vocabulary)
    ranges = {}
    for word_id in np.flatnonzero(pitched):
        family, pitch = vocabulary.words[word_id].rsplit("_", 1)
        ranges.setdefault(family, set()).add((int(pitch) - int(down[word_id]), int(pitch) + int(up[word_id])))
    assert {family: min(spans) for family, spans in ranges.items() if len(spans) == 1}.items() >= {
        "P1_NOTEON": (33, 108),
        "P2_NOTEON": (33, 108),
        "TR_NOTEON": (21, 108),
        "NOTE_ON": (0, 127),
        "NOTE_OFF": (0, 127),
        "Cell": (36, 81),
    }.items()
    assert set(ranges) == {"P1_NOTEON", "P2_NOTEON", "TR_NOTEON", "NOTE_ON", "NOTE_OFF", "Pitch", "Cell"}


def test_families_out_of_order_are_an_error():
    words = encodings.get("tx2").words
    with pytest.raises(ConfigError, match="the ids of tx2's words do not rise by one a semitone"):
        transposition_room(Vocabulary({"odd": ["P1_NOTEON_60"], "tx2": words}, shared=["tx2"]))


def test_intervals_must_include_none():
    with pytest.raises(ConfigError, match="low <= 0 <= high"):
        Transpose(1, 3)
