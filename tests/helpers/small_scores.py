"""Small scores that a reader can follow, for the tests of the kinds of examples: `from small_scores import chorale`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from t5music.corpora.base import Piece
from t5music.music.score import METER, NOTE, Score

QUARTER = 480
BAR = 4 * QUARTER


def tune(pitches: Sequence[int], *, program: int = 40, length: int = QUARTER, name: str = "melody") -> Score:
    """One voice in 4/4, each note as long as the next; a pitch of 0 is a rest."""
    notes = [(n * length, length, pitch, 80, program, 0) for n, pitch in enumerate(pitches) if pitch]
    return Score(QUARTER, np.array(notes, NOTE), meters=np.array([(0, 4, 4)], METER), track_names=(name,))


def chorale(bars: int = 8) -> Score:
    """Four voices in 4/4: the soprano in quarters, the others in halves."""
    notes = []
    for bar in range(bars):
        start = bar * BAR
        notes += [(start + beat * QUARTER, QUARTER, 72 + beat, 80, 52, 0) for beat in range(4)]
        for track, pitch in ((1, 67), (2, 60), (3, 48)):
            notes += [(start + half * BAR // 2, BAR // 2, pitch + bar % 3, 80, 52, track) for half in range(2)]
    meters = np.array([(0, 4, 4)], METER)
    return Score(QUARTER, np.array(notes, NOTE), meters=meters, track_names=("Soprano", "Alto", "Tenor", "Bass"))


def piece(score: Score, **labels: str) -> Piece:
    """A corpus' piece of a score."""
    return Piece("a piece", score, labels)


def sounding(score: Score, tracks: Sequence[int] | None = None) -> set[tuple[float, float, int]]:
    """(onset, duration, pitch) of the notes, in half seconds; of some tracks only where they are named."""
    notes = score.notes if tracks is None else score.notes[np.isin(score.notes["track"], tracks)]
    beats = [np.round(score.seconds(ticks) * 2, 2) for ticks in (notes["onset"], notes["onset"] + notes["duration"])]
    return {(float(on), float(off - on), int(pitch)) for on, off, pitch in zip(*beats, notes["pitch"], strict=True)}


NOTHING = Score(QUARTER, np.empty(0, NOTE))
