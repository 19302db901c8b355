"""Fewer voices and exchanged pulses: what the same music without them, or with other names, would be encoded as."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.data.objectives import from_config
from t5music.data.objectives.nes_voices import KeepVoices, SwapPulses
from t5music.data.vocabulary import Vocabulary, default
from t5music.errors import ConfigError
from t5music.music import encodings
from t5music.music.encodings.tx1.encoding import VOICES
from t5music.music.encodings.tx2.encoding import TX2
from t5music.music.score import DRUMS, METER, NOTE, Score

VOCABULARY = default()
TX1 = encodings.get("tx1")
EXPRESSIVE = Vocabulary({"tx2": TX2().words})


@st.composite
def nes_scores(draw: st.DrawFn) -> Score:
    """Up to four voices, with waits of at most 24 samples, which tx1 says exactly; the last meter is where all ends."""
    rows = []
    for voice, program in enumerate((80, 81, 38, DRUMS)):
        gaps = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 8), st.integers(1, 16)), max_size=6))
        now = 0
        for rest, last, pitch in gaps:
            volume = draw(st.integers(16, 127))
            rows.append((now + rest, last, pitch + (0 if voice == 3 else 40), volume, program, voice))
            now += rest + last
    names = ("p1", "p2", "tr", "no")
    return Score(22_050, np.array(rows, NOTE), meters=np.array([(73, 1, 1)], METER), track_names=names)


def ids_of(score: Score) -> np.ndarray:
    return VOCABULARY.encode_events("tx1", TX1.encode(score))


def made_by(step, texts: dict[str, str], seed: int, vocabulary: Vocabulary = VOCABULARY) -> dict[str, str]:
    example = {name: vocabulary.encode(text) for name, text in texts.items()}
    made = step(example, np.random.default_rng(seed), {}, vocabulary)
    return {name: vocabulary.decode(ids) for name, ids in made.items()}


@given(nes_scores(), st.integers(0, 2**32))
def test_dropped_voices_leave_what_the_others_would_be_encoded_as(score, seed):
    ids = ids_of(score)
    made = KeepVoices(1.0)({"targets": ids}, np.random.default_rng(seed), {}, VOCABULARY)["targets"]
    sounding = set(TX1.decode(VOCABULARY.decode_events("tx1", made)).score.notes["track"].tolist())
    kept = score.with_notes(score.notes[np.isin(score.notes["track"], list(sounding))])
    assert np.array_equal(made, ids_of(kept))
    assert bool(sounding) == bool(len(score.notes))
    assert TX1.decode(VOCABULARY.decode_events("tx1", made)).repairs == 0


@given(nes_scores())
def test_swapped_pulses_are_the_score_with_swapped_names(score):
    ids = ids_of(score)
    made = SwapPulses(1.0)({"targets": ids}, np.random.default_rng(0), {}, VOCABULARY)["targets"]
    assert np.array_equal(made, ids_of(replace(score, track_names=("p2", "p1", "tr", "no"))))
    again = SwapPulses(1.0)({"targets": made}, np.random.default_rng(0), {}, VOCABULARY)["targets"]
    assert np.array_equal(again, ids)


@settings(max_examples=30)
@given(nes_scores(), st.integers(0, 2**32))
def test_volumes_and_timbres_go_with_their_voice(score, seed):
    tx2 = TX2()
    ids = EXPRESSIVE.encode_events("tx2", tx2.encode(score))
    swapped = SwapPulses(1.0)({"targets": ids}, np.random.default_rng(0), {}, EXPRESSIVE)["targets"]
    other = replace(score, track_names=("p2", "p1", "tr", "no"))
    assert np.array_equal(swapped, EXPRESSIVE.encode_events("tx2", tx2.encode(other)))
    fewer = KeepVoices(1.0)({"targets": ids}, np.random.default_rng(seed), {}, EXPRESSIVE)["targets"]
    assert tx2.decode(EXPRESSIVE.decode_events("tx2", fewer)).repairs == 0


def test_one_to_three_voices_are_kept_and_all_choices_come():
    text = "P1_NOTEON_60 P2_NOTEON_62 TR_NOTEON_40 NO_NOTEON_3 WT_50 P1_NOTEOFF P2_NOTEOFF TR_NOTEOFF NO_NOTEOFF"
    kept = {}
    for seed in range(700):
        made = made_by(KeepVoices(1.0), {"targets": text}, seed)["targets"]
        voices = tuple(voice for voice in VOICES if f"{voice}_" in made)
        kept[voices] = kept.get(voices, 0) + 1
        assert made.count("WT_50") == 1
    by_number = [sum(count for voices, count in kept.items() if len(voices) == number) for number in (1, 2, 3)]
    assert len(kept) == 4 + 6 + 4
    assert sum(by_number) == 700
    assert min(by_number) > 180


def test_all_features_keep_the_same_voices():
    texts = {
        "inputs": "accompany nes: P1_NOTEON_60 NO_NOTEON_3 WT_50 P1_NOTEOFF NO_NOTEOFF",
        "targets": "P1_NOTEON_64 TR_NOTEON_40 WT_20 NO_NOTEON_4 TR_NOTEOFF WT_30 P1_NOTEOFF NO_NOTEOFF",
    }
    fates = {tuple(made_by(KeepVoices(1.0), texts, seed).values()) for seed in range(100)}
    both = tuple(texts.values())
    assert fates == {
        both,  # also where one of the two would have no note left
        ("accompany nes: P1_NOTEON_60 WT_50 P1_NOTEOFF", "P1_NOTEON_64 WT_50 P1_NOTEOFF"),
        ("accompany nes: NO_NOTEON_3 WT_50 NO_NOTEOFF", "WT_20 NO_NOTEON_4 WT_30 NO_NOTEOFF"),
        (
            "accompany nes: P1_NOTEON_60 WT_50 P1_NOTEOFF",
            "P1_NOTEON_64 TR_NOTEON_40 WT_20 TR_NOTEOFF WT_30 P1_NOTEOFF",
        ),
        (
            "accompany nes: NO_NOTEON_3 WT_50 NO_NOTEOFF",
            "TR_NOTEON_40 WT_20 NO_NOTEON_4 TR_NOTEOFF WT_30 NO_NOTEOFF",
        ),
        (
            "accompany nes: P1_NOTEON_60 NO_NOTEON_3 WT_50 P1_NOTEOFF NO_NOTEOFF",
            "P1_NOTEON_64 WT_20 NO_NOTEON_4 WT_30 P1_NOTEOFF NO_NOTEOFF",
        ),
    }


@pytest.mark.parametrize("step", [KeepVoices, SwapPulses])
@pytest.mark.parametrize("text", ["Bar Pos_0 Pitch_60 Duration_3", "NOTE_ON_60 TIME_SHIFT_3", "words", ""])
def test_other_music_stays(step, text):
    for seed in range(8):
        assert made_by(step(1.0), {"targets": text}, seed) == {"targets": text}


@pytest.mark.parametrize("step", [KeepVoices, SwapPulses])
def test_half_of_the_examples_by_default(step):
    text = "P1_NOTEON_60 P2_NOTEON_62 WT_50 P1_NOTEOFF P2_NOTEOFF"
    changed = sum(made_by(step(), {"targets": text}, seed)["targets"] != text for seed in range(400))
    assert 80 < changed < 240
    assert all(made_by(step(0.0), {"targets": text}, seed)["targets"] == text for seed in range(20))


@pytest.mark.parametrize("step", [KeepVoices, SwapPulses])
def test_fields(step):
    assert from_config(step(0.25).to_config()) == step(0.25)
    with pytest.raises(ConfigError, match=f"{step.name} needs a probability from 0 to 1, not 1.5"):
        step(1.5)
