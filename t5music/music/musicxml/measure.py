"""Reading a measure: its notes, and what its signs say of time, loudness and order."""

from __future__ import annotations

import re
from fractions import Fraction
from xml.etree.ElementTree import Element

from t5music.errors import MidiError
from t5music.music.keys import STEPS
from t5music.music.musicxml import marks, part_list
from t5music.music.musicxml.limits import MAX_NOTES
from t5music.music.musicxml.order import Signs
from t5music.music.musicxml.part_list import Part, child_text, number
from t5music.music.musicxml.written import TIE_START, TIE_STOP, UNITS, WrittenNote, WrittenPart
from t5music.music.score import DRUMS

_MAX_QUARTERS = 10_000  # of one duration
_BEAT_UNITS: dict[str, Fraction | int] = {
    "maxima": 32, "long": 16, "breve": 8, "whole": 4, "half": 2, "quarter": 1, "eighth": Fraction(1, 2),
    "16th": Fraction(1, 4), "32nd": Fraction(1, 8), "64th": Fraction(1, 16), "128th": Fraction(1, 32),
    "256th": Fraction(1, 64),
}  # fmt: skip
_NUMBER = re.compile(r"\d+(\.\d+)?")


class PartReader:
    """Reads the measures of one part, one after another."""

    def __init__(self, part: Part, signs: Signs, name: str) -> None:
        self.written = WrittenPart(part)
        self.signs = signs
        self.name = name
        self.divisions = Fraction(1)
        self.first_tempo = self.tempo = 0.0
        self._units: dict[str, int] = {}  # durations of the divisions in force
        self._transposition: dict[str, int] = {}  # semitones by staff, '' for all
        self._voices: dict[str, int] = {}
        self._open_wedges: dict[str, tuple[tuple[int, int], int]] = {}
        self.measure = self.position = self.end = self.chord_position = self.graces = 0

    def read(self, element: Element, index: int) -> None:
        """Reads the next measure.

        Raises:
            MidiError: a measure that makes no sense, with its number.
        """
        self.measure, self.position, self.end, self.chord_position, self.graces = index, 0, 0, 0, 0
        for child in element:
            match child.tag:
                case "note":
                    self._note(child)
                case "backup":
                    self.position = max(0, self.position - self._duration(child))
                    self.graces = 0
                case "forward":
                    self.position += self._duration(child)
                    self.graces = 0
                case "attributes":
                    self._attributes(child)
                case "direction":
                    self._direction(child)
                case "sound":
                    self._sound(child, self.position + self._offset(child))
                case "barline":
                    self.signs.barline(index, child)
            self.end = max(self.end, self.position)
        self.written.lengths.append(self.end)

    # ---------------------------------------------------------------------------------------------------- times

    def _duration(self, element: Element) -> int:
        """A duration in UNITS."""
        text = element.findtext("duration") or "0"
        if text not in self._units:
            self._units[text] = self._in_units(text)
        return self._units[text]

    def _in_units(self, text: str) -> int:
        try:
            quarters = Fraction(text[:20].strip()) / self.divisions
        except (ValueError, ZeroDivisionError):
            raise self._error(f"{text[:20].strip()!r} is no duration") from None
        if abs(quarters) > _MAX_QUARTERS:
            raise self._error(f"a duration of more than {_MAX_QUARTERS} quarter notes")
        return round(quarters * UNITS)

    def _offset(self, element: Element) -> int:
        """How much later than where it stands a sign sounds."""
        offset = element.find("offset")
        if offset is None or (element.tag == "direction" and offset.get("sound") != "yes"):
            return 0
        return self._in_units(offset.text or "0")

    def _error(self, what: str) -> MidiError:
        return MidiError(f"{self.name}: measure {self.measure + 1}: {what}")

    # ---------------------------------------------------------------------------------------------------- notes

    def _note(self, note: Element) -> None:
        grace, is_chord = note.find("grace"), note.find("chord") is not None
        duration = 0 if grace is not None else max(0, self._duration(note))
        start = self.chord_position if is_chord else self.position
        self.chord_position = start
        if not is_chord:
            self.position += duration
        elif start + duration > self.position:
            self.end = max(self.end, start + duration)
        if grace is not None and not is_chord:
            self.graces += 1
        if note.find("rest") is not None or note.find("cue") is not None:
            self.graces = 0 if grace is None else self.graces
            return
        pitch, program = self._pitch(note)
        ties = {tie.get("type") for tie in note.findall("tie")} | {
            tied.get("type") for tied in note.findall("notations/tied")
        }
        stated = note.get("dynamics")
        voice = child_text(note, "voice") or "1"
        self.written.notes.append(
            WrittenNote(
                self.measure,
                start,
                duration,
                pitch,
                marks.velocity(self._float(stated)) if stated else 0,
                self._emphasis(note),
                self._voices.setdefault(voice, len(self._voices)),
                program,
                ("start" in ties or "continue" in ties) * TIE_START + ("stop" in ties or "continue" in ties) * TIE_STOP,
                0 if grace is None else self.graces if grace.get("slash") == "yes" else -self.graces,
            )
        )
        if len(self.written.notes) > MAX_NOTES:
            raise MidiError(f"{self.name}: more than {MAX_NOTES} notes in a part")
        self.graces = 0 if grace is None and not is_chord else self.graces

    def _pitch(self, note: Element) -> tuple[int, int]:
        """The pitch that sounds, and the program."""
        element = note.find("instrument")
        instrument = self.written.part.instrument("" if element is None else element.get("id", ""))
        pitch = note.find("pitch")
        if pitch is None:
            place = child_text(note, "unpitched/display-step") + child_text(note, "unpitched/display-octave")
            return part_list.unpitched_key(instrument, place), DRUMS
        step, octave = child_text(pitch, "step"), number(child_text(pitch, "octave"), -1, 10)
        if step not in STEPS or octave is None:
            raise self._error("a note without a pitch, or with one that is none")
        alter = self._float(pitch.findtext("alter") or "0")
        staff = child_text(note, "staff")
        shift = self._transposition.get(staff, self._transposition.get("", 0))
        key = STEPS[step] + 12 * (octave + 1) + round(max(-4.0, min(alter, 4.0))) + shift
        if instrument.program == DRUMS:
            return instrument.key if instrument.key is not None else min(max(key - shift, 0), 127), DRUMS
        if not 0 <= key <= 127:
            raise self._error(f"a note sounds at {key}, outside MIDI's 0..127")
        return key, instrument.program

    def _emphasis(self, note: Element) -> float:
        """What accents make of a velocity."""
        signs = note.find("notations/articulations")
        if signs is None:
            return 1.0
        if signs.find("strong-accent") is not None:
            return marks.MARCATO
        return marks.ACCENT if signs.find("accent") is not None else 1.0

    def _float(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e9:
            raise self._error(f"{text.strip()[:20]!r} is no number")
        return value

    # ----------------------------------------------------------------------------------------------- attributes

    def _attributes(self, attributes: Element) -> None:
        if text := child_text(attributes, "divisions"):
            divisions = self._float(text)
            if divisions <= 0:
                raise self._error(f"{text[:20]} divisions of a quarter note")
            self.divisions = Fraction(text[:20])
            self._units = {}
        for transpose in attributes.findall("transpose"):
            octaves = number(child_text(transpose, "octave-change"), -10, 10) or 0
            semitones = number(child_text(transpose, "chromatic"), -128, 128) or 0
            self._transposition[transpose.get("number", "")] = semitones + 12 * octaves
            self.written.transposes |= semitones % 12 != 0
        key = attributes.find("key")
        if key is not None and (fifths := number(child_text(key, "fifths"), -7, 7)) is not None:
            is_minor = child_text(key, "mode") == "minor"
            self.written.keys.append((self.measure, self.position, self._sounding(fifths), is_minor))
        time = attributes.find("time")
        if time is not None and (meter := _meter(time)):
            self.written.meters.append((self.measure, *meter))

    def _sounding(self, fifths: int) -> int:
        """The signature as it sounds: transposed parts are written in other keys."""
        shift = 7 * next(iter(self._transposition.values()), 0) % 12
        return fifths if not shift else min((fifths + shift - 24, fifths + shift - 12, fifths + shift), key=_signs_of)

    # ----------------------------------------------------------------------------------------------- directions

    def _direction(self, direction: Element) -> None:
        sound = direction.find("sound")
        position = self.position + self._offset(direction)
        if sound is not None:
            self._sound(sound, position + self._offset(sound))
        stated = sound.attrib if sound is not None else {}
        words = " ".join(" ".join((item.text or "").split()) for item in direction.findall("direction-type/words"))
        if "tempo" not in stated:
            self._set_tempo(self._metronome(direction) or self._tempo_of_words(words), position)
        self.signs.direction(self.measure, direction, words, stated)
        for kind in direction.findall("direction-type"):
            for sign in kind:
                if sign.tag == "dynamics":
                    self._dynamics(sign, stated, position)
                elif sign.tag == "wedge":
                    self._wedge(sign, position)
                elif sign.tag == "pedal":
                    self._pedal(sign.get("type", ""), position)
        if "dynamics" in stated and direction.find("direction-type/dynamics") is None:
            self._level(marks.velocity(self._float(stated["dynamics"])), position)

    def _sound(self, sound: Element, position: int) -> None:
        if (tempo := sound.get("tempo")) is not None:
            self._set_tempo(self._float(tempo), position)
        self.signs.sound(self.measure, sound.attrib)
        for midi in sound.iter("midi-instrument"):
            if midi.get("id", "") in self.written.part.instruments:
                part_list.change(self.written.part.instruments[midi.get("id", "")], midi)

    def _set_tempo(self, tempo: float | None, position: int) -> None:
        if tempo is not None and 60e6 / 2**24 < tempo <= 60e6:  # what MIDI can hold
            self.tempo = tempo
            self.first_tempo = self.first_tempo or tempo
            self.written.tempi.append((self.measure, max(0, position), tempo))

    def _metronome(self, direction: Element) -> float | None:
        """The tempo of a metronome mark, also of one that says which notes are as long as which were."""
        metronome = direction.find("direction-type/metronome")
        if metronome is None:
            return None
        units: list[Fraction] = []
        for child in metronome:
            if child.tag == "beat-unit":
                units.append(Fraction(_BEAT_UNITS.get((child.text or "").strip(), 1)))
            elif child.tag == "beat-unit-dot" and units:
                units[-1] *= Fraction(3, 2)
        match = _NUMBER.search(metronome.findtext("per-minute") or "")
        if match and units:
            return float(match[0]) * float(units[0])
        return self.tempo * float(units[1] / units[0]) if len(units) == 2 and self.tempo else None

    def _tempo_of_words(self, words: str) -> float | None:
        text = words.casefold()
        if text.startswith(("tempo i", "tempo primo", "tempo 1", "1. tempo", "erstes zeitma")):
            return self.first_tempo or None
        if text.startswith(("a tempo", "im tempo", "au mouv")):
            return self.tempo or None
        return marks.tempo_of_words(words)

    def _dynamics(self, sign: Element, stated: dict[str, str], position: int) -> None:
        mark = sign[0].tag if len(sign) else ""
        if mark in marks.MOMENTARY:
            moment, after = marks.MOMENTARY[mark]
            self.written.moments.append((self.measure, position, moment))
            if after is not None:
                self._level(after, position)
        elif "dynamics" in stated:
            self._level(marks.velocity(self._float(stated["dynamics"])), position)
        elif mark in marks.LEVELS:
            self._level(marks.LEVELS[mark], position)

    def _level(self, velocity: int, position: int) -> None:
        self.written.loudness.append((self.measure, position, velocity))

    def _wedge(self, wedge: Element, position: int) -> None:
        kind, key = wedge.get("type", ""), wedge.get("number", "1")
        if kind == "stop" and key in self._open_wedges:
            begin, direction = self._open_wedges.pop(key)
            self.written.wedges.append((begin, (self.measure, position), direction))
        elif kind in ("crescendo", "diminuendo"):
            self._open_wedges[key] = ((self.measure, position), 1 if kind == "crescendo" else -1)

    def _pedal(self, kind: str, position: int) -> None:
        if kind in ("stop", "change", "discontinue"):
            self.written.pedals.append((self.measure, position, False))
        if kind in ("start", "change", "resume", "sostenuto") and kind != "sostenuto":
            self.written.pedals.append((self.measure, position, True))


def _signs_of(fifths: int) -> tuple[int, int]:
    return abs(fifths), -fifths


def _meter(time: Element) -> tuple[int, int] | None:
    """Numerator and denominator, those of added meters (3+2/8, 2/4+3/8) summed; None where there is none."""
    total, finest = Fraction(0), 1
    for beats, unit in zip(time.findall("beats"), time.findall("beat-type"), strict=False):
        denominator = number(unit.text or "", 1, 128)
        counts = [number(count, 1, 255) for count in (beats.text or "").split("+")]
        if denominator is None or denominator & (denominator - 1) or None in counts:
            return None
        total += Fraction(sum(count for count in counts if count), denominator)
        finest = max(finest, denominator)
    numerator = total * finest
    return (int(numerator), finest) if 0 < numerator < 256 else None
