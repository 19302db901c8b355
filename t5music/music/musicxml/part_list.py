"""The list of parts: their names, and what instrument plays each note.

A MIDI program that the file states is taken; else the instrument is guessed from its sound (`strings.violin`) or its
name, in English, German, Italian or French; and a part that says nothing is a piano.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from t5music.music.instruments import FIRST_SOUND, PERCUSSION_SOUNDS
from t5music.music.score import DRUMS

_DRUM_CHANNEL = 10  # counted from 1, as MusicXML does
# Where a part names its sounds by nothing but their place on the staff: the usual places of a drum set.
_PLACES = {
    "D4": 44, "E4": 35, "F4": 36, "G4": 41, "A4": 43, "B4": 47, "C5": 38, "D5": 45, "E5": 48, "F5": 51, "G5": 42,
    "A5": 49, "B5": 57,
}  # fmt: skip
_SNARE = 38

# Parts of names, the more special before the more general -> General MIDI program, counted from 0.
_NAMES = (
    ("bass clarinet|bassklarinette", 71), ("clarinet|klarinette", 71), ("english horn|cor anglais|englischhorn", 69),
    ("flugelhorn", 56), ("french horn|waldhorn|corno|horn in|^horn", 60), ("contrabassoon|kontrafagott", 70),
    ("bassoon|fagott", 70), ("oboe|hautbois", 68), ("piccolo", 72), ("recorder|blockfl", 74),
    ("flute|fl.te|flauto", 73),
    ("soprano sax", 64), ("tenor sax", 66), ("baritone sax", 67), ("sax", 65), ("trumpet|trompete|tromba|cornet", 56),
    ("trombone|posaune", 57), ("tuba", 58), ("contrabass|double bass|kontrabass|contrebasse", 43),
    ("bass guitar|electric bass|e-bass", 33), ("violoncello|cello|vcl|vc\\b", 42),
    ("viola d", 41), ("violin|geige|vln|violon", 40), ("viola|bratsche|vla", 41), ("fiddle", 110),
    ("harpsichord|cembalo|clavecin", 6), ("organ|orgel|orgue|harmonium", 19), ("celesta", 8), ("glockenspiel", 9),
    ("vibra", 11), ("marimba", 12), ("xylo", 13), ("tubular|chimes", 14), ("electric guitar", 27),
    ("guitar|gitarre|guitare|chitarra|lute", 24), ("banjo", 105), ("harp|arpa", 46), ("timpani|pauken", 47),
    ("accordion|akkordeon", 21), ("harmonica", 22), ("string", 48),
    ("voice|vocal|sopran|mezzo|alto|alt\\b|tenor|bariton|bass\\b|choir|chor|sing|stimme|gesang|voix|canto|voce", 52),
    ("synth", 81), ("electric piano|e-piano|rhodes", 4),
)  # fmt: skip
_GUESSES = tuple((re.compile(pattern), program) for pattern, program in _NAMES)


def program_named(name: str) -> int:
    """The program that the name or the sound of an instrument means; 0, a piano, where it means none."""
    text = name.casefold()
    return next((program for pattern, program in _GUESSES if pattern.search(text)), 0)


@dataclass
class Instrument:
    """What plays a note.

    Attributes:
        program: 0..127, DRUMS for percussion.
        key: of its sound, for percussion that has one; None for others.
    """

    program: int
    key: int | None = None


@dataclass
class Part:
    """A part of the list.

    Attributes:
        name: in one line; '' where it has none.
        instruments: by their ids; the first one plays what names none.
    """

    name: str = ""
    instruments: dict[str, Instrument] = field(default_factory=dict)

    def instrument(self, name: str) -> Instrument:
        """The instrument of an id; the first one for an id that is not in the list."""
        return self.instruments.get(name) or next(iter(self.instruments.values()), Instrument(0))


def child_text(element: Element, path: str) -> str:
    """The text of a child without space around it, '' where there is none."""
    return (element.findtext(path) or "").strip()


def number(text: str, low: int, high: int) -> int | None:
    """A number of a file, rounded; None where it is none, or not in the range."""
    try:
        value = round(float(text))
    except (ValueError, OverflowError):
        return None
    return value if low <= value <= high else None


def read(part_list: Element) -> dict[str, Part]:
    """The parts of a score by their ids, in their order."""
    return {element.get("id", ""): _part(element) for element in part_list.findall("score-part")}


def _part(element: Element) -> Part:
    name = " ".join((element.findtext("part-name") or "").split())
    names = {item.get("id", ""): item for item in element.findall("score-instrument")}
    midi = {item.get("id", ""): item for item in element.findall("midi-instrument")}
    part = Part(name)
    for key in dict.fromkeys([*names, *midi]):
        titles = (
            [child_text(names[key], path) for path in ("instrument-sound", "instrument-name")] if key in names else []
        )
        part.instruments[key] = _instrument(midi.get(key), [*titles, name])
    if not part.instruments:
        part.instruments[""] = _instrument(None, [name])
    return part


def _instrument(midi: Element | None, names: list[str]) -> Instrument:
    program = sound = None
    channel = 0
    if midi is not None:
        program = number(child_text(midi, "midi-program"), 1, 128)
        sound = number(child_text(midi, "midi-unpitched"), 1, 128)
        channel = number(child_text(midi, "midi-channel"), 1, 16) or 0
    if channel == _DRUM_CHANNEL or sound is not None:
        return Instrument(DRUMS, sound - 1 if sound is not None else _sound_named(names))
    if program is not None:
        return Instrument(program - 1)
    return Instrument(next((guess for name in names if (guess := program_named(name))), 0))


def _sound_named(names: list[str]) -> int | None:
    """The key of a sound of General MIDI's percussion by its name."""
    sounds = [sound.casefold() for sound in PERCUSSION_SOUNDS]
    return next((FIRST_SOUND + sounds.index(name.casefold()) for name in names if name.casefold() in sounds), None)


def unpitched_key(instrument: Instrument, place: str) -> int:
    """The key of a percussion note: of its instrument's sound, or by its place on the staff, such as 'C5'."""
    return instrument.key if instrument.key is not None else _PLACES.get(place, _SNARE)


def change(instrument: Instrument, midi: Element) -> None:
    """Another program or sound for an instrument, from here on."""
    program = number(child_text(midi, "midi-program"), 1, 128)
    if program is not None and instrument.program != DRUMS:
        instrument.program = program - 1
    sound = number(child_text(midi, "midi-unpitched"), 1, 128)
    if sound is not None:
        instrument.program, instrument.key = DRUMS, sound - 1
