"""Beams: those of music21, by an example for each meter, and what must hold of any music."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.music.musicxml import to_bytes
from t5music.music.musicxml.beams import Written, beams
from t5music.music.musicxml.layout import Bar
from t5music.music.musicxml.notation import SHORT_TYPES, Value
from t5music.music.score import METER, NOTE, Score

UNITS = 32  # a quarter
KINDS = {"eighth": 16, "16th": 8, "32nd": 4, "quarter": 32}
METERS = ["2/4", "3/4", "4/4", "1/8", "3/8", "6/8", "9/8", "12/8", "5/8", "7/8", "2/2", "3/2"]


@st.composite
def voices(draw: st.DrawFn) -> tuple[Bar, list[Written]]:
    """A bar of notes and rests, dotted or not, wherever they fall."""
    count, unit = map(int, draw(st.sampled_from(METERS)).split("/"))
    bar = Bar(64, 64 + 4 * UNITS * count // unit, (count, unit), True, True)
    voice, at = [], bar.start
    while at < bar.end:
        kind = draw(st.sampled_from([kind for kind, units in KINDS.items() if units <= bar.end - at]))
        dots = int(draw(st.booleans()) and kind != "32nd" and KINDS[kind] * 3 // 2 <= bar.end - at)
        units = KINDS[kind] * 3 // 2 if dots else KINDS[kind]
        voice.append(Written(at, Value(units, kind, dots, None), (0,) if draw(st.integers(0, 4)) else ()))
        at += units
    return bar, voice


@given(voices())
def test_every_beam_that_begins_ends_and_joins_notes_that_follow_each_other(music: tuple[Bar, list[Written]]):
    bar, voice = music
    signs = beams(voice, bar, UNITS)
    short = list(SHORT_TYPES.values())
    for level in range(3):
        joined = False
        for written, levels in zip(voice, signs, strict=True):
            assert len(levels) in ((0, short.index(written.value.type) + 1) if written.value.type in short else (0,))
            sign = levels[level] if level < len(levels) else None
            assert (sign in ("continue", "end")) == joined, "a beam goes on from note to note until it ends"
            joined = sign in ("begin", "continue")
            assert written.notes or not levels
            assert level or "hook" not in (sign or "")
        assert not joined
    for levels in signs:  # a finer beam is only where a coarser one is
        whole = [level for level, sign in enumerate(levels) if "hook" not in sign]
        assert whole == list(range(len(whole)))


def _rhythm(meter: str, seed: int) -> list[int]:
    """Eighths and pairs of sixteenths on their grids, a bar full, in units."""
    count, unit = map(int, meter.split("/"))
    random = np.random.default_rng(seed)
    pieces = [[16], [8, 8], [16], [8, 8]]
    return [length for _ in range(8 * count // unit) for length in pieces[random.integers(4)]]


@pytest.mark.parametrize("meter", [meter for meter in METERS if meter not in ("1/8", "2/2", "3/2")])
@pytest.mark.parametrize("seed", range(3))
def test_beams_are_those_of_music21(meter: str, seed: int):
    music21 = pytest.importorskip("music21")
    lengths = _rhythm(meter, seed)
    starts = list(itertools.accumulate([64, *lengths[:-1]]))
    names = {units: kind for kind, units in KINDS.items()}
    voice = [Written(at, Value(units, names[units], 0, None), (0,)) for at, units in zip(starts, lengths, strict=True)]
    count, unit = map(int, meter.split("/"))
    ours = beams(voice, Bar(64, starts[-1] + lengths[-1], (count, unit), True, True), UNITS)
    of_music21 = music21.meter.TimeSignature(meter).getBeams(
        [music21.note.Note(quarterLength=units / UNITS) for units in lengths]
    )
    kinds = {"start": "begin", "continue": "continue", "stop": "end"}
    expected = [tuple(kinds[beam.type] for beam in each.beamsList) if each else () for each in of_music21]
    # In x/4, music21 breaks the second beam of four sixteenths in the middle, which engravers do not.
    levels = 1 if unit == 4 else 2
    assert [signs[:levels] for signs in ours] == [signs[:levels] for signs in expected]


def _score(rows: list[tuple[int, int, int]], meter: tuple[int, int], first_bar: int = 0) -> Score:
    """Notes (onset, duration, pitch) in ticks of 480; with a first bar of so many ticks, if any."""
    notes = np.array([(onset, duration, pitch, 64, 40, 0) for onset, duration, pitch in rows], NOTE)
    meters = [(0, *meter)] + ([(first_bar, *meter)] if first_bar else [])
    return Score(480, notes, meters=np.array(meters, METER))


def _written_beams(score: Score) -> list[list[str | None]]:
    root = ElementTree.fromstring(to_bytes(score))
    return [[beam.text for beam in note.findall("beam")] for note in root.iter("note")]


def test_a_chord_s_first_note_has_its_beams():
    score = _score([(0, 240, 60), (0, 240, 64), (240, 120, 62), (360, 120, 65)], (1, 4))
    assert _written_beams(score) == [["begin"], [], ["continue", "begin"], ["end", "end"]]


def test_sixteenths_of_one_beat_are_joined_by_both_beams():
    score = _score([(120 * place, 120, 60 + place) for place in range(4)], (1, 4))
    assert _written_beams(score) == [["begin"] * 2, ["continue"] * 2, ["continue"] * 2, ["end"] * 2]


def test_beats_between_units_are_not_rounded():
    score = _score([(240 * place, 240, 60 + place) for place in range(6)], (12, 16))  # beats begin at 0, 360, 720, 1080
    assert _written_beams(score) == [["begin"], ["end"], [], ["begin"], ["end"], []]


def test_a_dotted_eighth_and_a_sixteenth_have_a_hook():
    score = _score([(0, 360, 60), (360, 120, 64), (480, 120, 62), (600, 360, 65)], (2, 4))
    assert _written_beams(score) == [["begin"], ["end", "backward hook"], ["begin", "forward hook"], ["end"]]


def test_a_pickup_is_beamed_by_the_end_of_its_bar():
    pickup = [(0, 240, 60), (240, 240, 62), (480, 240, 64)]  # three eighths before 4/4: one, then two
    score = _score([*pickup, (720, 1920, 65)], (4, 4), first_bar=720)
    assert _written_beams(score)[:3] == [[], ["begin"], ["end"]]
