"""Where a piece's words may be cut, and what the kinds of examples need to cut them."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.music import encodings
from t5music.music.encodings import Encoding
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.encodings.remi.words import KIND_OF, PROGRAM, VELOCITY
from t5music.music.score import Score

Events = NDArray[np.int32]


def cuts(encoding: Encoding, events: Events) -> NDArray[np.int64]:
    """Indices inside `events` (neither the start nor the end) at which music may be parted: bar lines, ends of waits.

    So what happens at a cut's time comes after the cut.
    """
    if isinstance(encoding, Remi):
        places = np.flatnonzero(events == encoding.ids["Bar"])
    else:
        places = np.flatnonzero(wait_units(encoding)[events] > 0) + 1
    return places[(places > 0) & (places < len(events))]


def bars_of(encoding: Encoding, events: Events) -> list[Events]:
    """The events of each bar in remi, its Bar first; what comes before the first Bar is left out."""
    return np.split(events, np.flatnonzero(events == encoding.ids["Bar"]))[1:]


def bare(events: Events) -> Events:
    """remi's events without Program and Velocity: bars, positions, pitches and durations, all that MIDI-BERT sees."""
    return events[(KIND_OF[events] != PROGRAM) & (KIND_OF[events] != VELOCITY)]


def from_first_note(encoding: Encoding, events: Events) -> Events:
    """remi's events of music that has notes, without the bars before the first one; the tempo in force is restated."""
    first = int(np.argmax(encoding.is_note[events]))
    start = int(np.flatnonzero(events[:first] == encoding.ids["Bar"])[-1])
    return opened(encoding, events[:start], events[start:])


def last_of(encoding: Encoding, events: Events, kind: str) -> Events:
    """The last word that begins so, in an array; an empty array if there is none."""
    found = np.flatnonzero(_begins(encoding.name, kind)[events])
    return events[found[-1:]]


def opened(encoding: Encoding, before: Events, after: Events) -> Events:
    """`after`, whole bars in remi, opening with the tempo in force after `before` where it does not say its own."""
    tempo = last_of(encoding, before, "Tempo_")
    if not len(after) or not len(tempo):
        return after
    start = np.array([encoding.ids["Pos_0"]], np.int32)
    head, body = after[:2], after[2:]
    if len(body) and body[0] == start[0]:
        body = body[1:]
        if len(body) and encoding.words[body[0]].startswith("Tempo_"):
            return after
    return np.concatenate([head, start, tempo, body])


@functools.lru_cache(maxsize=8)
def _begins(name: str, kind: str) -> NDArray[np.bool_]:
    """bool [words], True at an encoding's words that begin so."""
    return np.array([word.startswith(kind) for word in encodings.get(name).words])


def bar_windows(score: Score, bars: int) -> list[tuple[int, int]]:
    """(start, end) in ticks of a score's windows of so many bars, the last one of what is left; none without notes."""
    starts, meters = score.bars()
    if not len(score.notes):
        return []
    last = 4 * score.ticks_per_quarter * int(meters[-1][0]) // int(meters[-1][1])
    edges = [*starts[::bars].tolist(), max(int(starts[-1]) + last, score.end_tick)]
    return list(itertools.pairwise(edges))


@functools.lru_cache(maxsize=8)
def _waits(name: str) -> tuple[NDArray[np.int64], float]:
    """Of an encoding that runs by a clock: how many units each word waits, and the seconds of a unit."""
    encoding = encodings.get(name)
    seconds = np.diff(encoding.times(np.arange(len(encoding.words))))
    unit = float(seconds[seconds > 1e-9].min())
    return np.rint(seconds / unit).astype(np.int64), unit


def wait_units(encoding: Encoding) -> NDArray[np.int64]:
    """int64 [words]: for how many units of its clock each word of an encoding waits; 0 for all other words."""
    return _waits(encoding.name)[0]


def units_of(encoding: Encoding, seconds: float) -> int:
    """The nearest number of units of the encoding's clock."""
    return round(seconds / _waits(encoding.name)[1])


def silence(encoding: Encoding, units: int) -> Events:
    """Waits that last so many units together, the longest first."""
    lengths = wait_units(encoding)
    order = np.argsort(lengths, kind="stable")
    rising, words = lengths[order], []
    while units > 0:
        place = int(np.searchsorted(rising, units, side="right")) - 1
        words += [int(order[place])] * (units // int(rising[place]))
        units %= int(rising[place])
    return np.array(words, np.int32)


def nearest(values: ArrayLike, wanted: float) -> int:
    """The index of the value nearest to the one wanted; the first of several."""
    return int(np.argmin(np.abs(np.asarray(values) - wanted)))
