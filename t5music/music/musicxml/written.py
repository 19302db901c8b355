"""A part as it is written: notes and signs, with their measures.

Times are in UNITS a quarter, which nearly every division of a file divides, so nothing is rounded on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from t5music.music.musicxml.part_list import Part

UNITS = 2**14 * 3**3 * 5**2 * 7 * 11 * 13  # of a quarter
TIE_START, TIE_STOP = 1, 2


class WrittenNote(NamedTuple):
    """A note as it is written.

    Attributes:
        measure: from 0.
        position: in its measure, in UNITS.
        duration: in UNITS; 0 for a grace note.
        pitch: as it sounds.
        velocity: that the note itself states; 0 for none.
        emphasis: what its signs make of the velocity in force: a factor.
        voice: a number for each voice.
        program: 0..127, DRUMS for percussion.
        ties: TIE_START, TIE_STOP, both or none.
        grace: which of the grace notes before their main note, from 1, or from -1 down for an appoggiatura, whose stem
            is not slashed; 0 for an ordinary note.
    """

    measure: int
    position: int
    duration: int
    pitch: int
    velocity: int
    emphasis: float
    voice: int
    program: int
    ties: int
    grace: int


@dataclass
class WrittenPart:
    """A part as it is written, measure by measure. Positions are (measure, units).

    Attributes:
        part: its name and instruments.
        notes: in the order of the file, so by measures.
        lengths: of its measures, in UNITS: the last position that something reaches.
        tempi: (measure, position, quarters a minute).
        keys: (measure, position, fifths as they sound, minor).
        meters: (measure, numerator, denominator).
        loudness: (measure, position, velocity).
        moments: (measure, position, velocity) of marks for the notes there alone.
        wedges: (begin, end, direction) of hairpins.
        pedals: (measure, position, whether it is pressed).
        transposes: whether it is written at another pitch than it sounds.
    """

    part: Part
    notes: list[WrittenNote] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    tempi: list[tuple[int, int, float]] = field(default_factory=list)
    keys: list[tuple[int, int, int, bool]] = field(default_factory=list)
    meters: list[tuple[int, int, int]] = field(default_factory=list)
    loudness: list[tuple[int, int, int]] = field(default_factory=list)
    moments: list[tuple[int, int, int]] = field(default_factory=list)
    wedges: list[tuple[tuple[int, int], tuple[int, int], int]] = field(default_factory=list)
    pedals: list[tuple[int, int, bool]] = field(default_factory=list)
    transposes: bool = False
