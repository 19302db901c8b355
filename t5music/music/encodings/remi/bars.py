"""Bars of remi events: taking them apart, opening them with the tempo in force, putting others in their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from t5music.music.encodings.base import Events
from t5music.music.encodings.remi.grid import METER_UNITS, POSITION, UNIT
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

START = FIRST[POS]  # Pos_0


def bars_of(events: Events) -> list[Events]:
    """The events of each bar, its Bar first; what comes before the first Bar is left out."""
    return np.split(events, np.flatnonzero(events == FIRST[BAR]))[1:]


def bare(events: Events) -> Events:
    """The events without Program and Velocity: bars, positions, pitches and durations, all that MIDI-BERT sees."""
    return events[(KIND_OF[events] != PROGRAM) & (KIND_OF[events] != VELOCITY)]


def from_first_note(events: Events) -> Events:
    """The events of music that has notes, without the bars before the first one; the tempo in force is restated."""
    first = int(np.argmax((KIND_OF[events] == PITCH) | (KIND_OF[events] == DRUM)))
    start = int(np.flatnonzero(events[:first] == FIRST[BAR])[-1])
    return opened(events[:start], events[start:])


def opened(before: Events, after: Events) -> Events:
    """`after`, whole bars, opening with the tempo in force after `before` where it does not say its own."""
    tempo = _tempo_in_force(before)
    if not len(after) or not len(tempo):
        return after
    head, body = after[:2], after[2:]
    if len(body) and body[0] == START:
        body = body[1:]
        if len(body) and KIND_OF[body[0]] == TEMPO_WORD:
            return after
    return np.concatenate([head, np.array([START], np.int32), tempo, body])


def replace_bars(bars: Sequence[Events], answer: Events) -> Events:
    """An answer in the place of bars: as many as there are, with their meters.

    Bars that the answer lacks are empty. Left out are bars that it has too many, and what lies beyond a bar's end where
    the answer was in a longer meter.
    """
    answer_bars = bars_of(answer)
    parts: list[Events] = [answer[:0]]
    for number, bar in enumerate(bars):
        content = answer_bars[number][1:] if number < len(answer_bars) else answer[:0]
        has_meter = len(content) > 0 and KIND_OF[content[0]] == TIMESIG
        # encode writes every bar as Bar, TimeSig and the rest
        parts += [bar[:2], _within(content[1 if has_meter else 0 :], int(bar[1]))]
    return np.concatenate(parts)


def replace(events: Events, first: int, last: int, answer: Events) -> Events:
    """See `Remi.replace`."""
    before, hidden, after = events[:first], events[first:last], events[last:]
    middle = replace_bars(bars_of(hidden), answer)
    original, changed = (_tempo_in_force(np.concatenate([before, bars])) for bars in (hidden, middle))
    if not np.array_equal(original, changed):
        after = opened(np.concatenate([before, hidden]), after)
    return np.concatenate([before, middle, after]).astype(np.int32)


def _tempo_in_force(events: Events) -> Events:
    """The last Tempo, in an array; an empty array if there is none."""
    return events[np.flatnonzero(KIND_OF[events] == TEMPO_WORD)[-1:]]


def _within(words: Events, meter: int) -> Events:
    """A bar's words up to the first position that a bar of this meter (a TimeSig event) does not have."""
    length = METER_UNITS[meter - FIRST[TIMESIG]] * UNIT
    beyond = (KIND_OF[words] == POS) & ((words - FIRST[POS]) * POSITION >= length)
    return words[: int(np.argmax(np.append(beyond, True)))]
