"""Promises: what new music is bound to, such as its key, its chords, its rhythm or its length.

A promise is compiled into the decoding loop as a mask over the words that may come next: it holds for every note that
the model writes, and nothing is tried and thrown away. `Promises()` promises nothing. Each promise can be written as
text, the same for the flags of `t5music generate`, for Python and for the page:

    Promises.from_text(key="A minor", chords="| Am F | C G |", length="8 bars")

PROMISES declares them: from it, flags and controls are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from t5music.errors import ConfigError, nearest
from t5music.music.chords import Chord, bars_of_chords
from t5music.music.scales import pitch_class, scale

HIGHEST = 127  # pitch in MIDI
MOST_NOTES = 32  # that may be promised to sound at once at most, or to begin in a bar
MOST_BARS = 512
MOST_SECONDS = 1_800
PHRASE = 4  # bars


class Key(NamedTuple):
    """The notes of a key or a scale.

    Attributes:
        pitch_classes: 0 to 11, from C.
        share: of the new pitched notes that are at least in it, above 0 and at most 1; it holds from every note on
            backwards.
    """

    pitch_classes: tuple[int, ...]
    share: float = 1.0


class Range(NamedTuple):
    """From which pitch to which an instrument plays.

    Attributes:
        programs: the instruments, from 0; () for all that have no range of their own. Percussion has no range.
        low: the lowest pitch in MIDI.
        high: the highest.
    """

    programs: tuple[int, ...]
    low: int
    high: int


class Part(NamedTuple):
    """Some bars of a track.

    Attributes:
        track: its name, in part and in any case, or its number from 1; "" for all.
        first: the first bar, from 1; None for all of them.
        last: the last bar.
    """

    track: str = ""
    first: int | None = None
    last: int | None = None


class Length(NamedTuple):
    """How long new music is.

    Attributes:
        unit: "bars"; "seconds", in encodings with bars up to the first bar line that is no sooner; or "phrases", of
            PHRASE bars each.
        amount: how many of them; 0 for as many phrases as fit.
    """

    unit: str
    amount: float


@dataclass(frozen=True)
class Promises:
    """What new music is bound to. The fields' defaults promise nothing.

    Attributes:
        instruments: programs of the new notes, from 0, 128 for percussion; () for those of the music. As text: names or
            numbers, "violin, drums".
        key: the key or scale of the pitched notes. As text: "A minor", "D dorian", "C major 90%" for a share of them.
        range: pitches of instruments, all ends included. As text: "violin G3-A7, cello 36-76", "C3-C6" for all.
        polyphony: the pitched new notes that sound at once, at most. As text: "4".
        grid: the steps on which notes begin, in twelfths of a quarter, counted from the bar line: of several, on any of
            them. As text: "1/8", "1/16, 1/8t" (t for triplets).
        density: (least, most) notes that begin in a bar. As text: "4-12", "4-", "-12".
        rhythm_of: the track whose onsets and durations the new notes have, from the bar at which they begin on; "" for
            none. As text: its name, or its number from 1.
        chords: of each bar, from the new music's first bar on and then again, the pitch classes that may sound. As
            text: "| Am F | C G |".
        chords_of: the track whose notes are the chords, half bar by half bar; "" for none. As text: as `rhythm_of`.
        chords_on: where the chords bind: "strong" for notes that begin with a bar, in its middle if it has an even
            number of beats, or where a chord changes; "always" for all notes.
        lock: what stays as it is where music is filled in. As text: "bass", "piano bars 3-4", "bars 3-4"; several with
            commas.
        length: of the new music. As text: "8 bars", "20 s", "phrase" (as many phrases of 4 bars as fit).
    """

    instruments: tuple[int, ...] = ()
    key: Key | None = None
    range: tuple[Range, ...] = ()
    polyphony: int | None = None
    grid: tuple[int, ...] = ()
    density: tuple[int, int] | None = None
    rhythm_of: str = ""
    chords: tuple[tuple[Chord, ...], ...] = ()
    chords_of: str = ""
    chords_on: str = "strong"
    lock: tuple[Part, ...] = ()
    length: Length | None = None

    @classmethod
    def from_text(cls, **texts: str | None) -> Promises:
        """The promises of texts, by the fields' names; None and "" promise nothing.

        Raises ConfigError for a name that is none, or a text that cannot be read; it names the field.
        """
        by_name = {promise.name: promise for promise in PROMISES}
        values = {}
        for name, text in texts.items():
            if name not in by_name:
                raise ConfigError(
                    f"there is no promise {name!r} (there are {', '.join(by_name)}){nearest(name, by_name)}"
                )
            if text is not None and text.strip():
                try:
                    values[name] = by_name[name].parse(text.strip())
                except ConfigError as error:
                    raise ConfigError(f"--{name} {str(error).removeprefix(f'--{name} ')}") from error
        promises = cls(**values)
        if promises.chords and promises.chords_of:
            raise ConfigError("--chords and --chords_of both say the chords: give one of them")
        return promises

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that promise something, in order; `chords_on` counts with the chords."""
        default = Promises()
        return tuple(
            field.name
            for field in fields(self)
            if field.name != "chords_on" and getattr(self, field.name) != getattr(default, field.name)
        )

    def require_meaning(self, encoding: str) -> None:
        """Raises ConfigError for a promise that has no meaning in the words of this encoding."""
        meaningful = MEANINGFUL.get(encoding, ("instruments",))
        for name in self.names:
            if name not in meaningful:
                others = ", ".join(other for other, names in MEANINGFUL.items() if name in names)
                instead = f"; choose a task in {others}" if others else ""
                raise ConfigError(f"--{name} has no meaning in {encoding}, the words of this model's task{instead}")


NOTHING = Promises()
# The promises that each encoding's words can keep; those of an encoding that is not here, instruments alone.
MEANINGFUL: dict[str, tuple[str, ...]] = {
    "remi": tuple(field.name for field in fields(Promises)),
    "performance": ("instruments", "key", "range", "polyphony", "length"),
}


class Promise(NamedTuple):
    """The declaration of a promise.

    Attributes:
        name: the field of `Promises`, and the flag without its dashes.
        metavar: what stands for its value in a help text.
        help: what it promises, and how it is written.
        parse: text -> the field's value; raises ConfigError with what can be said.
        many: whether a flag takes several words, which are parsed with commas between them.
        choices: all the texts there are, where there are few.
    """

    name: str
    metavar: str
    help: str
    parse: Callable[[str], Any]
    many: bool = False
    choices: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------------- reading


def _instruments(text: str) -> tuple[int, ...]:
    from t5music.music.instruments import programs_named

    return tuple(sorted({program for name in text.split(",") for program in programs_named(name)}))


def _key(text: str) -> Key:
    match = re.fullmatch(r"(.*?)(?:\s+(\d+(?:\.\d+)?)\s*%)?", text, re.DOTALL)
    assert match is not None  # any text matches
    share = float(match.group(2) or 100) / 100
    if not 0 < share <= 1:
        raise ConfigError(f"a share must be above 0 % and at most 100 %, not {text!r}")
    return Key(scale(match.group(1)), share)


_NOTE = r"(?:[A-Ga-g][#b]?-?\d|\d{1,3})"
_RANGE = rf"(?:(.*?)\s+)?({_NOTE})\s*-\s*({_NOTE})"


def _pitch(text: str) -> int:
    """The pitch of 'C4' (60), 'F#3' or '54'."""
    match = re.fullmatch(r"([A-Ga-g])([#b]?)(-?\d)", text)
    if match is None:
        pitch = int(text)
    else:
        shift = {"": 0, "#": 1, "b": -1}[match.group(2)]
        pitch = 12 * (int(match.group(3)) + 1) + pitch_class(match.group(1), "") + shift
    if not 0 <= pitch <= HIGHEST:
        raise ConfigError(f"must be pitches from 0 (C-1) to {HIGHEST} (G9), not {text!r}")
    return pitch


def _ranges(text: str) -> tuple[Range, ...]:
    ranges = []
    for item in text.split(","):
        match = re.fullmatch(_RANGE, item.strip())
        if match is None:
            raise ConfigError(f"must be pitches, LOW-HIGH, such as 'C3-C6' or 'violin G3-A7', not {item.strip()!r}")
        low, high = _pitch(match.group(2)), _pitch(match.group(3))
        if low > high:
            raise ConfigError(f"must be LOW-HIGH, the lower pitch first, not {item.strip()!r}")
        programs = _instruments(match.group(1)) if match.group(1) else ()
        ranges.append(Range(programs, low, high))
    return tuple(ranges)


def _whole(text: str, least: int, most: int, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and least <= int(text) <= most):
        raise ConfigError(f"must be {what} from {least} to {most}, not {text!r}")
    return int(text)


def _polyphony(text: str) -> int:
    return _whole(text, 1, MOST_NOTES, "a number of notes")


GRIDS = {"1/1": 48, "1/2": 24, "1/4": 12, "1/8": 6, "1/16": 3, "1/4t": 8, "1/8t": 4, "1/16t": 2}
_GRID_WORDS = {"quarters": "1/4", "eighths": "1/8", "sixteenths": "1/16", "triplets": "1/8t"}


def _grid(text: str) -> tuple[int, ...]:
    names = [_GRID_WORDS.get(name.strip().lower(), name.strip().lower()) for name in text.split(",")]
    for name in names:
        if name not in GRIDS:
            raise ConfigError(
                f"must be of {', '.join(GRIDS)} (t: triplets), {', '.join(_GRID_WORDS)}, not {name!r}"
                f"{nearest(name, [*GRIDS, *_GRID_WORDS])}"
            )
    return tuple(sorted({GRIDS[name] for name in names}))


def _density(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{0,3})\s*-\s*(\d{0,3})", text)
    low, high = (int(match.group(1) or 0), int(match.group(2) or MOST_NOTES)) if match else (0, 0)
    if match is None or not any(match.groups()) or not low <= high <= MOST_NOTES or high < 1:
        raise ConfigError(
            f"must be notes a bar, LEAST-MOST, of at most {MOST_NOTES}, such as 4-12, 4- or -12, not {text!r}"
        )
    return low, high


def _track(text: str) -> str:
    return text


def _chords_on(text: str) -> str:
    if text not in ("strong", "always"):
        raise ConfigError(f"must be strong or always, not {text!r}{nearest(text, ['strong', 'always'])}")
    return text


def parts(text: str) -> tuple[Part, ...]:
    """Bars of tracks: 'bass', 'piano bars 3-4', 'bars 3-4', 'bar 7'; several with commas. Raises ConfigError."""
    result = []
    for item in text.split(","):
        match = re.fullmatch(r"(.*?)\s*(?:\bbars?\s+(\d{1,5})(?:\s*-\s*(\d{1,5}))?)?", item.strip(), re.IGNORECASE)
        first = int(match.group(2)) if match and match.group(2) else None
        last = int(match.group(3)) if match and match.group(3) else first
        if not match or not match.group() or (first is not None and last is not None and not 1 <= first <= last):
            raise ConfigError(f"must be tracks and bars, such as 'piano bars 3-4', bars from 1, not {item.strip()!r}")
        result.append(Part(match.group(1), first, last))
    return tuple(result)


def _length(text: str) -> Length:
    if text in ("phrase", "phrases"):
        return Length("phrases", 0)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(bars?|s|seconds?|phrases?)", text)
    unit = {"b": "bars", "s": "seconds", "p": "phrases"}[match.group(2)[0]] if match else ""
    amount = float(match.group(1)) if match else 0
    most = {"bars": MOST_BARS, "seconds": MOST_SECONDS, "phrases": MOST_BARS // PHRASE}.get(unit, 0)
    if not 0 < amount <= most or (unit != "seconds" and amount != int(amount)):
        raise ConfigError(
            f"must be '8 bars' (at most {MOST_BARS}), '20 s' (at most {MOST_SECONDS}), '2 phrases' or 'phrase', "
            f"not {text!r}"
        )
    return Length(unit, amount)


PROMISES = (
    Promise(
        "instruments",
        "NAME",
        "instruments for the new notes: names or numbers of General MIDI, from 0, and drums (default: those of the "
        "file; for an accompaniment of a single part, all)",
        _instruments,
        many=True,
    ),
    Promise("key", "KEY", "key or scale of the new notes: 'A minor', 'D dorian', 'C major 90%' for a share", _key),
    Promise("range", "RANGE", "pitches of the new notes: 'C3-C6', 'violin G3-A7, cello 36-76'", _ranges),
    Promise("polyphony", "N", "how many new pitched notes sound at once, at most", _polyphony),
    Promise("grid", "GRID", "where new notes begin: 1/4, 1/8, 1/16, 1/8t (triplets), '1/16, 1/8t' ...", _grid),
    Promise("density", "LEAST-MOST", "how many new notes begin in a bar: 4-12, 4-, -12", _density),
    Promise("rhythm_of", "TRACK", "the track, by name or number from 1, whose rhythm the new notes have", _track),
    Promise("chords", "CHORDS", "chords of the new bars, over and over: '| Am F | C G |'", bars_of_chords),
    Promise("chords_of", "TRACK", "the track, by name or number from 1, whose notes are the chords", _track),
    Promise(
        "chords_on",
        "WHERE",
        "where chords bind: strong (beats) or always (default: strong)",
        _chords_on,
        choices=("strong", "always"),
    ),
    Promise(
        "lock", "PART", "what stays where music is filled in: bass, 'piano bars 3-4', 'bars 3-4'", parts, many=True
    ),
    Promise("length", "LENGTH", "length of the new music: '8 bars', '20 s', 'phrase'", _length),
)


def joined(values: Mapping[str, Any]) -> dict[str, str | None]:
    """The texts of flags' values, by name: several words of one flag with commas between them."""
    return {
        promise.name: ", ".join(value) if isinstance(value := values.get(promise.name), list) else value
        for promise in PROMISES
    }
