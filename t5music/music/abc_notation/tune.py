"""A tune as ABC has it: what is written, in order; as canonical text, as played, and as a Score.

The canonical text of a tune is one and the same for all the ways in which it can be typed: the fields X, T, M, L and K
in that order, L always 1/8, broken rhythm and tuplets as lengths (but three equal notes in the time of two as `(3`),
chord symbols before their notes, no spaces, a new line after a section. Accidentals stand where the key or the bar so
far, in whatever octave, do not give the note by themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np

from t5music.errors import MidiError
from t5music.music.keys import STEPS
from t5music.music.score import KEY, METER, NOTE, Score

TICKS_PER_QUARTER = 10_080  # 2^5 * 3^2 * 5 * 7: every tuplet up to seven falls on a tick
VELOCITY = 80
UNIT = Fraction(1, 8)  # the L of canonical text
ACCIDENTALS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
MODES = {"": 0, "m": 3, "dor": 2, "phr": 4, "lyd": -1, "mix": 1, "loc": 5}  # fifths below the major key of the tonic
_LETTERS = "CDEFGAB"
_PITCH_CLASSES = tuple(STEPS[letter] for letter in _LETTERS)
_SHARPS = (3, 0, 4, 1, 5, 2, 6)  # steps in the order in which signatures sharpen them; flats the other way round


class Pitch(NamedTuple):
    """A written pitch."""

    step: int  # diatonic steps above middle C
    alter: int  # semitones

    @property
    def midi(self) -> int:
        """The MIDI pitch, which may lie outside 0..127."""
        return 60 + 12 * (self.step // 7) + _PITCH_CLASSES[self.step % 7] + self.alter

    def __str__(self) -> str:
        """The letter and its octave marks, without the accidental: C, is an octave below C, c above it."""
        octave, letter = divmod(self.step, 7)
        return _LETTERS[letter] + "," * -octave if octave < 1 else _LETTERS[letter].lower() + "'" * (octave - 1)


class Note(NamedTuple):
    """A note, a chord of several pitches, or a rest of none."""

    pitches: tuple[Pitch, ...]
    length: Fraction  # of a whole note
    tied: bool = False  # to the next one


class Bar(NamedTuple):
    """A bar line."""

    ends: bool = False  # a repeated section ends
    begins: bool = False  # a repeated section begins
    double: bool = False
    ending: str = ""  # the passes for which the music that follows is: '1', '2', '1,3'

    def __str__(self) -> str:
        line = {(True, True): "::", (True, False): ":|", (False, True): "|:"}.get((self.ends, self.begins))
        return (line or ("||" if self.double else "|")) + (f"[{self.ending}" if self.ending else "")

    @property
    def section(self) -> bool:
        """True for a line at which a section ends or begins."""
        return self.ends or self.begins or self.double


class Symbol(NamedTuple):
    """A chord symbol, such as G7."""

    name: str


class Key(NamedTuple):
    """A key: its tonic ('F#', 'Bb') and its mode, one of MODES."""

    tonic: str
    mode: str = ""

    def __str__(self) -> str:
        return self.tonic + self.mode

    @property
    def fifths(self) -> int:
        """Sharps of the signature; flats where negative."""
        sharps = "FCGDAEB".index(self.tonic[0]) - 1
        return sharps + 7 * (self.tonic.count("#") - self.tonic.count("b")) - MODES[self.mode]

    def alter(self, step: int) -> int:
        """Semitones by which the signature alters a step."""
        place = _SHARPS.index(step % 7)
        return (self.fifths + 6 - place) // 7


class Meter(NamedTuple):
    """A meter."""

    numerator: int
    denominator: int

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def bar(self) -> Fraction:
        """Length of a bar in whole notes."""
        return Fraction(self.numerator, self.denominator)


Item: TypeAlias = Note | Bar | Symbol | Key | Meter


@dataclass(frozen=True)
class Tune:
    """A tune of one voice.

    Attributes:
      key, meter: those it begins with; meter is None where it has none.
      items: what is written, in order; a Key or a Meter among them is a change.
      title: its name.
    """

    key: Key
    meter: Meter | None
    items: tuple[Item, ...]
    title: str = ""

    @property
    def pitches(self) -> list[tuple[int, ...]]:
        """The MIDI pitches of each note or chord as written, low to high; tied notes once each, rests left out."""
        notes = (item for item in self.items if isinstance(item, Note))
        return [tuple(sorted(pitch.midi for pitch in note.pitches)) for note in notes if note.pitches]

    # ------------------------------------------------------------------------------------------------------- text

    def to_text(self) -> str:
        """The canonical ABC of the tune; `parse` gives an equal tune back."""
        title = [f"T:{self.title}"] if self.title else []
        head = ["X:1", *title, f"M:{self.meter or 'none'}", f"L:{UNIT}", f"K:{self.key}"]
        return "\n".join(head) + "\n" + "".join(self._body()).strip() + "\n"

    def _body(self) -> Iterator[str]:
        key, state = self.key, _InBar()
        tuplet = 0  # notes left of the triplet
        for index, item in enumerate(self.items):
            if isinstance(item, Note):
                if not tuplet and _triplet(self.items, index):
                    tuplet = 3
                    yield "(3"
                length = item.length * Fraction(3, 2) if tuplet else item.length
                tuplet = max(0, tuplet - 1)
                yield _written(item.pitches, length / UNIT, key, state) + ("-" if item.tied else "")
            elif isinstance(item, Bar):
                state = _InBar()
                closes = item.section and not item.ending and not (item.begins and not item.ends)
                yield f"{item}\n" if closes else str(item).removeprefix("|" if _at_line(self.items, index) else "")
            elif isinstance(item, Symbol):
                yield f'"{item.name}"'
            elif isinstance(item, Key):
                key, state = item, _InBar()
                yield f"[K:{item}]"
            else:
                yield f"[M:{item}]"

    # ------------------------------------------------------------------------------------------------------ music

    def unfolded(self) -> Tune:
        """The tune as it is played: repeats and their endings written out.

        A repeat goes back to the last beginning of one, or else to the last end of one, double bar or the tune's start.
        """
        played: list[Item] = []
        in_force = self._in_force()
        begin = index = 0
        while index < len(self.items):
            item = self.items[index]
            if isinstance(item, Bar) and item.ending:
                common = self.items[begin:index]
                endings, index = self._endings(index)
                for turn in range(1, 1 + max((turn for turns, _ in endings for turn in turns), default=0)):
                    if turn > 1:
                        played += [*in_force[begin], *common]
                    played += [Bar(), *next((body for turns, body in endings if turn in turns), ())]
                begin = index
                continue
            index += 1
            if isinstance(item, Bar):
                if item.ends:
                    played += [Bar(), *in_force[begin], *self.items[begin : index - 1]]
                if item.section:
                    begin = index
                item = Bar(double=item.section)
            played.append(item)
        return dataclasses.replace(self, items=tuple(played))

    def _endings(self, index: int) -> tuple[list[tuple[set[int], tuple[Item, ...]]], int]:
        """The endings from the one at `index` on, each with its passes, and the index at which the tune goes on."""
        found = []
        while index < len(self.items):
            line = self.items[index]
            if not isinstance(line, Bar) or not line.ending:
                break
            stop = index + 1
            while stop < len(self.items) and not _stops(self.items[stop]):
                stop += 1
            found.append(({int(turn) for turn in line.ending.split(",")}, self.items[index + 1 : stop]))
            index = stop
        if index < len(self.items) and isinstance(self.items[index], Bar):
            found[-1] = (found[-1][0], (*found[-1][1], Bar(double=True)))
            index += 1
        return found, index

    def _in_force(self) -> list[tuple[Item, ...]]:
        """The key and the meter that hold at each index, to be said again where a repeat goes back there.

        Nothing where the tune does not change them.
        """
        changing = {type(item) for item in self.items if isinstance(item, Key | Meter)}
        held: dict[type, Item] = {
            type(item): item for item in (self.key, self.meter) if item and type(item) in changing
        }
        found = []
        for item in self.items:
            found.append(tuple(held.values()))
            if isinstance(item, Key | Meter):
                held[type(item)] = item
        return found

    def to_score(self, program: int = 0) -> Score:
        """The notes as written (see `unfolded`), tied ones joined, in one track; chord symbols are not played.

        Where the first bar is an upbeat, the music begins so much later that bar lines fall where they are written.

        Raises MidiError for a pitch outside MIDI's range.
        """
        notes: list[list[int]] = []
        meters, keys = [], [(0, self.key)]
        if self.meter:
            meters.append((0, *self.meter))
        held: dict[int, list[int]] = {}  # pitch -> the note that is tied to what comes
        now = self._upbeat()
        for item in self.items:
            tick = round(now * 4 * TICKS_PER_QUARTER)
            if isinstance(item, Note):
                now += item.length
                end = round(now * 4 * TICKS_PER_QUARTER)
                tied, held = held, {}
                for midi in sorted(pitch.midi for pitch in item.pitches):
                    if not 0 <= midi <= 127:
                        raise MidiError(f"the ABC tune {self.title!r} has the pitch {midi}, MIDI has 0..127")
                    note = tied.get(midi)
                    if note is None:
                        notes.append(note := [tick, 0, midi, VELOCITY, program, 0])
                    note[1] = end - note[0]
                    if item.tied:
                        held[midi] = note
            elif isinstance(item, Meter):
                meters.append((tick, *item))
            elif isinstance(item, Key):
                keys.append((tick, item))
        return Score(
            TICKS_PER_QUARTER,
            np.array([tuple(note) for note in notes], NOTE),
            meters=np.array(meters, METER),
            keys=np.array([(tick, key.fifths, key.mode == "m") for tick, key in keys], KEY),
            track_names=(self.title,),
        )

    def _upbeat(self) -> Fraction:
        """How much the first bar lacks, in whole notes."""
        length = Fraction(0)
        for item in self.items:
            if isinstance(item, Note):
                length += item.length
            elif isinstance(item, Bar) and length:
                break
        return max(Fraction(0), self.meter.bar - length) if self.meter and length else Fraction(0)


def _stops(item: Item) -> bool:
    """True where the music of an ending is over."""
    return isinstance(item, Bar) and (item.section or bool(item.ending))


def _at_line(items: tuple[Item, ...], index: int) -> bool:
    """True if the bar line at `index` begins an ending where only changes part it from the line before."""
    if not items[index].ending:  # type: ignore[union-attr]
        return False
    place = index - 1
    while place >= 0 and isinstance(items[place], Key | Meter):
        place -= 1
    return place >= 0 and isinstance(items[place], Bar)


class _InBar:
    """Which alterations have been written in the bar so far."""

    def __init__(self) -> None:
        self.of_step: dict[int, int] = {}
        self.of_letter: dict[int, int] = {}

    def stated(self, pitch: Pitch, key: Key) -> bool:
        """True if the pitch needs no accidental, whether accidentals hold for their octave or for all of them."""
        usual = key.alter(pitch.step)
        of_step = self.of_step.get(pitch.step, usual)
        return of_step == self.of_letter.get(pitch.step % 7, usual) == pitch.alter

    def write(self, pitch: Pitch) -> None:
        """Notes an accidental down."""
        self.of_step[pitch.step] = self.of_letter[pitch.step % 7] = pitch.alter


def _written(pitches: tuple[Pitch, ...], length: Fraction, key: Key, state: _InBar) -> str:
    """A note, chord or rest with its length in units."""
    names = []
    for pitch in pitches:
        stated = state.stated(pitch, key)
        names.append(str(pitch) if stated else ACCIDENTALS[pitch.alter] + str(pitch))
        if not stated:
            state.write(pitch)
    name = "z" if not names else names[0] if len(names) == 1 else f"[{''.join(names)}]"
    over = "" if length.denominator == 1 else f"/{length.denominator}"
    return name + (str(length.numerator) if length.numerator != 1 else "") + over


def _triplet(items: tuple[Item, ...], index: int) -> bool:
    """True if the note at `index` is the first of three of one length that take the time of two, in one bar."""
    length = items[index].length  # type: ignore[union-attr]
    found = []
    for place in range(index, len(items)):
        item = items[place]
        if isinstance(item, Note):
            found.append(item.length)
        elif not isinstance(item, Symbol):
            break
        if len(found) == 3:
            plain = length * Fraction(3, 2)
            return found == [length] * 3 and length.denominator % 3 == 0 and plain.denominator % 3 != 0
    return False
