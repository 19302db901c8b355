"""remi's words, and parsing: where in time each event stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t5music.music.encodings.base import VELOCITY_BINS
from t5music.music.encodings.remi.grid import (
    COMMON_TIME,
    DURATIONS,
    MAX_BARS,
    METER_UNITS,
    METERS,
    POSITION,
    POSITIONS,
    TEMPI,
    UNIT,
)
from t5music.music.score import TEMPO

# The kinds of words in the order of their event ids.
KINDS = ("Bar", "TimeSig", "Pos", "Tempo", "Program", "Velocity", "Pitch", "Drum", "Duration")
BAR, TIMESIG, POS, TEMPO_WORD, PROGRAM, VELOCITY, PITCH, DRUM, DURATION = range(len(KINDS))

_VALUES: tuple[Sequence | NDArray, ...] = (
    (),
    tuple(f"{numerator}/{denominator}" for numerator, denominator in METERS),
    range(POSITIONS),
    TEMPI,
    range(128),
    range(1, VELOCITY_BINS + 1),
    range(128),
    range(128),
    DURATIONS,
)
WORDS = ("Bar", *(f"{kind}_{value}" for kind, values in zip(KINDS, _VALUES, strict=True) for value in values))
KIND_OF = np.repeat(np.arange(len(KINDS)), [max(1, len(values)) for values in _VALUES])  # int64 [words]
FIRST = np.searchsorted(KIND_OF, np.arange(len(KINDS)))  # int64 [kinds], the first event id of each kind
# The kinds of words that belong to a note: those before its pitch, the pitch, what follows it.
LEAD_KINDS, HEAD_KINDS = (POS, PROGRAM, VELOCITY), (PITCH, DRUM)
NOTE_KINDS = (*LEAD_KINDS, *HEAD_KINDS, DURATION)

PITCHES = np.where(KIND_OF == PITCH, np.arange(len(WORDS)) - FIRST[PITCH], -1)  # int64 [words], -1 for other words
TEMPO_OF = np.zeros(len(WORDS), np.int64)  # [words], quarters a minute, 0 for other words
TEMPO_OF[KIND_OF == TEMPO_WORD] = TEMPI

_MINUTE = 60_000_000  # microseconds
_NOMINAL_TEMPO = int(np.flatnonzero(TEMPI == 120)[0])


@dataclass(frozen=True)
class Parsed:
    """Events placed in time.

    Attributes:
        kinds, values: int64 [events], index into KINDS, and event id less the first one of the kind.
        bars: int64 [events], the index of the bar each event is in.
        ticks: int64 [events], 480 a quarter, of the position each event is at.
        bar_at: int64 [bars], index of each Bar event.
        bar_ticks, bar_meters: int64 [bars], where the bars begin, and their indices into METERS.
        tempos: TEMPO [tempi], the first one at tick 0.
        added: how many events were put before the given ones (0, or 2 to open a bar).
        repairs: what had to be dropped or mended to read bars, meters, positions and tempi.
    """

    kinds: NDArray[np.int64]
    values: NDArray[np.int64]
    bars: NDArray[np.int64]
    ticks: NDArray[np.int64]
    bar_at: NDArray[np.int64]
    bar_ticks: NDArray[np.int64]
    bar_meters: NDArray[np.int64]
    tempos: NDArray
    added: int
    repairs: int


def parse(events: NDArray[np.int32]) -> Parsed:
    """Reads events (at least one) up to the 20,000th bar. The repairs are listed in Remi._decode."""
    repairs = added = 0
    if KIND_OF[events[0]] != BAR:
        events = np.concatenate([[FIRST[BAR], FIRST[TIMESIG] + COMMON_TIME], events])
        repairs, added = 1, 2
    bar_at = np.flatnonzero(events == FIRST[BAR])
    if len(bar_at) > MAX_BARS:
        repairs += len(events) - int(bar_at[MAX_BARS])
        events, bar_at = events[: bar_at[MAX_BARS]], bar_at[:MAX_BARS]
    kinds = KIND_OF[events]
    values = events - FIRST[kinds]
    bars = np.cumsum(kinds == BAR) - 1

    stated = np.append(kinds, -1)[bar_at + 1] == TIMESIG
    repairs += int((~stated).sum() + (kinds == TIMESIG).sum() - stated.sum())
    latest = np.maximum.accumulate(np.where(stated, bar_at, -1))
    bar_meters = np.where(latest >= 0, np.append(values, 0)[latest + 1], COMMON_TIME)
    lengths = METER_UNITS[bar_meters] * UNIT
    bar_ticks = np.cumsum(lengths) - lengths

    latest = np.maximum.accumulate(np.where(kinds == POS, np.arange(len(kinds)), -1))
    placed = latest > bar_at[bars]
    ticks = bar_ticks[bars] + np.where(placed, values[latest], 0) * POSITION
    at = np.flatnonzero(kinds == POS)
    back = (np.diff(values[at]) <= 0) & (np.diff(bars[at]) == 0)
    repairs += int(back.sum() + (values[at] * POSITION >= lengths[bars[at]]).sum())
    repairs += int((((kinds == PITCH) | (kinds == DRUM)) & ~placed).sum())

    tempos, mended = _tempos(kinds, values, ticks)
    return Parsed(kinds, values, bars, ticks, bar_at, bar_ticks, bar_meters, tempos, added, repairs + mended)


def _tempos(kinds: NDArray, values: NDArray, ticks: NDArray) -> tuple[NDArray, int]:
    """The tempo map (TEMPO), and how many repairs it took."""
    at = np.flatnonzero(kinds == TEMPO_WORD)
    repairs = int((kinds[at - 1] != POS).sum())  # the first event is a Bar, so there always is one before
    at = at[np.argsort(ticks[at], kind="stable")]
    at = at[np.append(np.diff(ticks[at]) > 0, True)[: len(at)]]  # the last one at a tick holds
    starts, tempi = ticks[at], values[at]
    if not len(at) or starts[0] > 0:
        starts, tempi = np.append(0, starts), np.append(_NOMINAL_TEMPO, tempi)
        repairs += 1
    tempos = np.empty(len(starts), TEMPO)
    tempos["tick"] = starts
    tempos["microseconds"] = np.rint(_MINUTE / TEMPI[tempi])
    return tempos, repairs
