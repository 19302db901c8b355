"""The 24 keys by name."""

from __future__ import annotations

import re

# Named as most key signatures have them; the pitch class of the tonic is the place in its row.
_MAJOR = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
KEYS = (*(f"{tonic} major" for tonic in _MAJOR), *(f"{tonic} minor" for tonic in _MINOR))

STEPS = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))  # pitch classes of the naturals
_NAME = re.compile(r"([A-G])(#|b|-)?\s*((?i:major|maj|minor|min)|m|)")


def key_index(name: str) -> int | None:
    """The index into KEYS of 'C major', 'F#m', 'B- minor', 'Gmin' or 'G'; None for modes and anything else."""
    match = _NAME.fullmatch(name.strip())
    if match is None:
        return None
    step, accidental, mode = match.groups()
    minor = mode == "m" or mode.lower() in ("minor", "min")
    return (STEPS[step] + {None: 0, "#": 1}.get(accidental, -1)) % 12 + 12 * minor
