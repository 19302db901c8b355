"""Themes: the phrase of a piece's melody that it repeats most.

Theme Transformer (Shih et al., IEEE Transactions on Multimedia 2022) conditions music on a theme that it retrieves by
clustering learned embeddings of melody fragments. Here, with nothing learned: a phrase is two to four whole bars of
the melody, known by its intervals, so that it recurs in any key and rhythm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.score import DRUMS, Score

BARS = (2, 3, 4)  # of a phrase
NOTES = 6  # the fewest of a phrase: shorter ones recur by chance
LEAPS = 3  # of its intervals, so many at least are no repetitions of a pitch


class Theme(NamedTuple):
    """A theme, as `find` returns it.

    Attributes:
        notes: NOTE [notes], the melody of its first occurrence, at the score's ticks.
        bars: how many bars it is long.
        places: the bars at which it begins (0 is the first bar of the piece), none within another.
    """

    notes: NDArray
    bars: int
    places: tuple[int, ...]


def melody(score: Score) -> NDArray:
    """The skyline of a score's pitched notes: NOTE [notes], at most one at an onset.

    The highest note at each onset, but none during more than half of which a higher one, begun before, sounds on.
    """
    notes = score.notes[score.notes["program"] != DRUMS]
    notes = notes[np.lexsort((notes["pitch"], notes["onset"]))]
    if not len(notes):
        return notes
    onset, end, pitch = notes["onset"], notes["onset"] + notes["duration"], notes["pitch"]
    ends = np.zeros((len(notes), 129), np.int64)  # by note and pitch: when the pitch falls silent
    ends[np.arange(1, len(notes)), pitch[:-1]] = end[:-1]
    ends = np.maximum.accumulate(ends)
    above = np.maximum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]  # or any higher one does
    free = above[np.arange(len(notes)), pitch + 1] <= onset + notes["duration"] / 2
    highest = np.diff(onset, append=-1) != 0
    return notes[free & highest]


def find(score: Score, bars: Sequence[int] = BARS) -> Theme | None:
    """The phrase whose occurrences cover most bars; of several the longer, then the earlier. None if nothing recurs.

    Args:
        score: the piece; only its melody counts.
        bars: lengths of phrases to look for.
    """
    line = melody(score)
    starts, _ = score.bars()
    first = np.append(np.searchsorted(line["onset"], starts), len(line))  # each bar's first note
    intervals = np.diff(line["pitch"].astype(np.int8))
    moved = np.concatenate([[0], np.cumsum(intervals != 0)])
    best: tuple[tuple[int, int, int], list[int]] | None = None
    for length in bars:
        places_of: dict[bytes, list[int]] = defaultdict(list)
        for bar in range(len(starts) - length + 1):
            begin, end = first[bar], first[bar + length]
            if end - begin < NOTES or moved[end - 1] - moved[begin] < LEAPS:
                continue
            places = places_of[intervals[begin : end - 1].tobytes()]
            if not places or bar >= places[-1] + length:
                places.append(bar)
        for places in places_of.values():
            rank = (len(places) * length, length, -places[0])
            if len(places) > 1 and (best is None or rank > best[0]):
                best = rank, places
    if best is None:
        return None
    (_, length, _), places = best
    return Theme(line[first[places[0]] : first[places[0] + length]], length, tuple(places))
