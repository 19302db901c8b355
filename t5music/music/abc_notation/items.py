"""What a tune in ABC consists of: notes and chords, bar lines, keys, meters, chord symbols and part marks."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, TypeAlias

from t5music.music.keys import STEPS

ACCIDENTALS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
MODES = {"": 0, "m": 3, "dor": 2, "phr": 4, "lyd": -1, "mix": 1, "loc": 5}  # fifths below the major key of the tonic
LETTERS = "CDEFGAB"
PITCH_CLASSES = tuple(STEPS[letter] for letter in LETTERS)
_SHARPS = (3, 0, 4, 1, 5, 2, 6)  # steps in the order in which signatures sharpen them; flats the other way round


class Pitch(NamedTuple):
    """A written pitch.

    Attributes:
        step: Diatonic steps above middle C.
        alter: Semitones above the natural.
    """

    step: int
    alter: int

    @property
    def midi(self) -> int:
        """The MIDI pitch, which may lie outside 0..127."""
        return 60 + 12 * (self.step // 7) + PITCH_CLASSES[self.step % 7] + self.alter

    def __str__(self) -> str:
        """The letter and its octave marks, without the accidental: C, is an octave below C, c above it."""
        octave, letter = divmod(self.step, 7)
        return LETTERS[letter] + "," * -octave if octave < 1 else LETTERS[letter].lower() + "'" * (octave - 1)


class Note(NamedTuple):
    """A note, a chord of several pitches, or a rest of none.

    Attributes:
        pitches: As written, in order.
        length: In whole notes.
        ties: Those of the pitches that are tied to the next note or chord.
    """

    pitches: tuple[Pitch, ...]
    length: Fraction
    ties: tuple[Pitch, ...] = ()


class Bar(NamedTuple):
    """A bar line.

    Attributes:
        ends: How often the section that ends here is played again; 0 where no repeat ends.
        begins: How often the section that begins here is played again; 0 where no repeat begins.
        double: Two lines, or a thick one, without a repeat.
        ending: The passes that the music after it is for: '1', '2', '1,3'.
    """

    ends: int = 0
    begins: int = 0
    double: bool = False
    ending: str = ""

    def __str__(self) -> str:
        """The shortest sign: '|', '||', '|:', ':|' or '::', and '[1' after it."""
        if self.ends and self.begins:
            line = "::" if self.ends == self.begins == 1 else f"{':' * self.ends}|{':' * self.begins}"
        elif self.ends or self.begins:
            line = f"{':' * self.ends}|{':' * self.begins}"
        else:
            line = "||" if self.double else "|"
        return line + (f"[{self.ending}" if self.ending else "")

    @property
    def section(self) -> bool:
        """True for a line at which a section ends or begins."""
        return bool(self.ends or self.begins or self.double)

    @property
    def passes(self) -> tuple[int, ...]:
        """The passes that the music after it is for."""
        return tuple(map(int, self.ending.split(","))) if self.ending else ()


class Symbol(NamedTuple):
    """A chord symbol, such as G7."""

    name: str


class Part(NamedTuple):
    """The beginning of the part of this name: one letter, which the tune's part order speaks of."""

    name: str


class Key(NamedTuple):
    """A key.

    Attributes:
        tonic: Such as 'F#' or 'Bb'.
        mode: One of MODES.
        accidentals: Where the signature is not the mode's: (step 0..6, semitones), by step.
    """

    tonic: str
    mode: str = ""
    accidentals: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        """As in K:, such as 'D', 'F#m' or 'Dphr ^f'."""
        accidentals = [ACCIDENTALS[alter] + LETTERS[step].lower() for step, alter in self.accidentals]
        return " ".join([self.tonic + self.mode, *accidentals])

    @property
    def fifths(self) -> int:
        """Sharps of the mode's signature; flats where negative."""
        sharps = "FCGDAEB".index(self.tonic[0]) - 1
        return sharps + 7 * (self.tonic.count("#") - self.tonic.count("b")) - MODES[self.mode]

    def alter(self, step: int) -> int:
        """Semitones by which the signature alters a step."""
        for letter, alter in self.accidentals:
            if letter == step % 7:
                return alter
        place = _SHARPS.index(step % 7)
        return (self.fifths + 6 - place) // 7


class Meter(NamedTuple):
    """A meter, such as 6/8; of an added one, such as 2/4+3/8, the sum."""

    numerator: int
    denominator: int

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def bar(self) -> Fraction:
        """Length of a bar in whole notes."""
        return Fraction(self.numerator, self.denominator)


Item: TypeAlias = Note | Bar | Symbol | Part | Key | Meter
