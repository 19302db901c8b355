"""Information fields of ABC: the values of K:, V:, M:, L:, P: and T:, each read by one function.

Every function raises MidiError with what cannot be read and without the place, which the reader adds.
"""

from __future__ import annotations

import html
import html.entities
import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from t5music.errors import MidiError
from t5music.music.abc_notation.items import ACCIDENTALS, LETTERS, Key, Meter
from t5music.music.abc_notation.spelling import key_of_signature

LONGEST = Fraction(64)  # whole notes; no note or meter is longer
DEEPEST = 1024  # no length is a smaller part of a whole note
_MOST_PARTS = 256  # in the order in which parts are played
_MOST_SHARPS = 7  # a MIDI key signature has no more, nor more flats

_TONIC = re.compile(r"([A-G])([#b♯♭]?)")
_MODES = {"maj": "", "ion": "", "m": "m", "min": "m", "aeo": "m", "dor": "dor", "phr": "phr", "lyd": "lyd",
          "mix": "mix", "loc": "loc"}  # fmt: skip
_ACCIDENTALS = re.compile(r"(?:(?:\^\^?|__?|=)[A-Ga-g][,']*)+")
_CLEF = re.compile(  # and 'G -8va', as one editor has it
    r"(?:(?i:treble|alto|tenor|(?:sub)?bass|mezzo-?soprano|mezzo|soprano|(?:var)?baritone|perc|none|auto)|[GCF])"
    r"\d?,*'*(?P<octaves>[+\-](?:8|15))?(?:[\^_](?:8|15))?|(?P<octave>[+\-]8)va"
)
_METERS = re.compile(r"(?i:c\|?|\d+/\d+)(?:[\s(]+(?i:c\|?|\d+/\d+)\)?)+")
_PROPERTY = re.compile(  # not the mode in 'D mix=c'
    r'(?!(?:maj|min|ion|aeo|dor|phr|lyd|mix|loc|exp)[a-z]*=)[a-z][\w-]*=("[^"]*"|[^\s"]+)'
)
_SPACED_PROPERTY = re.compile(r"\b(clef|octave|transpose|middle|name|stafflines)\s*=\s*")


@dataclass(frozen=True)
class Clef:
    """What K: and V: say of how the notes are to be read; None where they do not say it.

    Attributes:
        clef_octaves: Octaves that a clef such as treble-8 moves the notes by.
        octaves: Those of `octave=`.
        semitones: Those of `transpose=`.
    """

    clef_octaves: int | None = None
    octaves: int | None = None
    semitones: int | None = None


def parse_key(value: str) -> tuple[Key | None, Clef]:
    """Reads K:, such as 'D', 'F# minor', 'Dphr ^f', 'D exp _b', 'none', 'G clef=bass octave=-1' or 'clef=alto'.

    Only the first three letters of a mode count, in any case. A key that is empty or 'none' is C major's signature.

    Returns:
        The key, None where the field names a clef alone; and what it says of the clef.

    Raises:
        MidiError: A tonic, a mode or another word is not known, or the key has more than seven sharps or flats.
    """
    words = _words(value)
    if not words or words[0].lower() == "none":
        return _key("C", "", words[1:], value)
    if words[0] in ("HP", "Hp"):  # highland pipes: F and C are sharp
        return _key("D", "", words[1:], value)
    if words[0].lower().startswith("exp") or _ACCIDENTALS.fullmatch(words[0]):
        return _key("C", "", words, value)
    if _is_clef(words[0]) and words[0] not in LETTERS:
        return None, _clef(words, value)
    tonic = _TONIC.match(words[0])
    if tonic is None:
        raise MidiError(f"the key {value!r} cannot be read: it begins with a tonic from A to G, such as F#m")
    rest = [word for word in (words[0][tonic.end() :], *words[1:]) if word]
    mode = ""
    if rest and not _is_clef(rest[0]):
        mode = re.match(r"[A-Za-z]*", rest[0])[0]  # type: ignore[index]
        rest = [word for word in (rest[0][len(mode) :], *rest[1:]) if word]
    letter = tonic[1] + {"♯": "#", "♭": "b"}.get(tonic[2], tonic[2])
    return _key(letter, mode, rest, value)


def _key(tonic: str, mode: str, words: list[str], value: str) -> tuple[Key, Clef]:
    """The key from its tonic, the word for its mode and all that follows."""
    if mode.lower().startswith("exp"):
        words = ["exp", *words]
        mode = ""
    explicit = bool(words) and words[0].lower().startswith("exp")
    name = _MODES.get(mode.lower() if mode.lower() == "m" else mode.lower()[:3]) if mode else ""
    if name is None:
        raise MidiError(f"the mode of the key {value!r} is not known: use maj, m, dor, phr, lyd, mix, aeo, loc or exp")
    alters = [0 if explicit else Key(tonic, name).alter(step) for step in range(7)]
    others = []
    for word in words[explicit:]:
        if _ACCIDENTALS.fullmatch(word):
            for sign, letter in re.findall(r"(\^\^?|__?|=)([A-Ga-g])", word):
                alters[LETTERS.index(letter.upper())] = next(a for a, text in ACCIDENTALS.items() if text == sign)
        else:
            others.append(word)
    key = key_of_signature(tonic, tuple(alters), None if explicit else name)
    if abs(key.fifths) > _MOST_SHARPS:
        raise MidiError(f"the key {value!r} would have {abs(key.fifths)} accidentals, and at most {_MOST_SHARPS} fit")
    return key, _clef(others, value)


def parse_voice(value: str) -> tuple[str, Clef]:
    """Reads V:, such as '1', 'T1 clef=treble-8 name="Tenor"'. Words that do not change the notes are passed over.

    Returns:
        The voice's name, and what it says of the clef.

    Raises:
        MidiError: There is no name, or a number cannot be read.
    """
    words = _words(value)
    if not words or "=" in words[0]:
        raise MidiError(f"the voice {value!r} has no name: write V:1, V:2 ...")
    return words[0], _clef([word for word in words[1:] if "=" in word or _is_clef(word)], value)


def _words(value: str) -> list[str]:
    """The words of a field; a property such as name="First violin" is one."""
    value = _SPACED_PROPERTY.sub(r"\1=", value)
    return re.findall(r'[^\s="]+="[^"]*"|\S+', value)


def _is_clef(word: str) -> bool:
    return _CLEF.fullmatch(word) is not None or _PROPERTY.fullmatch(word) is not None


def _clef(words: list[str], value: str) -> Clef:
    """What the words say of the clef. Properties that do not change the notes, such as middle= or name=, may stand."""
    clef_octaves = octaves = semitones = None
    for word in words:
        name, _, text = word.partition("=")
        name, text = (name.lower(), text.strip('"')) if text else ("clef", word)
        if name == "clef":
            match = _CLEF.fullmatch(text)
            if match is None and "=" not in word:
                raise MidiError(f"{word!r} in the field {value!r} is not known: it is no mode, accidental or clef")
            octave_mark = match["octaves"] or match["octave"] if match else None
            clef_octaves = {"+8": 1, "-8": -1, "+15": 2, "-15": -2}.get(octave_mark or "", 0)
        elif name in ("octave", "transpose"):
            if re.fullmatch(r"[+\-]?\d{1,2}", text) is None:
                raise MidiError(f"{word!r} in the field {value!r} is no whole number below 100")
            octaves, semitones = (int(text), semitones) if name == "octave" else (octaves, int(text))
    return Clef(clef_octaves, octaves, semitones)


def parse_meter(value: str) -> Meter | None:
    """Reads M:, such as '6/8', 'C', 'C|', '(2+3+2)/8' or '2/4+3/8'; an added meter is its sum.

    Of several, such as '2/4 3/4' where they take turns or '5/4 (2/4 3/4)', the first one is read.

    Returns:
        The meter; None for 'none' and where nothing is stated.

    Raises:
        MidiError: The meter cannot be read, or has more than 64 beats or ones that are no power of two.
    """
    if value.lower() in ("", "none"):
        return None
    first = value.split()[0] if _METERS.fullmatch(value) else value
    plain = {"c": "4/4", "c|": "2/2"}.get(first.lower(), first)
    terms = re.sub(r"[()\s]", "", plain).split("+")
    whole, lengths = 0, Fraction(0)
    denominators = [1]
    for term in reversed(terms):  # (2+3)/8 is 2/8 + 3/8
        match = re.fullmatch(r"(\d{1,3})(?:/(\d{1,3}))?", term)
        whole = int(match[2]) if match and match[2] else whole
        if match is None or len(terms) > 16 or not whole:
            raise MidiError(f"the meter {value!r} cannot be read: write a fraction such as M:6/8, or M:none")
        lengths += Fraction(int(match[1]), whole)
        denominators.append(whole)
    denominator = max(denominators)
    beats = lengths * denominator
    if not 1 <= beats <= 64 or beats.denominator != 1 or any(d not in (1, 2, 4, 8, 16, 32, 64) for d in denominators):
        raise MidiError(f"the meter {value!r} is none that MIDI can state: at most 64 beats of a power of two")
    return Meter(int(beats), denominator)


def parse_length(value: str) -> Fraction:
    """Reads L:, such as '1/8', '1' or '/4', in whole notes.

    Raises:
        MidiError: It is no such fraction, or longer or finer than notes can be.
    """
    match = re.fullmatch(r"(\d{0,6})\s*(?:/\s*(\d{1,6}))?", value)
    if match is None or not value or not int(match[1] or 1) or not int(match[2] or 1):
        raise MidiError(f"the length {value!r} cannot be read: write a fraction such as L:1/8")
    return within_bounds(Fraction(int(match[1] or 1), int(match[2] or 1)))


def within_bounds(length: Fraction) -> Fraction:
    """Returns the length. Raises MidiError where it is zero, or longer or finer than notes can be."""
    if not 0 < length <= LONGEST or length.denominator > DEEPEST:
        raise MidiError(
            f"a length of {length} whole notes: more than 0, at most {LONGEST} and in parts of 1/{DEEPEST} or more"
        )
    return length


def parse_part_order(value: str) -> str:
    """Reads P: of the header, such as 'AABB' or '((AB)2C)2', into the parts' letters one after the other.

    Returns:
        The letters; '' where the field is no order of parts but a remark.

    Raises:
        MidiError: There are more than 256 parts.
    """
    text = re.sub(r"[\s.,]", "", value)
    stack = [""]
    for token in re.findall(r"[A-Za-z]\d*|\(|\)\d*|.", text):
        if token == "(":
            stack.append("")
            continue
        count = int(token[1:4] or 1)
        if token[0] == ")" and len(stack) > 1:
            group = stack.pop()
        elif token[0].isalpha() and token[0].isascii():
            group = token[0]
        else:
            return ""
        if len(stack[-1]) + len(group) * count > _MOST_PARTS:
            raise MidiError(f"the parts {value[:40]!r} are more than {_MOST_PARTS}")
        stack[-1] += group * count
    return stack[0] if len(stack) == 1 else ""


# -------------------------------------------------------------------------------------------------------------- text

_MARKS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308", "=": "\u0304", "c": "\u0327",
          "u": "\u0306", "v": "\u030c", "H": "\u030b", ";": "\u0328", ".": "\u0307"}  # fmt: skip
_LIGATURES = {"AE": "Æ", "ae": "æ", "OE": "Œ", "oe": "œ", "AA": "Å", "aa": "å", "ss": "ß", "/O": "Ø", "/o": "ø",
              "DH": "Ð", "dh": "ð", "TH": "Þ", "th": "þ"}  # fmt: skip
_ESCAPE = re.compile(
    r"\\u([0-9A-Fa-f]{4})"
    r"|\\(" + "|".join(map(re.escape, _LIGATURES)) + r")"
    r"|\\([`'^~\"=cuvH;.])([A-Za-z])"
    r"|(&[A-Za-z]{2,8};|&\#\d{1,6};)"
    r"|\\([\\%&])"
)  # fmt: skip


def decode_text(text: str) -> str:
    r"""Text with the escapes of ABC as the characters they stand for: 'Caf\'e', 'Caf&eacute;', 'Caf\u00e9', '50\%'."""

    def character(match: re.Match[str]) -> str:
        code, ligature, mark, letter, entity, plain = match.groups()
        if code:
            value = int(code, 16)
            return match[0] if 0xD800 <= value < 0xE000 or value < 0x20 else chr(value)
        if mark:
            return unicodedata.normalize("NFC", letter + _MARKS[mark])
        if entity:
            return html.unescape(entity) if entity[1] == "#" else html.entities.html5.get(entity[1:], entity)
        return _LIGATURES[ligature] if ligature else plain

    return _ESCAPE.sub(character, text)


def encode_text(text: str) -> str:
    r"""The text for a field: in one line, with '\', '%' and the '&' of an entity escaped; `decode_text` undoes it."""
    line = " ".join(text.split()).replace("\\", "\\\\").replace("%", "\\%")
    return re.sub(r"&(?=#?\w{2,8};)", r"\\&", line)
