"""Bounds of answers: what promises mean for the answers to one piece of music, in the words of a task's encoding."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import Composes, Infill
from t5music.errors import ConfigError, nearest
from t5music.inference.promises import PHRASE, Part, Promises
from t5music.music import encodings
from t5music.music.chords import NO_CHORD, Chord
from t5music.music.encodings import Promised
from t5music.music.encodings.base import Events
from t5music.music.encodings.performance import promised as performance
from t5music.music.encodings.performance.encoding import STEPS_PER_SECOND
from t5music.music.encodings.remi.bounds import Bounds, Lock, Slot
from t5music.music.encodings.remi.grid import (
    DURATIONS,
    METER_UNITS,
    POSITION,
    POSITIONS,
    TEMPI,
    UNIT,
    UNITS_PER_QUARTER,
    lay_bars,
    lay_notes,
    place,
)
from t5music.music.encodings.remi.promised import PromisedRemi, fewest_words
from t5music.music.encodings.remi.words import BAR, DURATION, FIRST, KIND_OF, TEMPO_WORD, TIMESIG, parse
from t5music.music.score import DRUMS, Score

PITCHES = 128
CLASSES = 12
FRAME = 2  # words of an answer that are no music: the mark of a gap, and EOS


def of_answers(
    promises: Promises,
    task: Composes,
    score: Score,
    programs: tuple[int, ...] | None,
    *,
    room: int,
    locked: NDArray[np.bool_] | None = None,
    answers: Sequence[Events] = (),
) -> tuple[Promised | None, list[Any]]:
    """The grammar that keeps the promises, and the bounds of each of a task's answers; None where it is the usual one.

    Answers that take the place of bars, or sound beside them, are as long as these, whatever is promised; where nothing
    is, and an answer has no room for so many bars, they end where it does.

    Args:
        promises: all that have a meaning in the task's encoding.
        task: the task.
        score: the music that it is asked about.
        programs: that new notes may have; None for all.
        room: words of an answer.
        locked: True [notes] for the score's notes that stay where music is filled in; None for none.
        answers: what has been written of a long answer, which the next one goes on from.

    Raises:
        ConfigError: a track that the music does not have, or promises that do not go with the task.
    """
    windows = task.windows(score)
    is_free = locked is None and not set(promises.names) - {"instruments"}  # which the usual grammar keeps
    longest = max((len(window) for _, window in windows or ()), default=0)
    if is_free and (not longest or room < fewest_words(longest) + FRAME):
        return None, []
    if promises.length is not None and (windows is not None or isinstance(task, Infill)):
        raise ConfigError(f"--length does not go with {task.kind}: its answers are as long as what they belong to")
    if task.encoding == "performance":
        return performance.PromisedPerformance(), [_performance(promises, answers)]
    common = _remi(promises, task, score, programs)
    if windows is None:
        rows = [_after(common, answers)]
    else:
        rows = [
            dataclasses.replace(
                common,
                bars=len(window),
                meters=tuple(int(bar[1] - FIRST[TIMESIG]) for bar in window),
                locks=() if locked is None else _locks(locked, score, first, len(window)),
                **_of_bars(promises, common, windows[0][0], first, len(window)),
            )
            for first, window in windows
        ]
    owes = any(row.least or row.slots for row in rows)
    return PromisedRemi(promises.polyphony is not None, any(row.locks for row in rows), owes), rows


def is_over(bounds: Any, promises: Promises, answer: Events) -> bool:
    """Whether nothing has to go on from an answer within these bounds."""
    if promises.length is None or not promises.length.amount:
        return True
    if isinstance(bounds, Bounds):
        return int((answer == FIRST[BAR]).sum()) >= bounds.most_bars
    return int(encodings.get("performance").waits[answer].sum()) >= bounds.steps


def _performance(promises: Promises, answers: Sequence[Events]) -> performance.Bounds:
    bounds = performance.Bounds(_keys(promises, None)[0])
    if promises.key is not None:
        bounds = dataclasses.replace(bounds, classes=_classes(promises), share=math.ceil(promises.key.share * 1000))
    if promises.polyphony is not None:
        bounds = dataclasses.replace(bounds, polyphony=promises.polyphony)
    if promises.length is not None:
        if promises.length.unit != "seconds":
            raise ConfigError("--length in performance must be in seconds: its music has no bars")
        waits = encodings.get("performance").waits
        steps = math.ceil(promises.length.amount * STEPS_PER_SECOND) - sum(int(waits[part].sum()) for part in answers)
        bounds = dataclasses.replace(bounds, steps=steps)
    return bounds


def _remi(promises: Promises, task: Composes, score: Score, programs: tuple[int, ...] | None) -> Bounds:
    """What all answers to a piece are bound to."""
    bounds = Bounds(_keys(promises, programs), always=promises.chords_on == "always", chords=promises.chords)
    if promises.key is not None:
        bounds = dataclasses.replace(bounds, classes=_classes(promises), share=math.ceil(promises.key.share * 1000))
    if promises.polyphony is not None:
        bounds = dataclasses.replace(bounds, polyphony=promises.polyphony)
    if promises.grid:
        places = np.arange(POSITIONS)
        grid = np.any([places % step == 0 for step in promises.grid], axis=0)
        bounds = dataclasses.replace(bounds, grid=grid)
    if promises.density is not None:
        bounds = dataclasses.replace(bounds, least=promises.density[0], most=promises.density[1])
    if promises.chords_of:
        bounds = dataclasses.replace(bounds, chords=_chords_of(promises.chords_of, score))
    if promises.rhythm_of:
        slots, bars = _rhythm_of(promises.rhythm_of, score)
        bounds = dataclasses.replace(bounds, slots=slots, rhythm_bars=bars)
    events = encodings.get("remi").encode(score) if task.needs_music else np.empty(0, np.int32)
    meters = events[KIND_OF[events] == TIMESIG] - FIRST[TIMESIG]
    tempi = TEMPI[events[KIND_OF[events] == TEMPO_WORD] - FIRST[TEMPO_WORD]]
    if len(meters):
        bounds = dataclasses.replace(bounds, meters=(int(meters[-1]),))
    return _with_length(bounds, promises, tempi)


def _with_length(bounds: Bounds, promises: Promises, tempi: NDArray) -> Bounds:
    length = promises.length
    if length is None:
        return bounds
    if length.unit == "phrases" and not length.amount:
        return dataclasses.replace(bounds, bars=PHRASE, growth=PHRASE)
    bars, hold = int(length.amount) * (PHRASE if length.unit == "phrases" else 1), False
    if length.unit == "seconds":
        if not len(tempi):
            raise ConfigError("--length in seconds needs music that says the tempo: promise bars")
        seconds = METER_UNITS[bounds.meters[0]] / UNITS_PER_QUARTER * 60 / int(tempi[-1])
        bars, hold = max(1, math.ceil(length.amount / seconds - 1e-6)), True
    return dataclasses.replace(bounds, bars=1, growth=1, most_bars=bars, hold_tempo=hold)


def _after(bounds: Bounds, answers: Sequence[Events]) -> Bounds:
    """The bounds of an answer that goes on from others: chords and rhythm go on, and so do the voices that sound."""
    if not answers:
        return bounds
    written = np.concatenate(answers)
    bars = int((written == FIRST[BAR]).sum())
    turn = bars % len(bounds.chords) if bounds.chords else 0
    slots = tuple(sorted(slot._replace(bar=(slot.bar - bars) % bounds.rhythm_bars) for slot in bounds.slots))
    parsed = parse(written)
    notes = np.flatnonzero(parsed.kinds == DURATION)
    ends = parsed.ticks[notes] + DURATIONS[parsed.values[notes]] * POSITION
    line = int(parsed.bar_ticks[-1]) + int(METER_UNITS[parsed.bar_meters[-1]]) * UNIT
    return dataclasses.replace(
        bounds,
        chords=bounds.chords[turn:] + bounds.chords[:turn],
        slots=slots,
        most_bars=bounds.most_bars - bars,
        voices=tuple(int(end - line) for end in ends if end > line),
    )


def _keys(promises: Promises, programs: tuple[int, ...] | None) -> NDArray[np.bool_]:
    """The pitches that each program may strike, bool [129, 128]."""
    keys = np.ones((DRUMS + 1, PITCHES), bool)
    if programs is not None:
        keys[~np.isin(np.arange(DRUMS + 1), programs)] = False
    ranges = [(each.programs, np.arange(each.low, each.high + 1)) for each in promises.range]
    named = {program for programs_here, _ in ranges for program in programs_here}
    for program in range(DRUMS):
        pitches = [span for programs_here, span in ranges if (program in programs_here) or
                   (not programs_here and program not in named)]  # fmt: skip
        if pitches:
            keys[program] &= np.isin(np.arange(PITCHES), np.concatenate(pitches))
    return keys


def _classes(promises: Promises) -> NDArray[np.bool_]:
    assert promises.key is not None
    return np.isin(np.arange(CLASSES), promises.key.pitch_classes)


# --------------------------------------------------------------------------------------------------- tracks and bars


def track_notes(name: str, score: Score, flag: str) -> NDArray[np.bool_]:
    """True [notes] for the notes of a track, by its number from 1, its name or a part of it.

    Raises ConfigError for a track that the music does not have.
    """
    names = [track.strip().lower() for track in score.track_names]
    wanted = name.strip().lower()
    if wanted.isascii() and wanted.isdecimal() and len(wanted) < 6:
        tracks = [int(wanted) - 1]
    else:
        tracks = [number for number, track in enumerate(names) if track == wanted]
        tracks = tracks or [number for number, track in enumerate(names) if wanted in track]
    is_on_track = np.isin(score.notes["track"], tracks)
    if not is_on_track.any():
        numbered = ", ".join(f"{number} {track}".strip() for number, track in enumerate(score.track_names, 1)) or "none"
        raise ConfigError(f"--{flag} {name}: not a track with notes (there are {numbered}){nearest(name, names)}")
    return is_on_track


def _of_bars(promises: Promises, common: Bounds, begin: int, first: int, count: int) -> dict[str, Any]:
    """The chords and the rhythm of an answer that replaces bars from `first` on, of answers that begin with `begin`."""
    fields: dict[str, Any] = {}
    if promises.chords:
        turn = (first - begin) % len(common.chords)
        fields["chords"] = common.chords[turn:] + common.chords[:turn]
    elif common.chords:
        chords = [
            common.chords[bar] if bar < len(common.chords) else (NO_CHORD,) for bar in range(first, first + count)
        ]
        fields["chords"] = tuple(chords)
    if common.slots:
        here = [slot for slot in common.slots if first <= slot.bar < first + count]
        if not here:
            raise ConfigError(
                f"--rhythm_of {promises.rhythm_of}: the track has no notes in bars {first + 1}-{first + count}"
            )
        fields["slots"] = tuple(slot._replace(bar=slot.bar - first) for slot in here)
        fields["rhythm_bars"] = count
    return fields


def _chords_of(name: str, score: Score) -> tuple[tuple[Chord, ...], ...]:
    """What sounds on a track in each half of each bar: its pitch classes, all where nothing does."""
    notes = score.notes[track_notes(name, score, "chords_of")]
    laid = lay_notes(score.with_notes(notes))
    classes = notes["pitch"][laid.notes] % CLASSES
    ends = laid.starts + laid.lengths * POSITION
    bars = []
    for begin, end in zip(laid.edges[: int(laid.bars[-1]) + 1], laid.edges[1:], strict=False):
        middle = (begin + end) // 2
        halves = []
        for first, last in ((begin, middle), (middle, end)):
            sounding = np.unique(classes[(laid.starts < last) & (ends > first)])
            halves.append(tuple(sounding.tolist()) or NO_CHORD)
        bars.append(tuple(halves))
    return tuple(bars)


def _rhythm_of(name: str, score: Score) -> tuple[tuple[Slot, ...], int]:
    """The rhythm of a track, and how many bars it has. A note lasts to the next onset at most."""
    laid = lay_notes(score.with_notes(score.notes[track_notes(name, score, "rhythm_of")]))
    bars = int(laid.bars[-1]) + 1
    onsets, first = np.unique(laid.starts, return_index=True)
    counts = np.diff(np.append(first, len(laid.starts)))
    following = np.append(onsets[1:], onsets[0] + laid.edges[bars])
    slots = []
    for onset, index, count, after in zip(onsets, first, counts, following, strict=True):
        bar = int(laid.bars[index])
        longest = int(laid.lengths[index : index + count].max())
        length = max(1, min(longest, int(after - onset) // POSITION))
        duration = int(np.searchsorted(DURATIONS, length, side="right")) - 1
        slots.append(Slot(bar, int(onset - laid.edges[bar]) // POSITION, int(count), duration))
    return tuple(slots), bars


def note_bars(score: Score) -> NDArray[np.int64]:
    """The bar, from 0, in which remi writes each note of a score: int64 [notes]."""
    edges, _ = lay_bars(score)
    return place(score.notes["onset"], score.ticks_per_quarter, edges)[0]


def notes_of_parts(parts: Sequence[Part], score: Score, flag: str) -> NDArray[np.bool_]:
    """True [notes] for the notes of some bars of some tracks. Raises ConfigError for what the music does not have."""
    chosen = np.zeros(len(score.notes), bool)
    bars = note_bars(score) if len(score.notes) else np.empty(0, np.int64)
    for part in parts:
        notes = track_notes(part.track, score, flag) if part.track else np.ones(len(score.notes), bool)
        if part.first is not None and part.last is not None:
            if part.first > bars.max(initial=-1) + 1:
                raise ConfigError(
                    f"--{flag} bars {part.first}-{part.last}: the music has {bars.max(initial=-1) + 1} bars"
                )
            notes = notes & (bars >= part.first - 1) & (bars < part.last)
        chosen |= notes
    return chosen


def _locks(locked: NDArray[np.bool_], score: Score, first: int, count: int) -> tuple[Lock, ...]:
    """The locked notes that begin in `count` bars of the score from `first` on, as remi lays them."""
    laid = lay_notes(score)
    notes = score.notes[laid.notes]
    result = []
    for index in np.flatnonzero(locked[laid.notes] & (laid.bars >= first) & (laid.bars < first + count)).tolist():
        bar, program = int(laid.bars[index]), int(notes["program"][index])
        length = min(int(laid.lengths[index]), int(laid.room[index]))
        duration = 0 if program == DRUMS else int(np.searchsorted(DURATIONS, length, side="right")) - 1
        position = int(laid.starts[index] - laid.edges[bar]) // POSITION
        tick = int(laid.starts[index] - laid.edges[first])
        result.append(Lock(bar - first, position, program, int(notes["pitch"][index]), duration, tick))
    return tuple(sorted(result, key=lambda lock: lock[:4]))
