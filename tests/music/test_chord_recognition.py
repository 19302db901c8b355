"""Chords are recognised from what sounds, and named as `--chords` reads them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.music import chord_recognition
from t5music.music.chord_recognition import NO_CHORD, RECOGNISED, ROOTS, NamedChord, recognise, symbols
from t5music.music.chords import QUALITIES, bars_of_chords
from t5music.music.score import DRUMS, METER, NOTE, Score

BEAT = 480
CHORDS = st.builds(NamedChord, st.integers(0, 11), st.sampled_from(RECOGNISED))


def block_chords(chords: list[NamedChord | None], meter: tuple[int, int] = (4, 4), length: int = BEAT) -> Score:
    """Each chord for one beat, in close position above its root; drums throughout."""
    notes = [(n * length, length, 38, 80, DRUMS, 1) for n in range(len(chords))]
    for number, chord in enumerate(chords):
        if chord is not None:
            notes += [(number * length, length, 48 + chord.root + step, 80, 0, 0) for step in QUALITIES[chord.quality]]
    return Score(BEAT, np.array(notes, NOTE), meters=np.array([(0, *meter)], METER), track_names=("piano", "drums"))


@given(st.lists(st.none() | CHORDS, min_size=4, max_size=16).filter(any))
def test_every_chord_in_close_position_is_recognised(chords: list[NamedChord | None]):
    bars = recognise(block_chords(chords), beats=True)
    recognised = list(itertools.chain(*bars))
    assert recognised[: len(chords)] == chords
    assert set(recognised[len(chords) :]) <= {None}


@given(st.lists(CHORDS, min_size=4, max_size=8), st.integers(-12, 12))
def test_a_transposition_has_the_chords_transposed(chords: list[NamedChord], interval: int):
    score = block_chords(chords)
    higher = [symbols(bar) for bar in recognise(score.transpose(interval), beats=True)]
    assert higher == [symbols(bar, interval) for bar in recognise(score, beats=True)]


def test_passing_notes_and_arpeggios_do_not_hide_a_chord():
    arpeggio = [(n * 240, 240, pitch, 80, 0, 0) for n, pitch in enumerate((57, 60, 64, 69, 71, 72, 64, 60))]
    assert recognise(Score(BEAT, np.array(arpeggio, NOTE)), beats=False) == [[NamedChord(9, "m")]]


def test_of_two_readings_the_bass_decides():
    """C and E alone are of C major and of A minor."""
    for bass, chord in ((48, NamedChord(0, "")), (45, NamedChord(9, "m"))):
        notes = [(0, 4 * BEAT, pitch, 80, 0, 0) for pitch in (bass, 60, 64)]
        assert recognise(Score(BEAT, np.array(notes, NOTE)), beats=False) == [[chord]]


@pytest.mark.parametrize(("meter", "beats"), [((4, 4), 4), ((3, 4), 3), ((6, 8), 2), ((3, 8), 3), ((12, 8), 4)])
def test_beats_are_those_of_the_meter(meter: tuple[int, int], beats: int):
    score = block_chords([NamedChord(0, "")] * 24, meter)
    assert {len(bar) for bar in recognise(score, beats=True)} == {beats}
    assert {len(bar) for bar in recognise(score, beats=False)} == {1}


def test_the_chords_of_some_notes_are_in_the_bars_of_all():
    score = block_chords([NamedChord(0, ""), NamedChord(7, "7")] + [NamedChord(0, "")] * 10)
    early = score.notes["onset"] < BEAT
    bars = [symbols(bar) for bar in recognise(score, early, beats=True)]
    assert bars == [("C", NO_CHORD, NO_CHORD, NO_CHORD), (NO_CHORD,), (NO_CHORD,)]


@pytest.mark.parametrize(
    ("bar", "text"), [("CCGG", "C G"), ("CCCC", "C"), ("CGCG", "C G C G"), ("CCC", "C"), ("CCG", "C C G"), ("", "")]
)
def test_a_bar_has_as_few_symbols_as_say_the_same(bar: str, text: str):
    assert " ".join(symbols([NamedChord(ROOTS.index(letter), "") for letter in bar])) == text


@given(st.lists(st.lists(st.none() | CHORDS, min_size=1, max_size=4), min_size=1, max_size=8))
def test_what_is_named_can_be_promised(bars: list[list[NamedChord | None]]):
    named = [symbols(bar) for bar in bars]
    text = chord_recognition.text_of(named)
    assert chord_recognition.bars_of(text) == tuple(named)
    assert [len(bar) for bar in bars_of_chords(text)] == [len(bar) for bar in named]


@pytest.mark.parametrize("text", ["", "|", "| |", "no chords", "| C", "|| C ||", "| C | | F |"])
def test_any_text_has_bars_of_some_kind(text: str):
    bars = chord_recognition.bars_of(text)
    assert all(" " not in symbol and "|" not in symbol for bar in bars for symbol in bar)
