"""Descriptors: numbers that describe music, to compare generated with real music.

Pitch range, numbers of pitches, entropies, scale and groove consistency and polyphony are MusPy's (Dong et al., ISMIR
2020). MusPy's rate of empty beats is a share of time here, because performances have no beats. None depends on how
music is divided into tracks: written and generated files divide it differently.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from t5music.analysis import repetition
from t5music.music import note_classes
from t5music.music.score import DRUMS, Score
from t5music.music.texture import describe, entropy

# Of `describe_piece`, in the order of tables: name -> what it is.
MEANINGS = {
    "notes": "notes",
    "bars": "bars, from the first to the last in which a note begins",
    "notes_per_second": "notes per second",
    "notes_per_bar": "notes per bar",
    "pitches": "different pitches",
    "pitch_range": "semitones from the lowest to the highest note",
    "pitch_entropy": "entropy of the pitches, bits",
    "pitch_class_entropy": "entropy of the pitch classes, bits",
    "scale_consistency": "share of notes in the best major or minor scale",
    "pitch_interval": "semitones between neighbours of the highest line, up or down",
    "inter_onset": "seconds between onsets",
    "polyphony": "notes sounding at once, where any sounds",
    "silence": "share of the time without a note",
    "groove_consistency": "likeness of the onsets of neighbouring bars",
    "self_similarity": "likeness of bars up to 40 bars apart",
    "longest_loop": "bars of the longest pattern that is heard three times or more in a row",
}
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_SCALES = np.array([np.isin(np.arange(12), (np.array(s) + k) % 12) for s in (_MAJOR, _MINOR) for k in range(12)])


def describe_piece(score: Score) -> dict[str, float]:
    """Describes a whole piece, from its first onset to the end of its last note.

    Args:
        score: the music.

    Returns:
        The figures of MEANINGS, in that order; NaN where there is nothing to measure. Those of pitches leave out
        percussion. Scale and groove consistency are MusPy's, the latter with onsets on 1/12 quarters and only between
        neighbouring bars of the same meter; see `repetition` for the last two.
    """
    onsets = np.unique(score.seconds(score.notes["onset"]))
    begin = float(onsets[0]) if len(onsets) else 0.0
    notes = score.notes[score.notes["program"] != DRUMS]
    pitches = notes["pitch"].astype(np.int64)
    bars = repetition.bars_of(score)
    line = np.abs(np.diff(highest_line(score)))
    figures = describe(score, begin, score.duration_seconds)
    figures |= {
        "notes": float(len(score.notes)),
        "bars": float(len(bars)),
        "notes_per_bar": len(score.notes) / len(bars) if bars else math.nan,
        "pitches": float(len(np.unique(pitches))) if len(pitches) else math.nan,
        "pitch_entropy": entropy(np.bincount(pitches)) if len(pitches) else math.nan,
        "scale_consistency": float((_SCALES @ np.bincount(pitches % 12, minlength=12)).max() / len(pitches))
        if len(pitches)
        else math.nan,
        "pitch_interval": float(line.mean()) if len(line) else math.nan,
        "inter_onset": float(np.diff(onsets).mean()) if len(onsets) > 1 else math.nan,
        "groove_consistency": repetition.groove_consistency(bars),
        "self_similarity": repetition.self_similarity(bars),
        "longest_loop": float(repetition.longest_loop(bars)) if bars else math.nan,
    }
    return {name: figures[name] for name in MEANINGS}


def highest_line(score: Score) -> NDArray[np.int64]:
    """The pitches of the skyline, int64 [notes]: pitched notes that are the highest sounding where they begin."""
    pitched = score.with_notes(score.notes[score.notes["program"] != DRUMS])
    return pitched.notes["pitch"][note_classes.skyline(pitched) == note_classes.MELODY].astype(np.int64)
