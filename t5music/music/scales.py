"""Scales by name: the pitch classes of keys, modes, pentatonic and other scales."""

from __future__ import annotations

import re

from t5music.errors import ConfigError, nearest
from t5music.music.keys import STEPS

# Semitones above the tonic.
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "octatonic": (0, 1, 3, 4, 6, 7, 9, 10),
    "chromatic": tuple(range(12)),
}
_SHORT = {"": "major", "M": "major", "maj": "major", "m": "minor", "min": "minor"}
_NAME = r"([A-Ga-g])([#♯b♭-]?)\s*(.*)"
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1, "-": -1}


def pitch_class(step: str, accidental: str) -> int:
    """The pitch class, 0 to 11 from C, of a letter and '', '#', 'b' or '-'."""
    return (STEPS[step.upper()] + _ACCIDENTALS[accidental]) % 12


def scale(name: str) -> tuple[int, ...]:
    """The pitch classes, rising from 0 to 11, of 'A minor', 'F#m', 'D dorian', 'C minor pentatonic' or 'G'.

    Raises ConfigError for a name that is none.
    """
    match = re.fullmatch(_NAME, name.strip())
    written = match.group(3) if match else ""
    words = " ".join(written.lower().split())
    kind = _SHORT.get(written, _SHORT.get(words, words))  # M is major, m is minor
    if match is None or kind not in SCALES:
        guess = nearest(kind, SCALES) if match else ""
        raise ConfigError(
            f"not a key or a scale: {name!r}; write a tonic and a scale, such as 'A minor' ({', '.join(SCALES)}){guess}"
        )
    tonic = pitch_class(match.group(1), match.group(2))
    return tuple(sorted((tonic + step) % 12 for step in SCALES[kind]))
