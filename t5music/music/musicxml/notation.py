"""Notation: how notes of a part are written down in bars: on a grid, in voices, in values that have a sign, with ties.

Times are in units, so many to a quarter note. Music whose times lie on a grid of few units is written exactly; what was
played freely is moved to a grid of PLAYED_UNITS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_UNITS = 96  # a quarter: music that needs more was played, not written
PLAYED_UNITS = 12  # for that: sixteenths and their triplets
PLAYED_VOICES = 4  # of a staff of played music
TYPES = {4: "whole", 2: "half", 1: "quarter"}  # by quarters; shorter ones by parts of a quarter
SHORT_TYPES = {2: "eighth", 4: "16th", 8: "32nd", 16: "64th", 32: "128th", 64: "256th", 128: "512th", 256: "1024th"}


class Value(NamedTuple):
    """A note value.

    Attributes:
        units: how long it is.
        type: 'quarter', 'eighth' ...
        dots: 0 or 1.
        tuplet: (actual, normal) notes, such as (3, 2) for a triplet; None outside of tuplets.
    """

    units: int
    type: str
    dots: int
    tuplet: tuple[int, int] | None


class Chord(NamedTuple):
    """Notes of one voice that begin and end together; a rest without any.

    Attributes:
        start, end: in units.
        notes: which notes of the track they are.
    """

    start: int
    end: int
    notes: tuple[int, ...]


class Grid(NamedTuple):
    """The grid that music is written on.

    Attributes:
        units: a quarter.
        is_exact: whether it holds every note as it is.
    """

    units: int
    is_exact: bool


def grid_of(notes: Sequence[NDArray[np.int64]], others: Sequence[NDArray[np.int64]], resolution: int) -> Grid:
    """The grid for times in ticks: exact for notes and bar lines where it can be, then for the other signs too.

    Args:
        notes: onsets and ends of notes, and bar lines.
        others: times of tempi, keys and pedals.
        resolution: ticks a quarter.
    """

    def needed(times: Sequence[NDArray[np.int64]]) -> int:
        return resolution // int(np.gcd.reduce(np.concatenate([np.array([resolution]), *times])))

    for_notes = needed(notes)
    if for_notes > MOST_UNITS:
        return Grid(PLAYED_UNITS, is_exact=False)
    for_all = needed([*notes, *others])
    return Grid(for_all if for_all <= MOST_UNITS else for_notes, is_exact=True)


def voices(starts: list[int], ends: list[int], pitches: list[int], most: int | None) -> list[list[Chord]]:
    """The notes of a staff in voices, in each of which chords follow one another.

    Args:
        starts, ends, pitches: of the notes.
        most: voices that there may be; where more would be needed a chord ends as the next one of its voice begins.
            None for as many as are needed, so that nothing changes.
    """
    together: dict[tuple[int, int], list[int]] = {}
    for index in sorted(range(len(starts)), key=lambda index: (starts[index], -pitches[index])):
        together.setdefault((starts[index], ends[index]), []).append(index)
    chords = [Chord(start, end, tuple(members)) for (start, end), members in together.items()]
    lines: list[list[Chord]] = []
    for chord in sorted(chords, key=lambda chord: (chord.start, -max(pitches[note] for note in chord.notes))):
        free = next((line for line in lines if line[-1].end <= chord.start), None)
        if free is not None:
            free.append(chord)
        elif most is None or len(lines) < most:
            lines.append([chord])
        else:
            line = min(lines, key=lambda line: line[-1].end)
            last = line.pop()
            if last.start == chord.start:
                line.append(Chord(last.start, max(last.end, chord.end), last.notes + chord.notes))
            else:
                line += [last._replace(end=chord.start), chord]
    return lines


def filled(chords: Sequence[Chord], start: int, end: int) -> list[Chord]:
    """The chords of a voice within a bar, cut at its ends, with rests between them."""
    line, at = [], start
    for chord in chords:
        begin, stop = max(chord.start, start), min(chord.end, end)
        if begin > at:
            line.append(Chord(at, begin, ()))
        line.append(Chord(begin, stop, chord.notes))
        at = stop
    if at < end:
        line.append(Chord(at, end, ()))
    return line


def values(start: int, end: int, edges: Sequence[int], units: int) -> Iterator[Value]:
    """The note values that a chord or rest is written with, tied together.

    Args:
        start, end: of it, from the beginning of its bar.
        edges: where the chords and rests of the bar begin and end, from there too.
        units: a quarter.
    """
    at = start
    while at < end:
        beat = at // units
        span_end = min(end, (beat + 1) * units)
        tuplet = _tuplet([edge for edge in edges if beat * units <= edge <= (beat + 1) * units], beat * units, units)
        if tuplet is None:
            if at % units == 0:  # whole beats, up to the last one that is no tuplet
                while span_end < end and _is_plain(edges, span_end, units):
                    span_end = min(end, span_end + units)
            elif span_end < end and _is_plain(edges, span_end, units):
                span_end = min(end, span_end + units)  # a syncopation may go on into the next beat
            yield from _binary(at, span_end, units)
        else:
            yield from _in_tuplet(at - beat * units, span_end - beat * units, tuplet, units)
        at = span_end


def _is_plain(edges: Sequence[int], beat_start: int, units: int) -> bool:
    inside = [edge for edge in edges if beat_start <= edge <= beat_start + units]
    return _tuplet(inside, beat_start, units) is None


def _tuplet(edges: Sequence[int], start: int, units: int) -> int | None:
    """In how many equal parts a beat must be divided for its edges to be parts of it; None where halves are enough."""
    parts = units // int(np.gcd.reduce([units, *(edge - start for edge in edges)]))
    return parts if parts & (parts - 1) else None


def _binary(start: int, end: int, units: int) -> Iterator[Value]:
    """Plain and dotted values, the longest first, each beginning at a multiple of half of its plain value."""
    at = start
    while at < end:
        for quarters in (4, 2, 1, *(1 / size for size in SHORT_TYPES)):
            length = round(quarters * units)
            if length and length == quarters * units and 2 * at % length == 0 and at + length <= end:
                name = TYPES.get(int(quarters)) if quarters >= 1 else SHORT_TYPES[round(1 / quarters)]
                dotted = length % 2 == 0 and at + length * 3 // 2 <= end and (length * 3 // 2) * 2 == length * 3
                size = length * 3 // 2 if dotted else length
                yield Value(size, str(name), int(dotted), None)
                at += size
                break
        else:  # shorter than any value on this grid: cannot be, for a unit of a grid without tuplets has a value
            raise AssertionError(f"{end - at} of {units} units have no note value")


def _in_tuplet(start: int, end: int, parts: int, units: int) -> Iterator[Value]:
    """Values within one beat of so many equal parts, written as a tuplet."""
    odd = parts
    while odd % 2 == 0:
        odd //= 2
    normal = 1 << (odd.bit_length() - 1)
    part = units // parts
    finest = normal * (parts // odd)  # of the beat: a part is written as this fraction of a quarter
    at, last = start // part, end // part
    while at < last:
        size = 1 << ((last - at).bit_length() - 1)
        while finest % size:
            size //= 2
        dotted = size > 1 and last - at >= size * 3 // 2
        name = SHORT_TYPES[finest // size] if finest > size else "quarter"
        length = size * 3 // 2 if dotted else size
        yield Value(length * part, name, int(dotted), (odd, normal))
        at += length
