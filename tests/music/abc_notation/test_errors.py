"""What cannot be read as ABC is said with tune, line and column."""

from __future__ import annotations

import pytest

from t5music.errors import MidiError
from t5music.music.abc_notation import parse


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no field K:"),
        ("X:1\nA B c", "no field K:"),
        ("K:Q\n", "line 1: the key 'Q' cannot be read"),
        ("K:Gblues\n", "the mode of the key 'Gblues'"),
        ("K:E harmonic minor\n", "the mode of the key 'E harmonic minor'"),
        ("K:Dm harmonic\n", "'harmonic' in the field 'Dm harmonic' is not known"),
        ("K:G#\n", "8 accidentals"),
        ("K:C octave=x\n", "'octave=x' in the field 'C octave=x' is no whole number"),
        ("M:5\nK:C\nA", "line 1: the meter '5'"),
        ("M:7/9\nK:C\nA", "meter '7/9'"),
        ("M:99/4\nK:C\nA", "meter '99/4'"),
        ("M:1/3+1/3\nK:C\nA", "meter '1/3\\+1/3'"),
        ("M:" + "1+" * 99 + "1/4\nK:C\nA", "meter"),
        ("L:0/8\nK:C\nA", "length '0/8'"),
        ("L:auto\nK:C\nA", "length 'auto'"),
        ("K:C\nA 2 B", "line 2, column 3: '2 B' cannot be read as music"),
        ("X:7\nT:t\nK:C\nA B\nc | 4 d", "tune 7: line 5, column 3: the number 4 after a bar line is no ending"),
        ("K:C\nA0", "length of 0"),
        ("K:C\nA/0", "length '/0'"),
        ("K:C\nA999999", "length of"),
        ("K:C\nA" + "1" * 5000, "length of"),
        ("K:C\n" + "A" * 100_000, "characters"),
        ("K:C\n>A", "column 1: a tie or broken rhythm before the first note"),
        ("K:C\n- A", "before the first note"),
        ("K:C\nZ", "no meter"),
        ("M:4/4\nK:C\nZ1000", "1000 bars of rest"),
        ("M:4/4\nK:C\nZ0", "0 bars of rest"),
        ("K:C\nV:\nA", "line 2: the voice '' has no name"),
        ("K:C\nA [V:x octave=1.5] B", "line 2, column 3: 'octave=1.5'"),
        ("K:C\n[C2:E]", "cannot be read in the chord 'C2:E'"),
        ("K:C\n(1AB", "a tuplet of 1 in an unknown time"),
        ("K:C\n(3:0:3ABC", "a length of 0"),
        ("K:C\n" + "A&" * 20, "more than 15 overlays"),
        ("K:C\n^^^A", "'\\^\\^\\^A' cannot be read"),
        ("K:C\nA {B", "'{B' cannot be read"),
        ('K:C\nA "B', "'\"B' cannot be read"),
        ("K:C\nÄ", "'Ä' cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, problem: str):
    with pytest.raises(MidiError, match=f"(?s)a tune: .*({problem})"):
        parse(text, "a tune")


def test_pitches_outside_midi_are_said():
    with pytest.raises(MidiError, match="'low' has the pitch -"):
        parse("T:low\nK:C\nC,,,,,,,,").to_score()
