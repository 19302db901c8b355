"""Placement: where in somebody's file the notes of a model's answer belong, and which notes they replace.

An answer is music on the clock of its encoding. With bars or a grid, that is the file's own beats. Without, waits may
have been rounded one by one, so that the clock drifts: the notes that prompt and file have in common say what time it
is there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import Answer
from t5music.music.encodings import Encoding
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.encodings.remi.grid import POSITION, TICKS, lay_bars
from t5music.music.encodings.remi.grid import place as place_on_grid
from t5music.music.encodings.satb.encoding import Satb
from t5music.music.encodings.satb.grid import STEP, nearest_steps
from t5music.music.midi.insertion import Removal
from t5music.music.score import DRUMS, Score


class Placed(NamedTuple):
    """New notes in a file.

    Attributes:
        notes: NOTE [notes], in the file's ticks.
        removal: which of the file's notes they replace; None where they replace none.
    """

    notes: NDArray
    removal: Removal | None


def place(score: Score, answer: Answer, encoding: Encoding) -> Placed:
    """Places the new notes of an answer.

    Args:
        score: the music of the file.
        answer: the music that the task made of it.
        encoding: that of the task.
    """
    notes = answer.score.notes[answer.is_new].copy()
    onsets, ends = notes["onset"], notes["onset"] + notes["duration"]
    if isinstance(encoding, Remi | Satb):
        factor = score.ticks_per_quarter / answer.score.ticks_per_quarter
        begins, stops = (np.rint(ticks * factor).astype(np.int64) for ticks in (onsets, ends))
        removal = None if answer.gap is None else _removal(score, answer.gap, encoding)
        if isinstance(encoding, Satb):
            notes["program"] = _programs(notes["program"], answer.prompt, score)
    else:
        prompt = answer.prompt if answer.gap is None else encoding.decode(encoding.encode(score)).score
        clock, played = _common_notes(prompt, score)
        begins, stops = (score.ticks(_at(answer.score.seconds(ticks), clock, played)) for ticks in (onsets, ends))
        notes["program"] = _programs(notes["program"], prompt, score)
        removal = None
        if answer.gap is not None:
            edges = answer.score.seconds(np.array(answer.gap))
            first, last = (_edge(edge, clock, played, score) for edge in edges)
            removal = Removal(first, last, bool((prompt.notes["program"] == DRUMS).any()))
    if removal is not None:
        begins = np.clip(begins, removal.first, max(removal.first, removal.last - 1))
        stops = np.minimum(stops, removal.last)
    notes["onset"], notes["duration"] = begins, np.maximum(1, stops - begins)
    return Placed(notes, removal)


# ------------------------------------------------------------------------------------------------------------ beats


def _removal(score: Score, gap: tuple[int, int], encoding: Encoding) -> Removal:
    """What stands in a gap, in the ticks of remi or satb (480 a quarter)."""
    if isinstance(encoding, Remi):
        edges, _ = lay_bars(score)
        bars, positions = place_on_grid(score.notes["onset"], score.ticks_per_quarter, edges)
        starts = edges[bars] + POSITION * positions  # int64 [notes], where remi writes them, never falling
    else:
        starts = STEP * nearest_steps(score.notes["onset"], score.ticks_per_quarter)
    ticks = []
    for edge, note in zip(gap, np.searchsorted(starts, gap), strict=True):
        # A note that is played just before a bar line, and written after it, belongs to the bar it is written in.
        before = int(score.notes["onset"][note - 1]) + 1 if note else 0
        exact = max(before, int(np.ceil(edge * score.ticks_per_quarter / TICKS)))
        ticks.append(min(exact, int(score.notes["onset"][note])) if note < len(starts) else exact)
    return Removal(ticks[0], ticks[1])


# ---------------------------------------------------------------------------------------------------------- seconds


def _common_notes(prompt: Score, score: Score) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When each note that both have begins by the prompt's clock and by the score's: seconds [notes], rising.

    The n-th note of a pitch is the n-th of that pitch, where both have as many.
    """
    clocks, plays = _by_pitch(prompt), _by_pitch(score)
    pairs = [
        pair
        for pitch, times in clocks.items()
        if len(times) == len(plays[pitch])
        for pair in zip(times, plays[pitch], strict=True)
    ]
    if not pairs:
        return np.zeros(1), np.zeros(1)
    clock, played = np.array(sorted(pairs)).T
    return clock, np.maximum.accumulate(played)


def _by_pitch(score: Score) -> defaultdict[tuple[int, bool], list[float]]:
    """The onsets of each pitch in seconds, percussion apart; notes in unison count once."""
    onsets: defaultdict[tuple[int, bool], list[float]] = defaultdict(list)
    notes = score.notes
    seconds = score.seconds(notes["onset"]).tolist()
    for second, pitch, program in zip(seconds, notes["pitch"].tolist(), notes["program"].tolist(), strict=True):
        times = onsets[pitch, program == DRUMS]
        if not times or second > times[-1]:
            times.append(second)
    return onsets


def _at(seconds: NDArray, clock: NDArray, played: NDArray) -> NDArray[np.float64]:
    """What the clock's seconds are in the file; before the first and after the last common note it runs as the file."""
    clock, first = np.unique(clock, return_index=True)
    played = played[first]
    outside = np.minimum(0, seconds - clock[0]) + np.maximum(0, seconds - clock[-1])
    return np.maximum(0, np.interp(seconds, clock, played) + outside)


def _edge(second: float, clock: NDArray, played: NDArray, score: Score) -> int:
    """The tick of the file at which a gap's edge lies: that of a note which begins there, if one does."""
    following = int(np.searchsorted(clock, second - 1e-6))
    if following < len(clock) and clock[following] <= second + 1e-6:
        return int(score.ticks(played[following]))
    return int(score.ticks(_at(np.array([second]), clock, played))[0])


def _programs(programs: NDArray, prompt: Score, score: Score) -> NDArray:
    """The file's program for each program of an encoding that does not say the file's: that of most of its notes."""
    pitched = Counter(score.notes["program"][score.notes["program"] != DRUMS].tolist())
    named = set(prompt.notes["program"].tolist())
    if not pitched or named <= {*pitched, DRUMS}:
        return programs
    return np.where(programs == DRUMS, DRUMS, pitched.most_common(1)[0][0]).astype(programs.dtype)
