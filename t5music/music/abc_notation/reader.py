"""Reading ABC: `parse` of a text's first tune, `parse_tunes` of all of them, `read` of a file."""

from __future__ import annotations

import bisect
import itertools
import os
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from t5music.errors import MidiError
from t5music.music.abc_notation.fields import (
    decode_text,
    parse_key,
    parse_length,
    parse_meter,
    parse_part_order,
    parse_voice,
)
from t5music.music.abc_notation.items import Item, Key, Meter, Note, Part
from t5music.music.abc_notation.music_code import TOKEN, read_token
from t5music.music.abc_notation.tune import Tune
from t5music.music.abc_notation.tune_book import Line, TuneText, decode, split
from t5music.music.abc_notation.voice import Voice

_MOST_CHARACTERS = 100_000
_IN_BODY = "IKLMPV"  # the fields that can change the notes within a tune
_PROPAGATION = re.compile(r"propagate-accidentals\s+(not|octave|pitch)\b")


def parse(text: str, name: str = "ABC") -> Tune:
    """Reads the first tune of a text.

    Args:
        text: The tune; a header may be missing but for K:. What follows its last line is passed over: the next tune,
            and text after an empty line.
        name: What the text is called in errors.

    Returns:
        The tune as written, its repeats not played.

    Raises:
        MidiError: There is no K:, the tune has more than 100,000 characters, or something in it cannot be read; the
            message names tune, line and column.
    """
    texts = split(text)
    return _Reader(name, texts[0] if texts else TuneText()).tune()


def parse_tunes(text: str, name: str = "ABC") -> list[Tune]:
    """Reads every tune of a text, in order.

    Args:
        text: Tunes with X:, parted by empty lines; or without X:, each with K:.
        name: What the text is called in errors.

    Raises:
        MidiError: As `parse`, for the first tune that cannot be read.
    """
    return [_Reader(name, tune).tune() for tune in split(text)]


def read(path: str | os.PathLike[str]) -> list[Tune]:
    """Reads every tune of an ABC file, in whatever encoding of characters (see `decode`).

    Raises:
        MidiError: The file cannot be opened, or a tune in it cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise MidiError(f"{path} cannot be read: {error.strerror}") from error
    return parse_tunes(decode(content), str(path))


class _Reader:
    """One tune as it is read, line by line and token by token."""

    def __init__(self, name: str, text: TuneText) -> None:
        self.name = f"{name}: tune {text.number}" if text.number else name
        self.text = text
        self.title = ""
        self.part_order = ""
        self.meter: Meter | None = None
        self.unit: Fraction | None = None
        self.propagation = "pitch"
        self.template: Voice | None = None  # a voice before its first note; None while in the header
        self.clefs: dict[str, list] = {}  # voice -> what V: in the header says of it
        self.voices: dict[str, Voice] = {}
        self.voice: Voice | None = None  # the one that notes go to
        self.number, self.column = 0, 0  # of what is being read; column 0 is a whole field

    def tune(self) -> Tune:
        """Reads the whole tune."""
        size = sum(len(line) for _, line in self.text.lines)
        if size > _MOST_CHARACTERS:
            raise MidiError(f"{self.name}: one tune of {size} characters, and at most {_MOST_CHARACTERS} are read")
        try:
            for is_field, lines in itertools.groupby(self.text, key=lambda line: line.field != ""):
                if is_field:
                    self._fields(lines)
                elif self.template is not None:  # else it is a text in the header
                    self._music(list(lines))
        except MidiError as error:
            column = f", column {self.column}" if self.column else ""
            raise MidiError(f"{self.name}: line {self.number}{column}: {error}") from error
        if self.template is None:
            raise MidiError(f"{self.name}: no field K:, which every tune has, before the music")
        return self._whole(self.template)

    def _whole(self, template: Voice) -> Tune:
        lines: list[tuple[Item, ...]] = []
        first = template
        for voice in self.voices.values():
            voice_lines = voice.lines()
            if not lines:  # also that of a voice without notes, if there is no other
                first, lines = voice, voice_lines
                continue
            changes: list[Item] = [] if voice.first_key == first.first_key else [voice.first_key]
            changes += [voice.first_meter] if voice.first_meter and voice.first_meter != first.first_meter else []
            lines += [(*changes, *line) for line in voice_lines]
        if self.part_order and len({_parts(line) for line in lines}) > 1:
            raise MidiError(f"{self.name}: its voices do not have the same parts (P:), equally long: write them out")
        items = lines[0] if lines else ()
        return Tune(first.first_key, first.first_meter, items, self.title, self.part_order, tuple(lines[1:]))

    # ---------------------------------------------------------------------------------------------------- fields

    def _fields(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self.number, self.column = line.number, 0
            if self.template is None:
                self._header_field(line.field, line.text)
            elif line.field == "P":
                self._begin_part(line.text, [self.template, *self.voices.values()])
            else:
                self._body_field(line.field, line.text)

    def _header_field(self, field: str, value: str) -> None:
        if field == "T" and not self.title:
            self.title = " ".join(decode_text(value).split())
        elif field == "L":
            self.unit = parse_length(value)
        elif field == "M":
            self.meter = parse_meter(value)
        elif field == "P":
            self.part_order = parse_part_order(value)
        elif field == "V":
            voice, clef = parse_voice(value)
            self.clefs.setdefault(voice, []).append(clef)
        elif field == "I":
            self._instruction(value)
        elif field == "K":
            key, clef = parse_key(value)
            short = self.meter is not None and self.meter.bar < Fraction(3, 4)
            unit = self.unit or (Fraction(1, 16) if short else Fraction(1, 8))
            self.template = Voice(key or Key("C"), self.meter, unit)
            self.template.propagation = self.propagation
            self.template.set_clef(clef)
            for voice in self.clefs:
                self._begin_voice(voice)
            self.voice = None  # what comes before the first V: is the first voice's

    def _body_field(self, field: str, value: str) -> None:
        if field not in _IN_BODY:
            return
        if field == "V":
            name, clef = parse_voice(value)
            self._begin_voice(name).set_clef(clef)
            return
        if field == "I":
            self._instruction(value)
            return
        assert self.template is not None
        # Before the first note and the first V:, a field is for every voice.
        voices = [self.voice] if self.voice else [self.template, *self.voices.values()]
        if field == "P":
            self._begin_part(value, voices)
            return
        for voice in voices:
            if field == "K":
                key, clef = parse_key(value)
                if key is not None:
                    voice.set_key(key)
                voice.set_clef(clef)
            elif field == "L":
                voice.unit = parse_length(value)
            else:
                voice.set_meter(parse_meter(value))

    def _begin_part(self, value: str, voices: Iterable[Voice]) -> None:
        """Begins a part, if the header gives an order of parts; else the field is but a mark for readers."""
        if self.part_order and value[:1].isalpha():
            for voice in voices:
                voice.begin_part(value[0])

    def _instruction(self, value: str) -> None:
        if match := _PROPAGATION.match(value):
            self.propagation = match[1]
            for voice in (*self.voices.values(), *([self.template] if self.template else [])):
                voice.propagation = match[1]

    def _begin_voice(self, name: str) -> Voice:
        assert self.template is not None
        if name not in self.voices:
            self.voices[name] = self.template.copy()
            for clef in self.clefs.get(name, ()):
                self.voices[name].set_clef(clef)
        self.voice = self.voices[name]
        return self.voice

    def _voice(self) -> Voice:
        """The voice that notes go to: where there was no V: yet, the first one."""
        return self.voice or self._begin_voice(next(iter(self.voices), "1"))

    # ----------------------------------------------------------------------------------------------------- music

    def _music(self, lines: list[Line]) -> None:
        """Reads lines of music as one text: a chord may go over the end of a line."""
        texts = []
        for line in lines:
            text = line.text.rstrip().removesuffix(
                "\\"
            )  # a line goes on in the next one, or not: the notes are the same
            texts.append(
                text[:-1] if text.endswith("=") else text.removesuffix("=20") + "\n"
            )  # as mail breaks long lines
        starts = list(itertools.accumulate(map(len, texts), initial=0))
        body = "".join(texts)
        place = 0
        while place < len(body):
            index = bisect.bisect_right(starts, place) - 1
            self.number, self.column = lines[index].number, place - starts[index] + 1
            token = TOKEN.match(body, place)
            if token is None:
                raise MidiError(f"{body[place : place + 12].strip()!r} cannot be read as music")
            place = token.end()
            if token["field"]:
                self._body_field(token["field"], token["value"].strip())
            elif not (token["skip"] or token["decoration"] or token["stray"]):
                read_token(token, self._voice())


def _parts(items: tuple[Item, ...]) -> tuple[tuple[str, Fraction], ...]:
    """The parts of a voice in order, with their lengths in whole notes; '' is what stands before the first one."""
    parts = [("", Fraction(0))]
    for item in items:
        if isinstance(item, Part):
            parts.append((item.name, Fraction(0)))
        elif isinstance(item, Note):
            parts[-1] = (parts[-1][0], parts[-1][1] + item.length)
    return tuple(parts)
