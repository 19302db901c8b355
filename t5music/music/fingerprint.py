"""Near-duplicates kept on one side of a split: a piece is known by how it opens, and its side follows from that alone.

The web's copies of a piece differ in bytes, tempo, velocities, instruments and key far more often than in the line of
their highest notes. So the fingerprint is that line's intervals, and a piece's split is a hash of its fingerprint: it
depends on no other file, on no order and on no machine, and never changes when files are added.
"""

from __future__ import annotations

import hashlib

import numpy as np

from t5music.errors import ConfigError
from t5music.music.score import DRUMS, Score

OPENING_NOTES = 32


def opening(score: Score, notes: int = OPENING_NOTES) -> str:
    """The fingerprint of a piece: 32 hexadecimal digits, equal for pieces that open alike.

    Hashes the intervals along the highest notes, one at each instant at which a pitched note begins, until `notes` of
    them or the end are reached; a note repeated counts once. (Repeated notes open many pieces: with them counted, nine
    unlike files of 3,000 have one fingerprint; without, no more than copies and medleys do.) Of time only the order
    counts: no tempo, resolution, velocity, duration, instrument, track or key does. A piece of percussion alone is
    known by its percussion. Pieces without notes have one fingerprint in common.
    """
    pitched = score.notes["program"] != DRUMS
    heard = score.notes[pitched if pitched.any() else slice(None)]
    order = np.lexsort((heard["pitch"], heard["onset"]))
    onset, pitch = heard["onset"][order], heard["pitch"][order]
    highest = pitch[np.diff(onset, append=-1) != 0]
    line = highest[np.diff(highest, prepend=-1) != 0][:notes]
    intervals = np.diff(line).astype("<i2")  # the same bytes on every machine
    return hashlib.sha256(bytes([len(line) > 0]) + intervals.tobytes()).hexdigest()[:32]


def split_of(fingerprint: str, *, validation: float = 0.05, test: float = 0.05, salt: str = "") -> str:
    """The split of everything with a fingerprint: 'train', 'validation' or 'test'.

    Args:
      fingerprint: what `opening` returns, or any other name of a group that must stay together.
      validation, test: shares of the fingerprints (not of the pieces) to expect there; the rest is for training.
      salt: another salt gives another, independent split.

    Raises:
      ConfigError: shares below 0, or that leave nothing for training.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise ConfigError(f"shares validation={validation} and test={test} must be at least 0 and together below 1")
    digest = hashlib.sha256(f"{salt}\0{fingerprint}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64  # uniform on [0, 1)
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"
