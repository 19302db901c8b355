"""Performance: a written part as it is played: passages repeated, ties joined, grace notes given their time, loudness.

Times are in UNITS (see `written`) from the beginning of the piece as it is played.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.musicxml import marks
from t5music.music.musicxml.written import TIE_START, TIE_STOP, UNITS, WrittenPart

GRACE = UNITS // 8  # a grace note's length, where there is room: a 32nd note
LONGEST_GAP = 4 * UNITS  # between the ends of a tie
_TOLERANCE = UNITS // 64  # by so much may rounded tuplets miss each other

NOTES = np.dtype(
    [
        ("measure", np.int64),
        ("onset", np.int64),
        ("duration", np.int64),
        ("pitch", np.int64),
        ("velocity", np.int64),
        ("emphasis", np.float64),
        ("voice", np.int64),
        ("program", np.int64),
        ("ties", np.int64),
        ("grace", np.int64),
    ]
)


class Timeline(NamedTuple):
    """The measures as they are written and as they are played.

    Attributes:
        written: where each written measure begins, and the last one ends: int64 [measures + 1].
        order: the measures that are played, int64 [played].
        starts: where each of them begins, and the last one ends: int64 [played + 1].
    """

    written: NDArray[np.int64]
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    def times(self, measures: list[int], positions: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When signs are played: which of the signs, and their times, in the order of time.

        Args:
            measures: of each sign, rising.
            positions: in its measure.
        """
        at = np.array(measures, np.int64)
        first, last = np.searchsorted(at, self.order), np.searchsorted(at, self.order, side="right")
        counts = last - first
        which = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        times = np.repeat(self.starts[:-1], counts) + np.array(positions, np.int64)[which]
        order = np.argsort(times, kind="stable")
        return which[order], np.maximum(times, 0)[order]

    def jumps(self) -> NDArray[np.int64]:
        """Which of the played measures do not follow the one written before them (indices into `order`)."""
        return np.flatnonzero(np.diff(self.order) != 1) + 1


def play(part: WrittenPart, timeline: Timeline) -> tuple[NDArray, NDArray, NDArray]:
    """The notes and pedals of a part as it is played.

    Returns:
        NOTES [notes], whose ties and grace notes are resolved; the times at which the pedal is moved, and whether down.
    """
    written = np.array(part.notes, NOTES) if part.notes else np.empty(0, NOTES)
    written["velocity"] = _velocities(part, written, timeline)
    which, onsets = timeline.times(written["measure"].tolist(), written["onset"].tolist())
    notes = written[which]
    notes["onset"] = onsets
    notes = _with_graces(_joined(notes))
    notes = _struck_apart(notes[notes["duration"] > 0])
    moves, times = timeline.times([pedal[0] for pedal in part.pedals], [pedal[1] for pedal in part.pedals])
    return notes, times, np.array([pedal[2] for pedal in part.pedals], bool)[moves]


def _velocities(part: WrittenPart, notes: NDArray, timeline: Timeline) -> NDArray[np.int64]:
    """The velocity of each written note: its own, or by the marks before it in the order of writing."""

    def when(measure: int, position: int) -> int:
        return int(timeline.written[measure]) + position

    times = timeline.written[notes["measure"]] + notes["onset"]
    loudness = sorted(((when(mark[0], mark[1]), mark[2]) for mark in part.loudness), key=lambda mark: mark[0])
    wedges = sorted((when(*begin), when(*end), direction) for begin, end, direction in part.wedges)
    level = marks.levels(times, loudness, wedges, UNITS)
    moments = {when(mark[0], mark[1]): mark[2] for mark in part.moments}
    if moments:
        at = np.array(sorted(moments), np.int64)
        place = np.minimum(np.searchsorted(at, times), len(at) - 1)
        loud = np.array([moments[time] for time in at.tolist()], np.int64)[place]
        level = np.where(at[place] == times, np.maximum(loud, level), level)
    level = np.clip(np.rint(level * notes["emphasis"]).astype(np.int64), 1, 127)
    return np.where(notes["velocity"] > 0, notes["velocity"], level)


def _joined(notes: NDArray) -> NDArray:
    """The notes, each chain of tied ones as one.

    A tie leads to the note of its pitch that begins where it ends: one that a tie ends at, or, as many files leave that
    out, one of the same voice. Within a voice two ends of a tie may also lie apart, as in a chord that is built up.
    """
    if not notes["ties"].any():
        return notes
    notes = notes.copy()
    ends = notes["onset"] + notes["duration"]
    stays = np.ones(len(notes), bool)
    tied: defaultdict[int, list[int]] = defaultdict(list)  # pitch -> notes that a tie leads on from
    heads: dict[int, int] = {}  # of a note that a tie leads on from, the first of its chain
    rows = zip(*(notes[field].tolist() for field in ("onset", "pitch", "voice", "ties")), strict=True)
    for index, (onset, pitch, voice, ties) in enumerate(rows):
        head = index
        for before in tied[pitch]:
            is_same_voice, gap = notes["voice"][before] == voice, onset - int(ends[before])
            is_next = abs(gap) <= _TOLERANCE and (ties & TIE_STOP or is_same_voice)
            if is_next or (0 <= gap <= LONGEST_GAP and ties & TIE_STOP and is_same_voice):
                head = heads[before]
                notes["duration"][head] = ends[index] - notes["onset"][head]
                notes["grace"][head] = 0 if not notes["grace"][index] else notes["grace"][head]
                stays[index] = False
                tied[pitch].remove(before)
                break
        if ties & TIE_START:
            heads[index] = head
            tied[pitch] = [other for other in tied[pitch] if ends[other] >= onset - LONGEST_GAP]
            tied[pitch].append(index)
    return notes[stays]


def _with_graces(notes: NDArray) -> NDArray:
    """The notes, grace notes with the time that they take.

    Slashed ones come before the beat, in time taken from the note before, at most half of it; appoggiaturas come on the
    beat and take half of their main note, as do all at the beginning of the piece. Without one, the other.
    """
    graces = np.flatnonzero((notes["grace"] != 0) & (notes["duration"] == 0))
    if not len(graces):
        return notes
    notes = notes.copy()
    ends = notes["onset"] + notes["duration"]
    ending: defaultdict[tuple[int, int], list[int]] = defaultdict(list)  # (voice, time) -> notes that end then
    starting: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for index, (voice, onset, end) in enumerate(
        zip(notes["voice"].tolist(), notes["onset"].tolist(), ends.tolist(), strict=True)
    ):
        if end > onset:
            ending[voice, end].append(index)
            starting[voice, onset].append(index)
    groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for index in graces.tolist():
        groups[int(notes["voice"][index]), int(notes["onset"][index])].append(index)
    for (voice, onset), members in groups.items():
        places = {place: rank for rank, place in enumerate(dict.fromkeys(notes["grace"][members].tolist()))}
        before, main = ending[voice, onset], starting[voice, onset]
        room_before = min([int(notes["duration"][index]) // 2 for index in before], default=onset)
        room_after = min([int(notes["duration"][index]) // 2 for index in main], default=0)
        takes_from_main = room_after > 0 and (room_before == 0 or min(places) < 0)
        length = room_after // len(places) if takes_from_main else min(GRACE, room_before // len(places))
        begin = onset if takes_from_main else onset - length * len(places)
        for index in members:
            notes["onset"][index] = begin + places[int(notes["grace"][index])] * length
            notes["duration"][index] = length
        for index in main if takes_from_main else []:
            notes["onset"][index] += length * len(places)
            notes["duration"][index] -= length * len(places)
        for index in [] if takes_from_main else before:
            notes["duration"][index] = begin - notes["onset"][index]
    return notes


def _struck_apart(notes: NDArray) -> NDArray:
    """The notes of each program and pitch one after another, as on a keyboard.

    Of those that begin together, such as two voices in unison, the longest stays; one that still sounds when its pitch
    is struck again ends there, and the later one lasts as long as any of them would have.
    """
    ends = notes["onset"] + notes["duration"]
    keys = notes["program"] * 128 + notes["pitch"]
    order = np.lexsort((notes["velocity"], ends, notes["onset"], keys))
    notes, keys, ends = notes[order].copy(), keys[order], ends[order]
    lift = np.cumsum(np.diff(keys, prepend=keys[:1]) > 0) * (int(ends.max(initial=0)) + 1)
    ends = np.maximum.accumulate(ends + lift) - lift
    same = keys[1:] == keys[:-1]
    last = np.append(~same | (notes["onset"][1:] > notes["onset"][:-1]), True)[: len(notes)]
    notes, keys, ends = notes[last], keys[last], ends[last]
    following = np.where(keys[1:] == keys[:-1], notes["onset"][1:], np.iinfo(np.int64).max)
    ends[:-1] = np.minimum(ends[:-1], following)
    notes["duration"] = ends - notes["onset"]
    return notes
