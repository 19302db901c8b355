"""Gaps: what is filled in of somebody's music, by bars and tracks, in windows that a model can write at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import Infill
from t5music.errors import ConfigError, MidiError
from t5music.inference.bounds import note_bars, notes_of_parts
from t5music.inference.promises import Part
from t5music.music import encodings
from t5music.music.encodings.remi.bars import bars_of
from t5music.music.score import Score

SPARE = 16  # words of an answer that are left beside what a window had


class Gap(NamedTuple):
    """Bars of some tracks that are filled in together.

    Attributes:
        first: the first bar, from 0.
        last: the bar after the last one.
        tracks: as in `Part`; () for all.
    """

    first: int
    last: int
    tracks: tuple[str, ...] = ()


def of_parts(parts: Sequence[Part], score: Score) -> list[Gap]:
    """The gaps that parts of a score are, in order; tracks of the same bars are filled in together.

    Raises ConfigError for bars or tracks that the score does not have.
    """
    bars = int(note_bars(score).max(initial=-1)) + 1
    by_bars: dict[tuple[int, int], list[str]] = {}
    for part in parts:
        notes_of_parts([part], score, "infill")
        first, last = (1, bars) if part.first is None or part.last is None else (part.first, part.last)
        by_bars.setdefault((first - 1, min(last, bars)), []).append(part.track)
    return sorted(Gap(*span, () if "" in tracks else tuple(tracks)) for span, tracks in by_bars.items())


def locked(gap: Gap, lock: Sequence[Part], score: Score) -> NDArray[np.bool_]:
    """True [notes] for the notes that stay: other tracks than the gap's, and what is locked."""
    stays = notes_of_parts(lock, score, "lock")
    if gap.tracks:
        stays |= ~notes_of_parts([Part(track) for track in gap.tracks], score, "infill")
    return stays


def windows(gap: Gap, task: Infill, score: Score, stays: NDArray[np.bool_], room: int) -> list[Infill]:
    """The task for each part of a gap that a model can write at once, one after the other.

    Args:
        gap: the gap.
        task: the task that fills it in.
        score: the music.
        stays: True [notes] for the notes that stay.
        room: words of an answer.

    Raises:
        MidiError: a bar that alone is too much.
    """
    encoding = encodings.get(task.encoding)
    if encoding.name != "remi":
        raise ConfigError(f"--infill has no meaning in {encoding.name}, which has no bars: give --region in seconds")
    events = encoding.encode(score)
    bars = bars_of(events)
    seconds = encoding.times_in(score, events)
    edges = np.append(np.cumsum([0, *map(len, bars)])[:-1], len(events))
    staying = np.bincount(note_bars(score)[stays], minlength=len(bars))
    tasks, first = [], gap.first
    while first < gap.last:
        last = first
        while last < gap.last:
            hidden = int(edges[last + 1] - edges[first])
            owed = hidden + 3 * int(staying[first : last + 1].sum()) + 2 * (last + 1 - first) + SPARE
            if hidden > task.words // 2 or owed > room:
                break
            last += 1
        if last == first:
            raise MidiError(f"--infill: bar {first + 1} has too many notes to be filled in")
        tasks.append(dataclasses.replace(task, region=(float(seconds[edges[first]]), float(seconds[edges[last]]))))
        first = last
    return tasks
