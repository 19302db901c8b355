"""Reading ABC."""

from __future__ import annotations

import re
from fractions import Fraction

from t5music.errors import MidiError
from t5music.music.abc_notation.tune import ACCIDENTALS, MODES, Bar, Item, Key, Meter, Note, Pitch, Symbol, Tune

_LENGTH = r"(?:\d{0,6}(?:/\d{1,6}|/{0,9}))"
_PITCH = r"(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*"
_TOKEN = re.compile(
    rf"""
    (?P<skip>[\s`\\$*]+ | \{{[^}}]{{0,500}}\}} | ![^!\n|\[]{{0,50}}! | \+[^+\n|]{{0,50}}\+ | y\d*
             | [.~H-Wh-w] | [()](?![2-9]))
  | "(?P<symbol>[^"\n]{{0,500}})"
  | \[(?P<field>[A-Za-z]):(?P<value>[^\]\n]{{0,500}})\]
  | \[(?P<stack>(?:{_PITCH}{_LENGTH}-?\s*)+)\](?P<of_stack>{_LENGTH})(?P<tie_stack>-?)
  | (?P<bar>(?:\[(?=\|))?[:|](?:[:|\]]|\[(?=[|\]]))*)(?:\s*\[?(?P<ending>\d(?:[,\-]\d)*))?
  | \[(?P<alone>\d(?:[,\-]\d)*)
  | \((?P<notes>[2-9])(?::(?P<time>\d{{0,2}}))?(?::(?P<count>\d{{0,2}}))?
  | (?P<pitch>{_PITCH})(?P<length>{_LENGTH})(?P<tie>-?)
  | (?P<rest>[zx])(?P<of_rest>{_LENGTH})
  | Z(?P<bars>\d{{0,3}})
  | (?P<broken>>+|<+)
  | (?P<tie_alone>-)
  | (?P<stray>[!\[\]])
    """,
    re.VERBOSE,
)
_SINGLE = re.compile(rf"(?P<pitch>{_PITCH})(?P<length>{_LENGTH})(?P<tie>-?)\s*")
_SYMBOL = re.compile(r"[A-G][^\s%]{0,15}")
_FIELD = re.compile(r"([A-Za-z]):(?![|:])\s*(.*)")  # 'e:|' is a note before a bar line
_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)(.*)")
_ONE = Fraction(1)
_LONGEST = Fraction(64)  # whole notes; no note or meter is longer
_DEEPEST = 1024  # no length is a smaller part of a whole note
_MOST_CHARACTERS = 100_000


def parse(text: str, name: str = "ABC") -> Tune:
    """Reads one tune.

    A header may be missing but for K:, as in standard ABC; X: is not looked at. Of accidentals the standard's rule
    holds: for all notes of the letter in the bar, in whatever octave.

    Args:
      text: the tune.
      name: what it is called in errors.

    Raises:
      MidiError: there is no K:, there are several voices, more than 100,000 characters, or something cannot be read.
    """
    return _Reader(name).tune(text)


class _Reader:
    """One tune as it is read, token by token."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.title = ""
        self.key: Key | None = None  # None while in the header
        self.first_key = Key("C")
        self.meter: Meter | None = None
        self.first_meter: Meter | None = None
        self.unit: Fraction | None = None
        self.items: list[Item] = []
        self.altered: dict[int, int] = {}  # letter -> alteration written in this bar
        self.broken = Fraction(1)  # what broken rhythm makes of the next note
        self.tuplet = (0, Fraction(1))  # notes left, and what each is made of
        self.voices: set[str] = set()

    def tune(self, text: str) -> Tune:
        """Reads the whole text."""
        if len(text) > _MOST_CHARACTERS:
            raise self._error(f"one tune of {len(text)} characters, and at most {_MOST_CHARACTERS} are read")
        body = []
        for line in text.lstrip("\ufeff").splitlines():
            line = line.split("%", 1)[0].strip()
            field = _FIELD.match(line)
            if field is None:
                if self.key is not None:
                    body.append(line)
                continue
            if self.key is None:
                self._field(*field.groups())
            elif field[1] in "KLMV":
                body.append(f"[{line}]")
        if self.key is None:
            raise self._error("no field K:, which every tune has, before the music")
        self.first_key, self.first_meter = self.key, self.meter
        self._music("\n".join(body).replace("\\\n", "\n"))
        return Tune(self.first_key, self.first_meter, tuple(self.items), self.title)

    def _error(self, problem: str) -> MidiError:
        return MidiError(f"{self.name}: {problem}")

    # ---------------------------------------------------------------------------------------------------- fields

    def _field(self, field: str, value: str) -> None:
        """A field of the header, or a change within the tune."""
        value = value.strip()
        inside = self.key is not None
        if field == "T" and not self.title:
            self.title = value
        elif field == "L":
            self.unit = self._fraction(value)
        elif field == "M":
            before, self.meter = self.meter, self._meter(value)
            if inside and self.meter and self.meter != before:
                self._change(self.meter)
        elif field == "K":
            before_key, self.key = self.key, self._key(value)
            self.altered = {}
            if inside and self.key != before_key:
                self._change(self.key)
        elif field == "V":
            self.voices.add(value.split()[0] if value else "")
            if len(self.voices) > 1:
                raise self._error("it has several voices, and only tunes of one voice are read")

    def _change(self, item: Key | Meter) -> None:
        """A change of key or meter: before the first note, it is what the tune begins with."""
        if any(isinstance(before, Note) for before in self.items):
            self.items.append(item)
        elif isinstance(item, Key):
            self.first_key = item
        else:
            self.first_meter = item

    def _key(self, value: str) -> Key:
        if value.lower() in ("", "none"):
            return Key("C")
        if value in ("HP", "Hp"):  # highland pipes, which play in D
            return Key("D")
        found = _KEY.fullmatch(value)
        if found is None or re.search(r"[\^_=][a-gA-G]", found[4]):
            raise self._error(f"the key {value!r} cannot be read")
        mode = found[3].lower()[:3]
        mode = {"maj": "", "ion": "", "min": "m", "aeo": "m"}.get(mode, mode)
        if mode not in MODES:
            raise self._error(f"the mode of the key {value!r} is not known")
        key = Key(found[1] + found[2], mode)
        if not -7 <= key.fifths <= 7:
            raise self._error(f"the key {value!r} would have {abs(key.fifths)} accidentals")
        return key

    def _meter(self, value: str) -> Meter | None:
        if value.lower() in ("", "none"):
            return None
        value = {"C": "4/4", "C|": "2/2"}.get(value, value)
        found = re.fullmatch(r"\(?(\d{1,3}(?:\s*\+\s*\d{1,3}){0,9})\)?\s*/\s*(\d{1,3})", value)
        if found is None:
            raise self._error(f"the meter {value!r} cannot be read")
        beats, whole = sum(map(int, found[1].split("+"))), int(found[2])
        if not 1 <= beats <= 64 or whole not in (1, 2, 4, 8, 16, 32, 64):
            raise self._error(f"the meter {value!r} is none that MIDI can state")
        return Meter(beats, whole)

    def _fraction(self, value: str) -> Fraction:
        found = re.fullmatch(r"(\d{1,6})(?:\s*/\s*(\d{1,6}))?", value)
        if found is None or not int(found[1]) or not int(found[2] or 1):
            raise self._error(f"the length {value!r} cannot be read")
        return self._within(Fraction(int(found[1]), int(found[2] or 1)))

    def _within(self, length: Fraction) -> Fraction:
        if not 0 < length <= _LONGEST or length.denominator > _DEEPEST:
            raise self._error(f"a length of {length} whole notes")
        return length

    # ----------------------------------------------------------------------------------------------------- music

    def _music(self, body: str) -> None:
        place = 0
        while place < len(body):
            token = _TOKEN.match(body, place)
            if token is None:
                raise self._error(f"{body[place : place + 12]!r} cannot be read as music")
            place = token.end()
            kind = token.lastgroup
            if kind == "skip" or kind == "stray":
                continue
            if token["field"]:
                self._field(token["field"], token["value"])
            elif token["symbol"] is not None:
                name = token["symbol"].strip()
                if _SYMBOL.fullmatch(name):  # else it is an annotation, such as "^slow" or a fingering
                    self.items.append(Symbol(name))
            elif token["stack"]:
                self._stack(token)
            elif token["bar"]:
                self._bar(token["bar"], token["ending"] or "")
            elif token["alone"]:
                self._ending(token["alone"])
            elif token["notes"]:
                self._tuplet(int(token["notes"]), token["time"], token["count"])
            elif token["pitch"]:
                length = self._length(token["length"])
                self._note((self._pitch(token["pitch"]),), length, bool(token["tie"]))
            elif token["rest"]:
                self._note((), self._length(token["of_rest"]), False)
            elif token["broken"]:
                self._break(token["broken"])
            elif kind == "tie_alone":  # parted from its note by a space
                self._change_last_note(tied=True)
            else:  # whole bars of rest
                if self.meter is None:
                    raise self._error("Z, a bar of rest, where there is no meter")
                self.items.append(Note((), self._within(self.meter.bar * int(token["bars"] or 1))))

    def _bar(self, line: str, ending: str) -> None:
        self.altered = {}
        thick = "]" in line or "[" in line or "||" in line
        bar = Bar(line.startswith(":"), line.endswith(":"), thick and ":" not in line)
        if line == ":":
            bar = Bar()
        if self.items and isinstance(before := self.items[-1], Bar) and not before.ending:
            self.items.pop()  # two lines that nothing parts are one
            bar = Bar(before.ends or bar.ends, before.begins or bar.begins, before.double or bar.double)
        bar = bar._replace(double=bar.double and not bar.ends and not bar.begins)
        if bar != Bar() or any(isinstance(item, Note) for item in self.items):
            self.items.append(bar)
        if ending:
            self._ending(ending)

    def _ending(self, turns: str) -> None:
        numbers: list[int] = []
        for part in turns.split(","):
            first, _, last = part.partition("-")
            numbers += range(int(first), int(last or first) + 1)
        if not self.items or not isinstance(self.items[-1], Bar) or self.items[-1].ending:
            self.items.append(Bar())
        last_bar = self.items[-1]
        assert isinstance(last_bar, Bar)
        self.items[-1] = last_bar._replace(ending=",".join(map(str, numbers)))

    def _tuplet(self, notes: int, time: str | None, count: str | None) -> None:
        compound = self.meter is not None and self.meter.numerator % 3 == 0 and self.meter.numerator > 3
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(notes, 3 if compound else 2)
        self.tuplet = (int(count or notes), Fraction(int(time or usual), notes))

    def _break(self, signs: str) -> None:
        short = Fraction(1, 2 ** len(signs))
        long = 2 - short
        before, self.broken = (long, short) if signs[0] == ">" else (short, long)
        self._change_last_note(factor=before)

    def _change_last_note(self, *, factor: Fraction = _ONE, tied: bool = False) -> None:
        for index in range(len(self.items) - 1, -1, -1):
            item = self.items[index]
            if isinstance(item, Note):
                length = self._within(item.length * factor)
                self.items[index] = Note(item.pitches, length, item.tied or (tied and bool(item.pitches)))
                return
        raise self._error("a tie or broken rhythm before the first note")

    def _length(self, text: str) -> Fraction:
        """The length of a note in units: '', '3', '3/2', '/', '//4' are 1, 3, 3/2, 1/2, 1/4."""
        over, slash, under = text.partition("/")
        if not slash:
            return Fraction(int(over or 1))
        divisor = int(under) if under.isdigit() else 2 ** (1 + len(under))
        if not divisor:
            raise self._error(f"the length {text!r} cannot be read")
        return Fraction(int(over or 1), divisor)

    def _pitch(self, text: str) -> Pitch:
        assert self.key is not None
        found = re.fullmatch(r"([\^_=]*)([A-Ga-g])([,']*)", text)
        assert found is not None
        letter = "CDEFGAB".index(found[2].upper())
        step = letter + 7 * (found[2].islower() + found[3].count("'") - found[3].count(","))
        if found[1]:
            self.altered[letter] = next(alter for alter, sign in ACCIDENTALS.items() if sign == found[1])
        return Pitch(step, self.altered.get(letter, self.key.alter(letter)))

    def _stack(self, token: re.Match[str]) -> None:
        notes = list(_SINGLE.finditer(token["stack"]))
        length = self._length(notes[0]["length"]) * self._length(token["of_stack"])
        tied = bool(token["tie_stack"]) or all(note["tie"] for note in notes)
        self._note(tuple(self._pitch(note["pitch"]) for note in notes), length, tied)

    def _note(self, pitches: tuple[Pitch, ...], units: Fraction, tied: bool) -> None:
        if self.unit is None:
            short = self.meter is not None and self.meter.bar < Fraction(3, 4)
            self.unit = Fraction(1, 16) if short else Fraction(1, 8)
        left, factor = self.tuplet
        length = units * self.unit * self.broken * (factor if left else 1)
        self.broken, self.tuplet = Fraction(1), (max(0, left - 1), factor)
        self.items.append(Note(pitches, self._within(length), tied))
