"""Longest run: the longest run of notes that music shares with a collection, in any key and at any tempo.

A run is consecutive notes, ordered by onset and, within an onset, by pitch, without percussion. Two runs are the same
if each note follows the one before it by the same interval and after the same number of 1/12 quarters (from rounded
onsets; all gaps beyond four whole notes count as the same). So a transposition is a copy, and so is the same music at
another tempo or with other durations, velocities and instruments; music with one voice more or less is not.

    index = RunIndex({"tune": score, ...})
    index.longest(generated)       # Run(notes=17, start=4, piece="tune", position=32, interval=-2)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.score import DRUMS, Score

STEPS_PER_QUARTER = 12  # those of remi's grid, so that music in its words is compared exactly
LONGEST_GAP = 16 * STEPS_PER_QUARTER
_GAPS = LONGEST_GAP + 1
_NOWHERE = -1  # the code of a step that is not in the collection


class Run(NamedTuple):
    """Consecutive notes that are also in the collection.

    Attributes:
        notes: the number of notes.
        start: the index of the first note in the query.
        piece: the name of the piece of the collection that has them; "" if none has.
        position: the index of the first note in that piece.
        interval: semitones from that piece up to the query.
    """

    notes: int
    start: int
    piece: str
    position: int
    interval: int


class RunIndex:
    """A suffix array of the notes of a collection; the time of a search depends almost on the query alone."""

    def __init__(self, scores: Mapping[str, Score]) -> None:
        """Builds the index.

        Args:
            scores: name -> score. If several pieces have the same run, any one of them is named.
        """
        self._names = list(scores)
        self._pitches = [ordered(score)["pitch"].astype(np.int64) for score in scores.values()]
        codes_of = [steps(score) for score in scores.values()]
        # A code that occurs once ends each piece, so that no run goes beyond its piece.
        separated = [np.append(codes, _NOWHERE - 1 - number) for number, codes in enumerate(codes_of)]
        self._begins = np.cumsum([0, *(len(codes) for codes in separated)])
        self._codes = np.concatenate([*separated, np.empty(0, np.int64)])
        self._suffixes = _suffix_array(self._codes)

    def longest(self, score: Score) -> Run:
        """The longest run of a score's notes that is in the collection; of several, the first.

        Any note is a run of 1 if the collection has any note; a score without notes has a run of 0.
        """
        codes, pitches = steps(score), ordered(score)["pitch"].astype(np.int64)
        first_piece = next((number for number, piece_pitches in enumerate(self._pitches) if len(piece_pitches)), None)
        if not len(pitches) or first_piece is None:
            return Run(0, 0, "", 0, 0)
        lengths, places = self._match(codes)
        start = int(np.argmax(lengths)) if len(lengths) else 0
        if not len(lengths) or not lengths[start]:
            return Run(1, 0, self._names[first_piece], 0, int(pitches[0] - self._pitches[first_piece][0]))
        piece = int(np.searchsorted(self._begins, places[start], side="right")) - 1
        position = int(places[start] - self._begins[piece])
        interval = int(pitches[start] - self._pitches[piece][position])
        return Run(int(lengths[start]) + 1, start, self._names[piece], position, interval)

    def _match(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Finds the longest match that begins at each of the codes.

        All beginnings advance together, code by code; each that still matches has a range of the suffix array.

        Returns:
            (lengths of the matches, where they begin in the collection's codes), int64 [codes] each.
        """
        lengths, places = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.int64)
        starts = np.arange(len(codes))  # where matches begin that may be longer than `depth`
        low, high = np.zeros(len(codes), np.int64), np.full(len(codes), len(self._suffixes))
        depth = 0
        while len(starts):
            targets = codes[starts + depth]
            low, high = (
                self._edge(targets, low, high, depth, after=False),
                self._edge(targets, low, high, depth, after=True),
            )
            matching = low < high
            starts, low, high = starts[matching], low[matching], high[matching]
            depth += 1
            lengths[starts], places[starts] = depth, self._suffixes[low]
            inside = starts + depth < len(codes)
            starts, low, high = starts[inside], low[inside], high[inside]
        return lengths, places

    def _edge(
        self, targets: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64], depth: int, *, after: bool
    ) -> NDArray[np.int64]:
        """Searches each range for its first suffix whose code at a depth is the target or above; above if `after`."""
        low, high = low.copy(), high.copy()
        while (searching := low < high).any():
            middle = (low + high) // 2
            # No index is beyond the codes: a code that ends a piece follows whatever still matches.
            places = self._suffixes[np.minimum(middle, len(self._suffixes) - 1)] + depth
            codes = self._codes[np.minimum(places, len(self._codes) - 1)]
            before = searching & ((codes <= targets) if after else (codes < targets))
            low, high = np.where(before, middle + 1, low), np.where(searching & ~before, middle, high)
        return low


def ordered(score: Score) -> NDArray:
    """The pitched notes in order of onset, then pitch."""
    notes = score.notes[score.notes["program"] != DRUMS]
    return notes[np.lexsort((notes["pitch"], notes["onset"]))]


def steps(score: Score) -> NDArray[np.int64]:
    """The codes of how each note follows the one before it: int64 [notes - 1], at least 0."""
    notes = ordered(score)
    pitches: NDArray[np.int64] = notes["pitch"].astype(np.int64)
    onsets: NDArray[np.int64] = notes["onset"]
    # Onsets are rounded, not gaps, so that rounding errors do not add up. Half a step is rounded up.
    grid = (2 * onsets * STEPS_PER_QUARTER + score.ticks_per_quarter) // (2 * score.ticks_per_quarter)
    gaps = np.minimum(np.diff(grid), LONGEST_GAP)
    return (np.diff(pitches) + 127) * _GAPS + gaps


def _suffix_array(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The suffix array, int64 [codes], by prefix doubling (Manber and Myers 1990)."""
    ranks = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    order, width = np.argsort(ranks, kind="stable"), 1
    while width < len(codes):
        following = np.zeros(len(codes), np.int64)
        following[:-width] = ranks[width:] + 1
        keys = ranks * (len(codes) + 1) + following
        order = np.argsort(keys, kind="stable")
        ordered_ranks = np.cumsum(np.diff(keys[order], prepend=keys[order[:1]]) != 0)
        ranks[order] = ordered_ranks
        if ordered_ranks[-1] == len(codes) - 1:
            break
        width *= 2
    return order
