"""Music code: the signs that lines of music consist of in ABC, and what each adds to a voice."""

from __future__ import annotations

import re
from fractions import Fraction

from t5music.errors import MidiError
from t5music.music.abc_notation.items import ACCIDENTALS, LETTERS, Bar, Pitch
from t5music.music.abc_notation.voice import Voice

_LENGTH = r"\d{0,6}(?:/\d{1,6}|/{0,9})"
_PITCH = r"(?:\^{1,2}|_{1,2}|=[\^_]?|[\^_]\d{0,3}/\d{0,3})?[A-Ga-g][,']*"
_DECORATION = r"![^!\s|\[\]]{1,50}! | \+[^+\s|\[\]]{1,50}\+ | [.~H-Wh-w]"
_TIE = r"\.?-[,']?"  # its direction may stand after it
_QUOTED = r'"(?:[^"\\\n]|\\.){0,500}"'
_PASSES = r"\d{1,2}(?:[,.\-]\d{1,2})*"
TOKEN = re.compile(
    rf"""
    (?P<skip>[\s`\\$*\#;?@]+ | \{{[^}}]{{0,500}}\}} | y\d* | \((?!&|\d)[,']? | \) )
  | \+(?!f+\+)(?P<old_chord>\s*(?:{_PITCH}{_LENGTH}-?\s*){{2,20}})\+(?P<old_chord_tie>-)?
  | (?P<decoration>{_DECORATION} | ![^!|\[\]\n]*[H-WYh-wy][^!|\[\]\n]*! | !)
  | (?P<symbol>{_QUOTED})
  | \[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\]
  | (?P<bar>(?:\[(?=\|))?[:|](?:[:|\]]|\[(?=[|\]]))*)(?:(?:\s*\[|(?P<gap>\s*))(?P<ending>{_PASSES}))?
  | \[(?P<lone_ending>{_PASSES})
  | \[(?P<chord>[^\]|]{{0,500}})\](?P<chord_length>{_LENGTH})(?P<chord_tie>{_TIE})?
  | \((?P<notes>\d{{1,2}})(?::\s*(?P<time>\d{{0,2}}))?(?::\s*(?P<count>\d{{0,2}}))?
  | (?P<pitch>{_PITCH})(?P<length>{_LENGTH})(?P<tie>{_TIE})?
  | (?P<rest>[zx])(?P<rest_length>{_LENGTH})
  | [ZX](?P<bars>\d{{0,6}})
  | (?P<broken>>{{1,9}}|<{{1,9}})
  | (?P<lone_tie>-[,']?)
  | (?P<overlays>\(&)
  | (?P<overlays_end>&\))
  | (?P<overlay>&)
  | (?P<stray>[\[\]])
    """,
    re.VERBOSE,
)
_IN_CHORD = re.compile(
    rf"""
    (?P<skip>\([,']? | [\s)]+ | {_DECORATION} | [!+])
  | (?P<symbol>{_QUOTED})
  | (?P<pitch>{_PITCH})(?P<length>{_LENGTH})(?P<tie>{_TIE})?
  | (?P<rest>[zx])(?P<rest_length>{_LENGTH})
    """,
    re.VERBOSE,
)
_PARTS_OF_PITCH = re.compile(r"([\^_=]*)(\d*/\d*)?([A-Ga-g])([,']*)")
_SYMBOL = re.compile(
    r"[A-G][#b♯♭]?(?:maj|min|mi|ma|m|M|dim|aug|sus|add|alt|omit|no|o|[\d+\-°øΔ^(),/#b♯♭]|/[A-Ga-g][#b♯♭]?){0,12}"
)


def read_token(token: re.Match[str], voice: Voice) -> None:
    """Adds what a match of TOKEN says to the voice.

    Raises:
        MidiError: It makes no sense there.
    """
    if token["symbol"]:
        _add_symbol(voice, token["symbol"])
    elif token["bar"]:
        if token["bar"] != ":":  # a colon alone is no bar line
            voice.add_bar(_bar(token["bar"]))
        if token["ending"]:
            voice.begin_ending(_passes(token["ending"]), sure=not token["gap"])
    elif token["lone_ending"]:
        voice.begin_ending(_passes(token["lone_ending"]))
    elif token["notes"]:
        time, count = token["time"], token["count"]
        voice.begin_tuplet(int(token["notes"]), int(time) if time else None, int(count) if count else None)
    elif token["pitch"]:
        pitch = _pitch(voice, token["pitch"])
        voice.add_note((pitch,), _units(token["length"]), (pitch,) if token["tie"] else ())
    elif token["rest"]:
        voice.add_note((), _units(token["rest_length"]))
    elif token["broken"]:
        voice.break_rhythm(token["broken"])
    elif token["lone_tie"]:
        voice.tie_last_note()
    elif token["overlay"]:
        voice.begin_overlay()
    elif token["overlays"]:
        voice.begin_long_overlay()
    elif token["overlays_end"]:
        voice.end_long_overlay()
    elif token["old_chord"]:
        _add_chord(voice, token["old_chord"], "", bool(token["old_chord_tie"]))
    elif token["chord"] is not None:
        _add_chord(voice, token["chord"], token["chord_length"], bool(token["chord_tie"]))
    else:
        voice.add_bars_of_rest(int(token["bars"] or 1))


def _add_symbol(voice: Voice, quoted: str) -> None:
    name = quoted[1:-1].strip()
    if _SYMBOL.fullmatch(name):  # else it is an annotation, such as "^slow" or a fingering
        voice.add_symbol(name)


def _bar(line: str) -> Bar:
    """A bar line of any shape: colons before and after, thin lines | and thick ones [ and ]."""
    if set(line) == {":"}:
        return Bar(len(line) // 2, len(line) // 2)
    ends = len(line) - len(line.lstrip(":"))
    begins = len(line) - len(line.rstrip(":"))
    strokes = line.strip(":")
    return Bar(ends, begins, len(strokes) > 1 and strokes != "[|]" and ":" not in strokes)


def _passes(text: str) -> list[int]:
    """The passes of an ending: '1', '1,3', '1.3', '1-3'."""
    passes: list[int] = []
    for part in re.split("[,.]", text):
        first, *others = part.split("-")
        passes += range(int(first), int(others[-1] if others else first) + 1)
    return passes


def _units(text: str) -> Fraction:
    """The length of a note in units: '', '3', '3/2', '/', '//4' are 1, 3, 3/2, 1/2, 1/4."""
    over, slash, under = text.partition("/")
    if not slash:
        return Fraction(int(over or 1))
    divisor = int(under) if under.isdigit() else 2 ** (1 + len(under))
    if not divisor:
        raise MidiError(f"the length {text!r} cannot be read: it divides by 0")
    return Fraction(int(over or 1), divisor)


def _pitch(voice: Voice, text: str) -> Pitch:
    """A pitch as the voice reads it; a part of a semitone goes to the nearest semitone, half of one to the natural."""
    match = _PARTS_OF_PITCH.fullmatch(text)
    assert match is not None
    signs, microtone, letter, octaves = match.groups()
    step = LETTERS.index(letter.upper()) + 7 * (letter.islower() + octaves.count("'") - octaves.count(","))
    accidental = next((alter for alter, sign in ACCIDENTALS.items() if sign == signs.removeprefix("=")), None)
    if signs == "=":
        accidental = 0
    elif microtone:
        over, _, under = microtone.partition("/")
        part = Fraction(int(over or 1), int(under or 2) or 1)
        nearest = min(2, -(-(2 * part - 1) // 2))
        accidental = int(nearest) if signs == "^" else -int(nearest)
    return voice.pitch(accidental, step)


def _add_chord(voice: Voice, content: str, length: str, tied: bool) -> None:
    """Adds a chord. It is as long as its first note; rests in it are silent, and marks say nothing of its sound."""
    pitches: list[Pitch] = []
    ties: set[Pitch] = set()
    lengths: list[str] = []
    place = 0
    while place < len(content):
        token = _IN_CHORD.match(content, place)
        if token is None:
            raise MidiError(f"{content[place : place + 12]!r} cannot be read in the chord {content!r}")
        place = token.end()
        if token["symbol"]:
            _add_symbol(voice, token["symbol"])
        elif token["pitch"]:
            pitch = _pitch(voice, token["pitch"])
            pitches.append(pitch)
            if tied or token["tie"]:
                ties.add(pitch)
            lengths.append(token["length"])
        elif token["rest"]:
            lengths.append(token["rest_length"])
    if lengths:  # not so for []
        voice.add_note(tuple(pitches), _units(lengths[0]) * _units(length), tuple(p for p in pitches if p in ties))
