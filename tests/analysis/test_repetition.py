"""Repetition: loops and the likeness of bars, of music made up by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.analysis import repetition
from t5music.analysis.repetition import bars_of, longest_loop, self_similarity, similarity_by_lag
from t5music.music.score import METER, NOTE, Score

BAR = 1920


def written(bars: str, *, length: int = 480) -> Score:
    """A bar for each letter, of four notes that the letter says; '-' is a bar of silence."""
    notes = [
        (BAR * number + 480 * beat, length, ord(letter) - 40 + beat, 64, 0, 0)
        for number, letter in enumerate(bars)
        if letter != "-"
        for beat in range(4)
    ]
    return Score(480, np.array(notes, NOTE))


@pytest.mark.parametrize(
    ("music", "bars"),
    [
        ("ABCDEFGH", 0),
        ("AABBCCDD", 0),  # a bar said twice is no loop
        ("ABCDABCDEF", 0),  # a repeated phrase is none, either
        ("AAAB", 3),
        ("BAAAAAC", 5),
        ("ABABAB", 6),
        ("CABABABAD", 7),  # the last time is not finished
        ("ABCABCABCAB", 11),
        ("AAAABCBCBCBC", 8),  # the longest of two
        ("ABABCABABCABABC", 15),  # with smaller loops in it
        ("A---B", 0),  # silence is no loop
        ("A-A-A-B", 6),  # but may be a part of one
        ("", 0),
    ],
)
def test_the_longest_loop(music: str, bars: int):
    assert longest_loop(bars_of(written(music))) == bars


def test_a_note_that_is_held_over_bars_is_no_loop():
    assert longest_loop(bars_of(written("A---------B", length=10 * BAR))) == 0


@given(pattern=st.text("ABC", min_size=1, max_size=4), times=st.integers(3, 6), before=st.text("XYZ", max_size=3))
def test_a_pattern_that_is_repeated_is_found_whatever_comes_before(pattern: str, times: int, before: str):
    assert longest_loop(bars_of(written(before + times * pattern))) >= times * len(pattern)


@given(music=st.text("ABC-", max_size=14))
def test_the_longest_loop_by_trying_all(music: str):
    music = music.strip("-")
    expected = 0
    for begin in range(len(music)):
        for end in range(begin + 3, len(music) + 1):
            part = music[begin:end]
            for period in range(1, len(part) // 3 + 1):
                pattern = part[:period]
                if part == (pattern * len(part))[: len(part)] and pattern.strip("-"):
                    expected = max(expected, len(part))
    assert longest_loop(bars_of(written(music))) == expected


def test_bars_of_other_lengths_or_durations_are_others():
    assert longest_loop(bars_of(written("AAAA"))) == 4
    longer = written("AAAA").notes.copy()
    longer["duration"][5] = 960
    assert longest_loop(bars_of(Score(480, longer))) == 0
    meters = np.array([(0, 4, 4), (2 * BAR, 2, 4)], METER)
    assert [bar.steps for bar in bars_of(Score(480, written("AAAA").notes, meters=meters))] == [48, 48, 24, 24, 24, 24]


def test_small_deviations_velocities_and_tracks_do_not_count():
    notes = written("AAAA").notes.copy()
    notes["onset"][1::3] += 15
    notes["velocity"] = np.arange(len(notes)) + 1
    notes["track"] = np.arange(len(notes)) % 2
    assert longest_loop(bars_of(Score(480, notes))) == 4


def test_likeness_of_bars_by_hand():
    notes = written("ABA").notes.copy()
    notes["pitch"][8] += 20  # of the last bar three notes are those of the first: 3 of 5
    lags = similarity_by_lag(bars_of(Score(480, notes)))
    # B's notes begin a semitone higher, so each is another; at a lag of one nothing is shared.
    assert lags[:2] == pytest.approx([0, 3 / 5])
    assert np.isnan(lags[2:]).all()
    assert self_similarity(bars_of(Score(480, notes))) == pytest.approx(3 / 10)


def test_one_bar_and_no_bar_have_no_likeness():
    for music in ("", "A"):
        bars = bars_of(written(music))
        assert math.isnan(self_similarity(bars))
        assert math.isnan(repetition.groove_consistency(bars))
        assert np.isnan(similarity_by_lag(bars)).all()


def test_a_file_of_millions_of_bars_is_not_taken_apart():
    notes = np.array([(0, 10, 60, 64, 0, 0), (10**12, 10, 60, 64, 0, 0)], NOTE)
    assert bars_of(Score(1, notes)) == []
