"""Cutting remi events into segments that stand by themselves."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from t5music.music.encodings.remi.words import (
    BAR,
    DRUM,
    FIRST,
    KIND_OF,
    PITCH,
    POS,
    PROGRAM,
    TEMPO_WORD,
    TIMESIG,
    VELOCITY,
)


def segments(events: NDArray[np.int32], length: int) -> list[NDArray[np.int32]]:
    """See Remi.segments."""
    kinds = KIND_OF[events]
    cuts = _Cuts(kinds)
    pieces = []
    start = 0
    while start < len(events):
        head, body = _open(events, kinds, start)
        restated = 0 if kinds[start] == BAR else 2  # Program and Velocity, at most
        stop = cuts.last(start, body, body + length - len(head) - restated)
        pieces.append(np.concatenate([head, _restate(events, kinds, start, body, stop)]).astype(np.int32))
        start = stop
    return pieces


def chunks(events: NDArray[np.int32], length: int) -> list[NDArray[np.int32]]:
    """See Encoding.chunks."""
    cuts = _Cuts(KIND_OF[events])
    stops = [0]
    while stops[-1] < len(events):
        stops.append(cuts.last(stops[-1], stops[-1], stops[-1] + length))
    return [events[start:stop] for start, stop in itertools.pairwise(stops)]


class _Cuts:
    """Where events of these kinds may be cut: at the end of a bar, and if that cannot be, inside a bar."""

    def __init__(self, kinds: NDArray) -> None:
        self.end = len(kinds)
        self.edges = np.append(np.flatnonzero(kinds == BAR), self.end)
        self.inside = _cuts_inside(kinds)

    def last(self, start: int, body: int, limit: int) -> int:
        """The last cut up to `limit`: an edge beyond `start`, or a cut inside a bar beyond `body`, or else anywhere."""
        for cuts, beyond in ((self.edges, start), (self.inside, body)):
            index = int(np.searchsorted(cuts, limit, side="right")) - 1
            if index >= 0 and cuts[index] > beyond:
                return int(cuts[index])
        return min(limit, self.end)


def _cuts_inside(kinds: NDArray) -> NDArray[np.int64]:
    """Where a bar may be cut if it must: before a position, or before the first word of a note."""
    notes = np.flatnonzero((kinds == PITCH) | (kinds == DRUM))
    for kind in (VELOCITY, PROGRAM):
        notes = notes - ((kinds[notes - 1] == kind) & (notes > 0))
    after = kinds[notes - 1]
    return np.union1d(notes[(after != POS) & (after != TEMPO_WORD)], np.flatnonzero(kinds == POS))


def _in_force(events: NDArray, kinds: NDArray, kind: int, start: int, stop: int) -> list[int]:
    """The last event of a kind in events[start:stop], in a list; an empty list if there is none."""
    places = np.flatnonzero(kinds[start:stop] == kind)
    return [int(events[start + places[-1]])] if len(places) else []


def _open(events: NDArray, kinds: NDArray, start: int) -> tuple[list[int], int]:
    """The words that open a segment at `start`, up to its first Tempo, and the index at which the events go on."""
    tempo = _in_force(events, kinds, TEMPO_WORD, 0, start)
    if kinds[start] != BAR:  # inside a bar: its first words again, and the position in force
        bar = int(np.append(0, np.flatnonzero(kinds[:start] == BAR))[-1])
        head = [int(FIRST[BAR]), *_in_force(events, kinds, TIMESIG, bar, start), int(FIRST[POS]), *tempo]
        position = _in_force(events, kinds, POS, bar, start) if kinds[start] != POS else []
        return [*head, *(word for word in position if word != FIRST[POS])], start
    body = start + 1
    if body < len(events) and kinds[body] == TIMESIG:
        body += 1
    head = events[start:body].tolist()
    if body < len(events) and events[body] == FIRST[POS]:
        body += 1
        if tempo and (body == len(events) or kinds[body] != TEMPO_WORD):
            return [*head, int(FIRST[POS]), *tempo], body
        return [*head, int(FIRST[POS])], body
    return ([*head, int(FIRST[POS]), *tempo] if tempo else head), body


def _restate(events: NDArray, kinds: NDArray, start: int, body: int, stop: int) -> NDArray:
    """events[body:stop]; where `start` is inside a bar, its first note says Program and Velocity."""
    notes = body + np.flatnonzero((kinds[body:stop] == PITCH) | (kinds[body:stop] == DRUM))
    if kinds[start] == BAR or not len(notes):
        return events[body:stop]
    bar = int(np.append(0, np.flatnonzero(kinds[:start] == BAR))[-1])
    note = int(notes[0])
    prefix = note - int(note > body and kinds[note - 1] == VELOCITY)
    velocity = [] if prefix < note else _in_force(events, kinds, VELOCITY, bar, start)
    begin = prefix - int(prefix > body and kinds[prefix - 1] == PROGRAM)
    program = [] if begin < prefix else _in_force(events, kinds, PROGRAM, bar, start)
    return np.concatenate([events[body:begin], program, events[begin:prefix], velocity, events[prefix:stop]])
