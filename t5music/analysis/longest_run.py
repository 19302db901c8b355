"""The longest run of notes that music has in common with a collection, in whatever key and tempo.

A run is consecutive notes, in order of onset and, within an onset, of pitch; percussion is left out. What is compared
is how each note follows the one before it: by what interval, and after how many 1/12 quarters (by its onset, rounded;
beyond four whole notes all gaps are alike). So a transposition is a copy, and so is the same music at another tempo or
with other durations, velocities and instruments; music with a voice more or less is not.

    index = RunIndex({"tune": score, ...})
    index.longest(generated)       # Run(notes=17, start=4, piece="tune", position=32, interval=-2)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.score import DRUMS, Score

STEPS_PER_QUARTER = 12  # of remi's grid, so that music of its words is compared exactly
LONGEST_GAP = 16 * STEPS_PER_QUARTER
_GAPS = LONGEST_GAP + 1
_NOWHERE = -1  # the code of a step that the collection does not have


class Run(NamedTuple):
    """Consecutive notes that are in the collection as well.

    Attributes:
      notes: how many.
      start: the first one's number in the music asked for.
      piece: where they are in the collection, "" if nowhere.
      position: the first one's number there.
      interval: semitones from there to here.
    """

    notes: int
    start: int
    piece: str
    position: int
    interval: int


class RunIndex:
    """A suffix array of the notes of a collection, with which runs are found in time of the music asked for alone."""

    def __init__(self, scores: Mapping[str, Score]) -> None:
        """Takes the scores by name; of a run that is in several pieces, any one is named."""
        self._names = list(scores)
        self._pitches = [_ordered(score)["pitch"].astype(np.int64) for score in scores.values()]
        steps = [_steps(score) for score in scores.values()]
        # Pieces are parted by codes that are there once, so that no run goes beyond its piece.
        parted = [np.append(codes, _NOWHERE - 1 - number) for number, codes in enumerate(steps)]
        self._begins = np.cumsum([0, *(len(codes) for codes in parted)])
        self._codes = np.concatenate([*parted, np.empty(0, np.int64)])
        self._suffixes = _suffix_array(self._codes)

    def longest(self, score: Score) -> Run:
        """The longest run of a score's notes that is in the collection; the first of several.

        A single note is a run of 1 wherever the collection has a note; no note is a run of 0.
        """
        codes, pitches = _steps(score), _ordered(score)["pitch"].astype(np.int64)
        anywhere = next((number for number, of in enumerate(self._pitches) if len(of)), None)
        if not len(pitches) or anywhere is None:
            return Run(0, 0, "", 0, 0)
        lengths, places = self._match(codes)
        start = int(np.argmax(lengths)) if len(lengths) else 0
        if not len(lengths) or not lengths[start]:
            return Run(1, 0, self._names[anywhere], 0, int(pitches[0] - self._pitches[anywhere][0]))
        piece = int(np.searchsorted(self._begins, places[start], side="right")) - 1
        position = int(places[start] - self._begins[piece])
        interval = int(pitches[start] - self._pitches[piece][position])
        return Run(int(lengths[start]) + 1, start, self._names[piece], position, interval)

    def _match(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each place of the codes, how many from there on are in the collection, and where: int64 [codes] each.

        All places go on together, code by code: those that still match keep a range of the suffix array.
        """
        lengths, places = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.int64)
        alive = np.arange(len(codes))
        low, high = np.zeros(len(codes), np.int64), np.full(len(codes), len(self._suffixes))
        depth = 0
        while len(alive):
            wanted = codes[alive + depth]
            low, high = (
                self._edge(wanted, low, high, depth, after=False),
                self._edge(wanted, low, high, depth, after=True),
            )
            found = low < high
            alive, low, high = alive[found], low[found], high[found]
            depth += 1
            lengths[alive], places[alive] = depth, self._suffixes[low]
            inside = alive + depth < len(codes)
            alive, low, high = alive[inside], low[inside], high[inside]
        return lengths, places

    def _edge(
        self, wanted: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64], depth: int, *, after: bool
    ) -> NDArray[np.int64]:
        """The first suffix of each range whose code at a depth is not below the wanted one, or is `after` it."""
        low, high = low.copy(), high.copy()
        while (open_ := low < high).any():
            middle = (low + high) // 2
            # Beyond the last code there is nothing: what still matches is followed by a code that parts two pieces.
            at = self._suffixes[np.minimum(middle, len(self._suffixes) - 1)] + depth
            codes = self._codes[np.minimum(at, len(self._codes) - 1)]
            before = open_ & ((codes <= wanted) if after else (codes < wanted))
            low, high = np.where(before, middle + 1, low), np.where(open_ & ~before, middle, high)
        return low


def longest_run(score: Score, index: RunIndex) -> Run:
    """The longest run of a score's notes that is in an index's collection: see `RunIndex.longest`."""
    return index.longest(score)


def _ordered(score: Score) -> NDArray:
    """The pitched notes in order of onset, then pitch."""
    notes = score.notes[score.notes["program"] != DRUMS]
    return notes[np.lexsort((notes["pitch"], notes["onset"]))]


def _steps(score: Score) -> NDArray[np.int64]:
    """How each note but the first follows the one before: int64 [notes - 1], at least 0."""
    notes = _ordered(score)
    pitches: NDArray[np.int64] = notes["pitch"].astype(np.int64)
    onsets: NDArray[np.int64] = notes["onset"]
    # Onsets are rounded, not gaps, so that rounding does not add up. Half a step is rounded up.
    grid = (2 * onsets * STEPS_PER_QUARTER + score.ticks_per_quarter) // (2 * score.ticks_per_quarter)
    gaps = np.minimum(np.diff(grid), LONGEST_GAP)
    return (np.diff(pitches) + 127) * _GAPS + gaps


def _suffix_array(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the suffixes begin, in their order (int64 [codes]), by doubling the length that is sorted by."""
    ranks = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    order, width = np.argsort(ranks, kind="stable"), 1
    while width < len(codes):
        following = np.zeros(len(codes), np.int64)
        following[:-width] = ranks[width:] + 1
        keys = ranks * (len(codes) + 1) + following
        order = np.argsort(keys, kind="stable")
        new = np.cumsum(np.diff(keys[order], prepend=keys[order[:1]]) != 0)
        ranks[order] = new
        if new[-1] == len(codes) - 1:
            break
        width *= 2
    return order
