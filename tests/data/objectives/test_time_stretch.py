"""Stretching: the clock, the words, the bounds; what decoded without repairs still does."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.data.objectives import OBJECTIVES, Transpose, apply, from_config
from t5music.data.objectives.recipes import lakhnes_augmentations, music_transformer_augmentations
from t5music.data.objectives.time_stretch import TimeStretch, clock_of, clocks, retime
from t5music.data.vocabulary import Vocabulary, default
from t5music.errors import ConfigError
from t5music.music import encodings
from t5music.music.score import DRUMS, NOTE, TEMPO, Score

VOCABULARY = default()
UNITS = {"tx1": 44_100, "performance": 100}  # a second
FIVE = (0.95, 0.975, 1.0, 1.025, 1.05)


def piece(encoding: str, seed: int, notes: int = 40) -> np.ndarray:
    """The ids of random music in which instants lie at least two units of the encoding apart, or none."""
    rng = np.random.default_rng(seed)
    shortest, longest = (2, 150_000) if encoding == "tx1" else (1000, 120_000)
    rows = []
    for voice, program in enumerate((80, 81, 38, DRUMS)):
        edges = np.cumsum(np.exp(rng.uniform(np.log(shortest), np.log(longest), 2 * (notes // 4))).astype(int))
        for start, end in edges.reshape(-1, 2) // shortest * shortest:
            pitch = rng.integers(1, 17) if program == DRUMS else rng.integers(33, 109)
            rows.append((start, max(end - start, shortest), pitch, rng.integers(1, 128), program, voice))
    changes = np.array([(tick, rng.integers(250_000, 1_500_000)) for tick in (0, 30_000, 200_000)], TEMPO)
    tempos = changes[:0] if encoding == "tx1" else changes
    score = Score(22_050, np.array(rows, NOTE), tempos=tempos, track_names=("p1", "p2", "tr", "no"))
    return VOCABULARY.encode_events(encoding, encodings.get(encoding).encode(score))


def stretched(ids: np.ndarray, factor: float) -> np.ndarray:
    return TimeStretch(factor, factor)({"targets": ids}, np.random.default_rng(0), {}, VOCABULARY)["targets"]


@pytest.mark.parametrize(
    ("factor", "before", "after"),
    [
        (1.05, "WT_100 P1_NOTEON_60 WT_1000 P1_NOTEOFF", "WT_110 P1_NOTEON_60 WT_1000 P1_NOTEOFF"),
        # 1050 samples each: 1100 and then back to 2100, 3150 by way of 3200, and so on
        (1.05, "WT_1000 TR_NOTEON_40 " * 4, "WT_1100 TR_NOTEON_40 WT_1000 TR_NOTEON_40 " * 2),
        (0.95, "P1_NOTEON_60 WT_1 P1_NOTEON_62 WT_1 P1_NOTEOFF", "P1_NOTEON_60 WT_1 P1_NOTEON_62 WT_1 P1_NOTEOFF"),
        (1.0, "WT_50 WT_60 P2_NOTEOFF WT_20 WT_3", "WT_110 P2_NOTEOFF WT_23"),
        (1.05, "WT_100000 P1_NOTEOFF", "WT_100000 WT_5000 P1_NOTEOFF"),
        (1.0, "WT_50000 WT_50000 WT_60000 WT_61000 P1_NOTEOFF", "WT_100000 WT_100000 WT_21000 P1_NOTEOFF"),
        (0.95, "WT_100000 WT_100000 WT_5000 P1_NOTEOFF", "WT_100000 WT_95000 P1_NOTEOFF"),
        (0.95, "NOTE_ON_60 TIME_SHIFT_100 NOTE_OFF_60", "NOTE_ON_60 TIME_SHIFT_95 NOTE_OFF_60"),
        (1.05, "TIME_SHIFT_100 NOTE_OFF_60 TIME_SHIFT_7", "TIME_SHIFT_100 TIME_SHIFT_5 NOTE_OFF_60 TIME_SHIFT_7"),
        # at 9.5, 19, 28.5, 38 steps
        (0.95, "TIME_SHIFT_10 x " * 4, "TIME_SHIFT_10 x TIME_SHIFT_9 x TIME_SHIFT_9 x TIME_SHIFT_10 x"),
        (0.95, "NOTE_ON_60 TIME_SHIFT_1 NOTE_OFF_60", "NOTE_ON_60 TIME_SHIFT_1 NOTE_OFF_60"),
        (0.3, "NOTE_ON_60 TIME_SHIFT_1 NOTE_OFF_60 TIME_SHIFT_9", "NOTE_ON_60 TIME_SHIFT_1 NOTE_OFF_60 TIME_SHIFT_2"),
        (1.05, "Bar TimeSig_4/4 Pos_0 Tempo_120 Pitch_60", "Bar TimeSig_4/4 Pos_0 Tempo_114 Pitch_60"),
        (0.95, "Pos_0 Tempo_40 Pos_5 Tempo_320 Pos_6 Tempo_20", "Pos_0 Tempo_42 Pos_5 Tempo_320 Pos_6 Tempo_21"),
        (0.95, "continue nes: a WT_200 b", "continue nes: a WT_190 b"),
        (0.95, "", ""),
    ],
)
def test_literal(factor, before, after):
    made = stretched(VOCABULARY.encode(before.strip()), factor)
    assert made.dtype == np.int32
    assert VOCABULARY.decode(made) == after.strip()


@settings(max_examples=40)
@given(st.sampled_from(["tx1", "performance", "remi"]), st.integers(0, 2**32), st.floats(0.9, 1.1))
def test_music_keeps_its_notes_and_follows_the_clock(name, seed, factor):
    encoding = encodings.get(name)
    ids = piece(name, seed)
    events, after = (VOCABULARY.decode_events(name, array) for array in (ids, stretched(ids, factor)))
    assert encoding.decode(events).repairs == 0
    assert encoding.decode(after).repairs == 0
    timeless = np.array([not word.startswith(("WT", "TIME", "Tempo")) for word in encoding.words])
    silent = [timeless[events], timeless[after]]
    assert np.array_equal(events[silent[0]], after[silent[1]])
    times = [encoding.times(array)[:-1][here] for array, here in zip((events, after), silent, strict=True)]
    if name == "remi":
        assert times[1] == pytest.approx(times[0] * factor, rel=0.03)  # within what the tempo words round
    else:
        off = np.abs(times[1] - times[0] * factor) * UNITS[name]
        assert off.max() <= (500.5 if name == "tx1" else 1.5)


@settings(max_examples=20)
@given(st.sampled_from(["tx1", "performance", "remi"]), st.integers(0, 2**32))
def test_a_factor_of_one_changes_nothing(name, seed):
    ids = piece(name, seed)
    assert np.array_equal(stretched(ids, 1.0), ids)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([1, 2, 9, 100, 110, 990, 10_000, 99_000, 100_000]), max_size=60), st.integers(0, 2**32))
def test_waits_that_meet_need_no_more_words(waits, seed):
    rng = np.random.default_rng(seed)
    words = [
        word for wait in waits for word in ([f"WT_{wait}", "P1_NOTEOFF"] if rng.random() < 0.3 else [f"WT_{wait}"])
    ]
    ids = VOCABULARY.encode(" ".join(words))
    clock = clock_of(VOCABULARY, encodings.get("tx1"))
    retimed = retime(ids, clock)
    assert len(retimed) <= len(ids)
    assert abs(int(clock.waits[retimed].sum()) - sum(waits)) <= 500


def test_encodings_that_wait_with_the_same_words_are_stretched_once():
    assert [VOCABULARY.words[clock.word] for clock in clocks(VOCABULARY)] == ["WT_100000", "TIME_SHIFT_100"]


def test_features_get_one_factor_and_clocks_of_their_own():
    text = "WT_100000 P1_NOTEON_60 WT_100000"
    example = {"inputs": VOCABULARY.encode(text), "targets": VOCABULARY.encode(text), "piece": "a name"}
    drawn = set()
    for seed in range(50):
        made = TimeStretch(0.9, 0.99)(example, np.random.default_rng(seed), {}, VOCABULARY)
        assert np.array_equal(made["inputs"], made["targets"])
        assert made["piece"] == "a name"
        drawn.add(VOCABULARY.decode(made["inputs"]).split()[0])
    assert drawn == {f"WT_{n}000" for n in range(90, 100)}  # every one of them in 50 draws of this seed
    assert VOCABULARY.decode(example["inputs"]) == text


def test_steps_are_music_transformers_five():
    ids = VOCABULARY.encode("TIME_SHIFT_40 NOTE_ON_60")
    drawn = [
        VOCABULARY.decode(TimeStretch(steps=5)({"targets": ids}, np.random.default_rng(i), {}, VOCABULARY)["targets"])
        for i in range(500)
    ]
    counts = [drawn.count(f"TIME_SHIFT_{round(40 * factor)} NOTE_ON_60") for factor in FIVE]
    assert sum(counts) == 500
    assert min(counts) > 60


def test_what_fits_is_not_stretched_beyond_its_length():
    ids = VOCABULARY.encode("WT_100000 P1_NOTEON_60 WT_100000 P1_NOTEOFF")  # 4 words, or 6 when slower
    for length, changed in ((5, False), (6, False), (7, True), (4, True)):  # with EOS; 4: it never fitted
        made = TimeStretch(1.05, 1.05)({"targets": ids}, np.random.default_rng(0), {"targets": length}, VOCABULARY)
        assert (len(made["targets"]) == 6) == changed


@pytest.mark.parametrize("fields", [{"low": 0.0}, {"low": 1.1, "high": 1.0}, {"steps": 1}])
def test_impossible_fields(fields):
    with pytest.raises(ConfigError, match="time_stretch needs"):
        TimeStretch(**fields)


def test_vocabularies_without_time():
    none = Vocabulary({"odd": ["Pitch_1", "Pitch_2"]})
    ids = none.encode("Pitch_1 Pitch_2")
    made = TimeStretch()({"targets": ids}, np.random.default_rng(0), {}, none)
    assert np.array_equal(made["targets"], ids)


def test_recipes():
    for recipe in (lakhnes_augmentations(), music_transformer_augmentations()):
        assert [from_config(step.to_config()) for step in recipe] == list(recipe)
        assert {step.name for step in recipe} <= set(OBJECTIVES)
    assert [step.name for step in lakhnes_augmentations()] == [
        "keep_voices",
        "swap_pulses",
        "transpose",
        "time_stretch",
    ]
    ids = np.tile(piece("performance", 1, 400), 5)
    example = {"inputs": ids[:0], "targets": ids}
    lengths = {"inputs": 8, "targets": 2049}
    steps = music_transformer_augmentations()
    made = apply(steps, example, np.random.default_rng(3), lengths, VOCABULARY)
    assert len(made["targets"]) == 2048
    assert steps[0] == Transpose(-3, 3)


def test_the_lakhnes_recipe_takes_a_fraction_of_a_millisecond():
    example = {"inputs": VOCABULARY.encode("continue nes:"), "targets": piece("tx1", 5, 200)[:512]}
    took = []
    for seed in range(20):
        begun = time.perf_counter()
        apply(lakhnes_augmentations(), example, np.random.default_rng(seed), {"targets": 1024}, VOCABULARY)
        took.append(time.perf_counter() - begun)
    assert len(example["targets"]) == 512
    assert min(took) < 0.003  # about 0.2 ms on an idle core
