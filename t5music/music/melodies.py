"""Melodies: the melody of any music as a score of its own, one line, one loudness, so that any two compare."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from t5music.music import themes
from t5music.music.score import DRUMS, PEDAL, Score

NAME = "melody"
PIANOS = 8  # General MIDI programs 0..7
LOWEST = 60  # middle C: what a pianist plays below is left to the left hand
GRID = 12  # parts of a quarter note; two hands strike one chord within one of them
VELOCITY = 80


def melody(score: Score) -> Score:
    """The melody alone, on one track of that name, played by a piano.

    The tracks called "melody", where there are any. Otherwise what the pianos play from middle C up (or, without a
    piano, any pitched instrument), in notes moved to the nearest GRID-th of a quarter, and of these the skyline
    (`themes.melody`): the highest at each onset unless a higher one sounds on. A note ends where the next one begins.
    """
    names = np.array([name.strip().lower() == NAME for name in score.track_names] or [False])
    named = names[score.notes["track"]]
    notes = score.notes[named] if named.any() else _upper(score)
    notes = themes.melody(score.with_notes(notes)).copy()
    following = np.append(notes["onset"][1:], np.iinfo(np.int64).max)
    notes["duration"] = np.minimum(notes["duration"], following - notes["onset"])
    notes["velocity"], notes["program"], notes["track"] = VELOCITY, 0, 0
    return dataclasses.replace(score, notes=notes, pedals=np.empty(0, PEDAL), track_names=(NAME,))


def _upper(score: Score) -> NDArray:
    """What may be a melody where no track is called so."""
    programs = score.notes["program"]
    piano = programs < PIANOS
    notes = score.notes[(piano if piano.any() else programs != DRUMS) & (score.notes["pitch"] >= LOWEST)].copy()
    unit = score.ticks_per_quarter / GRID
    notes["onset"] = np.rint(np.rint(notes["onset"] / unit) * unit)
    return notes
