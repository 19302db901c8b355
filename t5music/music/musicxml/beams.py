"""Beams: which short notes of a voice are joined, beat by beat."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from t5music.music.musicxml.layout import Bar
from t5music.music.musicxml.notation import SHORT_TYPES, Value

_LEVELS = {name: level for level, name in enumerate(SHORT_TYPES.values(), 1)}  # an eighth has one beam, a 16th two


class Written(NamedTuple):
    """A value of a voice: the unit where it begins, and which notes of the track have it, none for a rest."""

    at: int
    value: Value
    notes: tuple[int, ...]


def beams(voice: Sequence[Written], bar: Bar, units: int) -> list[tuple[str, ...]]:
    """MusicXML's beams of each value: 'begin', 'continue', 'end' or a hook for every level, none where it has no beam.

    Args:
        voice: the values of one voice of a bar, in the order of time.
        bar: the bar.
        units: a quarter.
    """
    signs: list[tuple[str, ...]] = [()] * len(voice)
    edges = _beats(bar, units)
    for group in _groups(voice, edges):
        levels = [_LEVELS[voice[place].value.type] for place in group]
        for rank, place in enumerate(group):
            before = levels[rank - 1] if rank else 0
            after = levels[rank + 1] if rank + 1 < len(group) else 0
            signs[place] = tuple(_sign(level, before, after) for level in range(1, levels[rank] + 1))
    return signs


def _beats(bar: Bar, units: int) -> list[float]:
    """Where a bar's beats begin and the last ends, in units. Those of x/8 have three eighths, or two and at last three.

    No beam crosses them. A pickup's are those of a whole bar that ends with it.
    """
    count, unit = bar.meter
    size = 4 * units / unit
    if unit < 8 or count == 1:
        lengths = [size] * count
    elif count % 3 == 0:
        lengths = [3 * size] * (count // 3)
    else:  # 5/8 is 2 + 3
        lengths = [2 * size] * (count // 2 - count % 2) + [3 * size] * (count % 2)
    return list(itertools.accumulate(lengths, initial=bar.end - sum(lengths) if bar.is_pickup else bar.start))


def _groups(voice: Sequence[Written], edges: Sequence[float]) -> Iterator[list[int]]:
    """The places of values that one beam joins: two or more short notes that follow each other within a beat."""
    group: list[int] = []
    beat = -1
    for place, written in enumerate(voice):
        begins_in = bisect.bisect_right(edges, written.at)
        is_short = bool(written.notes) and written.value.type in _LEVELS
        if not is_short or begins_in != beat:
            if len(group) > 1:
                yield group
            group, beat = [], begins_in
        if is_short:
            group.append(place)
    if len(group) > 1:
        yield group


def _sign(level: int, before: int, after: int) -> str:
    """The beam of one level of a note whose neighbours in the group have `before` and `after` levels, 0 for none."""
    joins = {(True, True): "continue", (False, True): "begin", (True, False): "end"}
    if (sign := joins.get((before >= level, after >= level))) is not None:
        return sign
    return "backward hook" if before else "forward hook"
