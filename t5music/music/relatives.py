"""Relatives: performances of one piece, told by the phrases that they have in common.

No two people play a chord's notes in the same order, so the fingerprint of an opening (`fingerprint`) tells copies of a
file and not two performances: of the 2,730 of the Piano-e-Competition it puts 416 together with another, while some
2,500 have a relative. What performances of a piece do share is phrases: runs of the same intervals in the line of their
highest notes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t5music.music.score import DRUMS, Score

CHORD_SECONDS = 0.05  # notes that follow each other by no more are struck together
PHRASE = 8  # intervals in a phrase: the bytes of an int64
DISTINCT = 4  # a phrase of fewer unlike intervals is a scale, a trill or a broken chord, which all piano music has
COMMONPLACE = 200  # a phrase of more performances than this says nothing
# Of the phrases of the shorter of two performances, those in common. Of pairs of the same 2,730, those with about 10 %
# are the rarest, between chance and relatives. With 5 % relatives of relatives make a group of 357, with 10 % of 194,
# with 15 % of 77: mostly sets of studies, which people play in selections.
SHARE = 0.1
AT_LEAST = 8  # phrases in common, for pieces that have few


def phrases(score: Score) -> NDArray[np.int64]:
    """The phrases of a performance: int64 [phrases], each once, rising; equal where the same intervals are played.

    The line is of the highest notes of what is struck together, a repeated note counted once; a phrase is PHRASE
    intervals of it, in whatever key and tempo.
    """
    notes = score.notes[score.notes["program"] != DRUMS]
    if not len(notes):
        return np.empty(0, np.int64)
    begins = np.diff(score.seconds(notes["onset"]), prepend=-np.inf) > CHORD_SECONDS
    line = np.maximum.reduceat(notes["pitch"], np.flatnonzero(begins))
    intervals = np.diff(line[np.diff(line, prepend=-1) != 0]).astype(np.int8)
    if len(intervals) < PHRASE:
        return np.empty(0, np.int64)
    runs = np.lib.stride_tricks.sliding_window_view(intervals, PHRASE).copy()
    ordered = np.sort(runs, axis=1)
    varied = (np.diff(ordered, axis=1) != 0).sum(axis=1) + 1 >= DISTINCT
    return np.unique(runs[varied].view("<i8"))


def related(performances: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Which performances are of one piece, given the `phrases` of each: int64 [performances], the place of the first.

    Two are related that share SHARE of the phrases of the one that has fewer, and so are the relatives of relatives.
    Takes n^2 numbers of memory: 60 MB for 2,730 performances.
    """
    number = len(performances)
    sizes = np.array([len(each) for each in performances], np.int64)
    values, owners = np.concatenate([np.empty(0, np.int64), *performances]), np.repeat(np.arange(number), sizes)
    order = np.lexsort((owners, values))
    values, owners = values[order], owners[order]  # [phrases of all], equal ones together, and whose they are
    runs = np.flatnonzero(np.diff(values, prepend=values[:1] - 1))
    lengths = np.diff(np.append(runs, len(values)))
    telling = np.repeat(lengths <= COMMONPLACE, lengths)
    values, owners = values[telling], owners[telling]

    common = np.zeros(number * number, np.int64)  # of each pair, the earlier one's row
    for ahead in range(1, min(COMMONPLACE, number)):
        same = np.flatnonzero(values[ahead:] == values[:-ahead])
        if not len(same):
            break  # of sorted phrases none is further apart either
        pairs, counts = np.unique(owners[same] * number + owners[same + ahead], return_counts=True)
        common[pairs] += counts
    enough = np.maximum(SHARE * np.minimum.outer(sizes, sizes), AT_LEAST)

    first = np.arange(number)
    for one, other in np.argwhere(common.reshape(number, number) >= enough):
        low, high = sorted((first[one], first[other]))
        first[first == high] = low
    return first
