"""Cutting words: waits, bars and windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_scores import BAR, NOTHING, chorale, tune

from t5music.data.examples import cutting
from t5music.music import encodings
from t5music.music.encodings.remi.bars import opened
from t5music.music.score import METER

REMI = encodings.get("remi")


@given(st.sampled_from(["tx1", "performance"]), st.integers(0, 3_000_000))
def test_silence_lasts_as_long_as_asked_in_few_words(name: str, units: int):
    encoding = encodings.get(name)
    words = encoding.silence(units)
    assert encoding.waits[words].sum() == units
    assert encoding.units(encoding.times(words)[-1]) == units
    longest = encoding.waits.max()
    assert len(words) <= units // longest + 4  # tx1 counts in four steps: 1000, 100, 10 and 1


def test_cuts_are_bar_lines_and_the_ends_of_waits():
    events = REMI.encode(chorale(3))
    assert [REMI.words[events[place]] for place in REMI.cuts(events)] == ["Bar", "Bar"]
    clock = encodings.get("performance")
    events = clock.from_text("TIME_SHIFT_5 NOTE_ON_60 TIME_SHIFT_9 NOTE_OFF_60 TIME_SHIFT_2")
    assert clock.cuts(events).tolist() == [1, 3]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("Tempo_60", "Bar TimeSig_4/4 Pos_3", "Bar TimeSig_4/4 Pos_0 Tempo_60 Pos_3"),
        ("Tempo_60 Tempo_62", "Bar TimeSig_4/4 Pos_0 Pitch_60", "Bar TimeSig_4/4 Pos_0 Tempo_62 Pitch_60"),
        ("Tempo_60", "Bar TimeSig_4/4 Pos_0 Tempo_62", "Bar TimeSig_4/4 Pos_0 Tempo_62"),
        ("Pos_0", "Bar TimeSig_4/4", "Bar TimeSig_4/4"),
        ("Tempo_60", "", ""),
    ],
)
def test_music_opens_with_the_tempo_in_force(before: str, after: str, expected: str):
    music = opened(REMI.from_text(before), REMI.from_text(after))
    assert REMI.to_text(music) == expected


def test_windows_are_whole_bars_and_the_last_is_what_is_left():
    assert cutting.bar_windows(chorale(5), 2) == [(0, 2 * BAR), (2 * BAR, 4 * BAR), (4 * BAR, 5 * BAR)]
    assert cutting.bar_windows(tune([60] * 5), 1) == [(0, BAR), (BAR, 2 * BAR)]
    assert cutting.bar_windows(NOTHING, 2) == []
    waltz = tune([60] * 6)
    waltz = type(waltz)(480, waltz.notes, meters=np.array([(0, 3, 4)], METER))
    assert cutting.bar_windows(waltz, 1) == [(0, 1440), (1440, 2880)]
