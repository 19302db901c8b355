"""Note histograms: the features of mgeval that are more than a number (Yang and Lerch, NCA 2020).

Histograms are shares that add up to 1, so that long and short pieces can be compared. mgeval follows each track; here
transitions follow the highest line, because files divide the same music into tracks differently. Its lengths of notes
are parts of a bar; here they are parts of a whole note.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from t5music.analysis.descriptors import highest_line
from t5music.music.score import DRUMS, Score

# Whole, half, quarter, eighth, sixteenth; dotted half to sixteenth; triplet half, quarter, eighth. In 1/96 whole notes.
LENGTHS = np.array([96, 48, 24, 12, 6, 72, 36, 18, 9, 32, 16, 8])


def note_histograms(score: Score) -> dict[str, NDArray[np.float64]]:
    """The histograms of a piece, all zeros where it has nothing to count.

    Args:
        score: the music; percussion counts in the lengths of notes alone.

    Returns:
        "pitch_classes" [12], weighted by duration; "pitch_class_transitions" [144], along the highest line;
        "note_lengths" [12], by the nearest of LENGTHS; "note_length_transitions" [144], between onsets in order, of the
        longest note that begins at each.
    """
    notes = score.notes
    pitched = notes[notes["program"] != DRUMS]
    classes = highest_line(score) % 12
    nearest = _nearest_length(notes["duration"], score.ticks_per_quarter)
    onsets, place = np.unique(notes["onset"], return_inverse=True)
    longest = np.zeros(len(onsets), np.int64)
    np.maximum.at(longest, place, notes["duration"])
    lengths = _nearest_length(longest, score.ticks_per_quarter)
    return {
        "pitch_classes": _shares(np.bincount(pitched["pitch"] % 12, pitched["duration"], minlength=12)),
        "pitch_class_transitions": _transitions(classes),
        "note_lengths": _shares(np.bincount(nearest, minlength=12)),
        "note_length_transitions": _transitions(lengths),
    }


def _nearest_length(durations: NDArray, ticks_per_quarter: int) -> NDArray[np.int64]:
    """The index into LENGTHS of each duration in ticks; the first of two that are as near."""
    parts = durations * (96 / (4 * ticks_per_quarter))
    return np.abs(parts[:, None] - LENGTHS).argmin(axis=1)


def _transitions(kinds: NDArray[np.int64]) -> NDArray[np.float64]:
    return _shares(np.bincount(12 * kinds[:-1] + kinds[1:], minlength=144))


def _shares(counts: NDArray) -> NDArray[np.float64]:
    return counts / max(counts.sum(), 1)
