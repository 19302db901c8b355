"""Note matching: precision, recall and F1 of the notes of a file against those of another (mir_eval's).

A note is right where the reference has one of the same pitch, program aside, that begins within 50 ms; each note of
either is matched once, so that as many match as can (Raffel et al., "mir_eval", ISMIR 2014). The stricter figure also
asks that both end within a fifth of the reference note's duration, or 50 ms where that is more.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.csgraph import maximum_bipartite_matching

from t5music.music.score import DRUMS, Score

ONSET_TOLERANCE = 0.05  # seconds
OFFSET_RATIO = 0.2  # of the reference note's duration
ROUNDING = 1e-4  # seconds; to four decimals mir_eval rounds distances, so that one of exactly 50 ms is within


class Match(NamedTuple):
    """How well notes match; NaN where neither side has a note."""

    precision: float
    recall: float
    f1: float


def match(score: Score, reference: Score, region: tuple[float, float] | None = None, *, offsets: bool = False) -> Match:
    """Matches the notes of a piece with those of its reference.

    Args:
        score: the piece.
        reference: what it should be.
        region: (begin, end) in seconds: only notes that begin in it count; all if None.
        offsets: whether the ends of notes count, too.

    Returns:
        Precision and recall with respect to the reference, and their harmonic mean; 0 where only one side has notes.
    """
    notes, reference_notes = (_notes(part, region) for part in (score, reference))
    if not len(notes) and not len(reference_notes):
        return Match(math.nan, math.nan, math.nan)
    if not len(notes) or not len(reference_notes):
        return Match(0.0, 0.0, 0.0)
    matched = _count(notes, reference_notes, offsets=offsets)
    precision, recall = matched / len(notes), matched / len(reference_notes)
    return Match(precision, recall, 2 * matched / (len(notes) + len(reference_notes)))


def _notes(score: Score, region: tuple[float, float] | None) -> NDArray[np.float64]:
    """(onset, end, pitch) in order of onset, float64 [notes, 3]; percussion has pitches of its own."""
    notes = score.notes
    onsets, ends = score.seconds(notes["onset"]), score.seconds(notes["onset"] + notes["duration"])
    rows = np.stack([onsets, ends, notes["pitch"] + 128 * (notes["program"] == DRUMS)], axis=1)
    return rows if region is None else rows[(onsets >= region[0]) & (onsets < region[1])]


def _count(notes: NDArray[np.float64], reference_notes: NDArray[np.float64], *, offsets: bool) -> int:
    """The size of the greatest matching of notes, each at most once."""
    pairs: list[tuple[int, int]] = []
    for pitch in np.unique(reference_notes[:, 2]):
        rows, columns = np.flatnonzero(notes[:, 2] == pitch), np.flatnonzero(reference_notes[:, 2] == pitch)
        onsets = notes[rows, 0]
        first = np.searchsorted(onsets, reference_notes[columns, 0] - ONSET_TOLERANCE - ROUNDING)
        last = np.searchsorted(onsets, reference_notes[columns, 0] + ONSET_TOLERANCE + ROUNDING, side="right")
        for column, begin, stop in zip(columns.tolist(), first.tolist(), last.tolist(), strict=True):
            near = [row for row in rows[begin:stop].tolist() if _is_near(notes[row], reference_notes[column], offsets)]
            pairs += [(row, column) for row in near]
    if not pairs:
        return 0
    rows, columns = np.array(pairs).T
    graph = scipy.sparse.csr_array(
        (np.ones(len(pairs), bool), (rows, columns)), shape=(len(notes), len(reference_notes))
    )
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))


def _is_near(note: NDArray[np.float64], other: NDArray[np.float64], offsets: bool) -> bool:
    """Whether a note begins, and with `offsets` ends, near enough to the reference's."""
    begins, ends = np.around(np.abs(note[:2] - other[:2]), 4)
    tolerance = max(OFFSET_RATIO * (other[1] - other[0]), ONSET_TOLERANCE)
    return bool(begins <= ONSET_TOLERANCE and (not offsets or ends <= tolerance))
