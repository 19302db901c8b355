"""Beat alignment: performances laid on a grid by annotated beats, as MIDI-BERT does with POP909.

POP909's MIDI files run at one nominal tempo; where the beats are, its `beat_audio.txt` says in seconds. `align` makes a
score of 4/4 bars of it, every onset and duration a whole number of 1/16 notes, by the rules (and the rounding) of
MIDI-BERT's `preprocess_pop909/preprocess.py`. With `compound_words` this gives their chunks and answers bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import DataError
from t5music.music.score import KEY, NOTE, PEDAL, TEMPO, Score

TICKS_PER_QUARTER = 480
STEP = 120  # ticks: a 1/16 note
BEATS_PER_BAR = 4

_EARLY = 0.1  # seconds before the first beat at which a note is taken to be on it, if it lasts
_EARLY_LONG = 0.2  # seconds or more
_NEW_TEMPO = 0.05  # a beat longer or shorter by more than these seconds is a new tempo


def align(score: Score, beats: ArrayLike, numbers: ArrayLike) -> Score:
    """The score with its beats on quarters, its first downbeat on the first or second bar line, in 4/4.

    A note is placed within the beat in which it begins, and lasts as if all of it were in that beat. Left out: notes
    before the first beat (but for long ones that begin less than 0.1 s before it), notes more than a beat after the
    last one, and notes that round to no duration. Overlapping notes of one track and pitch all end with the first that
    ends, as they do when MIDI-BERT reads back the file it has written. The pedal and the keys are left out.

    Args:
        score: a performance.
        beats: float [beats >= 4], seconds, rising: the first column of `beat_audio.txt`.
        numbers: [beats], the number of each beat in its bar, 1 for a downbeat: its second column.

    Raises:
        DataError: the beats are too few, or do not rise, or the first four hold no downbeat.
    """
    beats, numbers = np.asarray(beats, np.float64), np.asarray(numbers)
    if len(beats) < BEATS_PER_BAR or beats.shape != numbers.shape or (np.diff(beats) <= 0).any():
        raise DataError("beats must be four or more, with a number each, in rising seconds")
    downbeats = np.flatnonzero(numbers[:BEATS_PER_BAR] == 1)
    if not len(downbeats):
        raise DataError("none of the first four beats is a downbeat (number 1): only 4/4 can be aligned")
    first_tick = -int(downbeats[0]) % BEATS_PER_BAR * TICKS_PER_QUARTER
    lengths = np.append(np.diff(beats), beats[-1] - beats[-2])

    notes = score.notes.copy()
    begin = _seconds(score, notes["onset"])
    end = _seconds(score, notes["onset"] + notes["duration"])
    early = begin < beats[0]
    placed = ~early | ((begin >= beats[0] - _EARLY) & (end - begin > _EARLY_LONG))
    begin = np.maximum(begin, beats[0])
    beat = np.maximum(np.searchsorted(beats, begin, side="left") - 1, 0)  # a note on a beat belongs to the one before
    placed &= (beat < len(beats) - 1) | (begin - beats[-1] <= lengths[-1])
    notes["onset"] = first_tick + beat * TICKS_PER_QUARTER + _ticks((begin - beats[beat]) / lengths[beat])
    notes["duration"] = _ticks((end - begin) / lengths[beat])
    notes = _end_together(notes[placed & (notes["duration"] > 0)])

    changes = [0]
    for number, length in enumerate(lengths):
        if abs(length - lengths[changes[-1]]) > _NEW_TEMPO:
            changes.append(number)
    tempos = np.empty(len(changes), TEMPO)
    tempos["tick"] = first_tick + np.array(changes) * TICKS_PER_QUARTER
    tempos["tick"][0] = 0
    tempos["microseconds"] = np.rint(1e6 * lengths[changes])
    return replace(
        score,
        ticks_per_quarter=TICKS_PER_QUARTER,
        notes=notes,
        tempos=tempos,
        meters=score.meters[:0],  # without one a score is in 4/4
        keys=np.empty(0, KEY),
        pedals=np.empty(0, PEDAL),
    )


def in_four(numbers: ArrayLike, downbeats: ArrayLike) -> bool:
    """Whether MIDI-BERT takes a piece of POP909 for 4/4, as it does with 865 of 909.

    numbers: the second column of `beat_audio.txt`; downbeats: the third one of `beat_midi.txt`, 1 at a downbeat.
    """
    return bool(
        np.max(numbers) == BEATS_PER_BAR and abs(1 / BEATS_PER_BAR - np.mean(np.asarray(downbeats, np.float64))) < 0.03
    )


def _ticks(quarters: NDArray) -> NDArray[np.int64]:
    """The nearest whole number of 1/16 notes (half way: the even one) in ticks."""
    return STEP * np.rint(quarters * TICKS_PER_QUARTER / STEP).astype(np.int64)


def _seconds(score: Score, ticks: NDArray) -> NDArray[np.float64]:
    """As Score.seconds, by MIDI-BERT's arithmetic, which goes by tempi in quarters a minute.

    The last digit matters: beats have two decimals, so onsets fall half way between two 1/16 notes all the time.
    """
    changes, microseconds, _ = score._tempo_map()
    seconds_per_tick = 60.0 / (60e6 / microseconds)
    spans = seconds_per_tick[:-1] * np.diff(changes) / score.ticks_per_quarter
    starts = np.concatenate([[0.0], np.cumsum(spans)])
    index = np.maximum(np.searchsorted(changes, ticks, side="left") - 1, 0)
    return starts[index] + seconds_per_tick[index] * (ticks - changes[index]) / score.ticks_per_quarter


def _end_together(notes: NDArray) -> NDArray:
    """NOTE [notes] in which every note ends at the first end after its onset among those of its track and pitch."""
    if not len(notes):
        return np.empty(0, NOTE)
    key = (notes["track"] * np.int64(128) + notes["pitch"]) << 40
    ends = np.sort(key + notes["onset"] + notes["duration"])
    ended = ends[np.searchsorted(ends, key + notes["onset"], side="right")] - key
    notes["duration"] = ended - notes["onset"]
    return notes
