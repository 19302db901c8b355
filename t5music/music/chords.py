"""Chord symbols: the pitch classes of 'Am7', 'F#dim' or 'C/E', and bars of them as in '| Am F | C G |'."""

from __future__ import annotations

import re

from t5music.errors import ConfigError, nearest
from t5music.music.scales import pitch_class

Chord = tuple[int, ...]  # pitch classes, rising from 0 to 11; of no chord, all twelve

NO_CHORD = tuple(range(12))
# Semitones above the root.
QUALITIES = {
    "": (0, 4, 7),
    "maj": (0, 4, 7),
    "M": (0, 4, 7),
    "m": (0, 3, 7),
    "min": (0, 3, 7),
    "-": (0, 3, 7),
    "5": (0, 7),
    "dim": (0, 3, 6),
    "o": (0, 3, 6),
    "aug": (0, 4, 8),
    "+": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "sus": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "M7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "min7": (0, 3, 7, 10),
    "mMaj7": (0, 3, 7, 11),
    "dim7": (0, 3, 6, 9),
    "o7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "aug7": (0, 4, 8, 10),
    "7sus4": (0, 5, 7, 10),
    "add9": (0, 2, 4, 7),
    "9": (0, 2, 4, 7, 10),
    "maj9": (0, 2, 4, 7, 11),
    "m9": (0, 2, 3, 7, 10),
    "11": (0, 2, 4, 5, 7, 10),
    "13": (0, 2, 4, 7, 9, 10),
}
_SYMBOL = r"([A-G])([#♯b♭]?)([^/]*)(?:/([A-G])([#♯b♭]?))?"


def chord(symbol: str) -> Chord:
    """The pitch classes of a chord symbol; of 'N.C.' (no chord), all twelve. A bass after '/' belongs to them.

    Raises ConfigError for a symbol that is none.
    """
    if symbol.upper() in ("N.C.", "NC"):
        return NO_CHORD
    match = re.fullmatch(_SYMBOL, symbol)
    if match is None or match.group(3) not in QUALITIES:
        guess = nearest(match.group(3), filter(None, QUALITIES)) if match and match.group(3) else ""
        raise ConfigError(f"not a chord: {symbol!r}; write a root and a kind, such as Am, F#dim7 or C/E{guess}")
    root = pitch_class(match.group(1), match.group(2))
    notes = {(root + step) % 12 for step in QUALITIES[match.group(3)]}
    if match.group(4):
        notes.add(pitch_class(match.group(4), match.group(5)))
    return tuple(sorted(notes))


def bars_of_chords(text: str) -> tuple[tuple[Chord, ...], ...]:
    """The chords of each bar of '| Am F | C G |'; those of a bar share it equally, and '%' is the bar before.

    Raises ConfigError for a symbol that is none, and for no chord at all.
    """
    bars: list[tuple[Chord, ...]] = []
    for bar in filter(str.strip, text.split("|")):
        symbols = bar.split()
        if symbols == ["%"] and bars:
            bars.append(bars[-1])
        else:
            bars.append(tuple(map(chord, symbols)))
    if not bars:
        raise ConfigError(f"no chord in {text!r}; write bars of chords, such as '| Am F | C G |'")
    return tuple(bars)
