"""Printed keys: the key that a score states by its signature and its end."""

from __future__ import annotations

import numpy as np

from t5music.music.score import DRUMS, Score


def printed_key(score: Score) -> int | None:
    """The index into KEYS of the key that a printed score states: its signature, and the bass on which it ends.

    A signature alone does not tell major from minor, and a piece in a mode has one as well. So a piece is in the major
    or the minor key of its signature where the lowest note that sounds at its last onset is that key's tonic.

    Returns:
        None for a score without a signature or with several, without pitched notes, that ends on any other note, or
        whose signature says minor and whose end says major.
    """
    sharps = np.unique(score.keys["fifths"])
    notes = score.notes[score.notes["program"] != DRUMS]
    if len(sharps) != 1 or not len(notes):
        return None
    last = notes["onset"].max()
    bass = int(notes["pitch"][notes["onset"] + notes["duration"] > last].min(initial=127)) % 12
    major = 7 * int(sharps[0]) % 12
    if bass == major and not score.keys["minor"].any():
        return major
    return (major + 9) % 12 + 12 if bass == (major + 9) % 12 else None
