"""The state of promised remi: what has been written, and the tables of what is promised."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from t5music.music.encodings.grammar import Array
from t5music.music.encodings.remi.bounds import Tables
from t5music.music.encodings.remi.grammar import State as Words
from t5music.music.encodings.remi.grid import POSITIONS
from t5music.music.encodings.remi.words import DRUM, DURATION, TEMPO_WORD, TIMESIG

PLACES = np.arange(POSITIONS, dtype=np.int32)
BOUNDARIES = (1 << TIMESIG) | (1 << TEMPO_WORD) | (1 << DRUM) | (1 << DURATION)  # words after which anything may begin


class Counts(NamedTuple):
    """What has been written, int32 [batch] each, but for `ends`."""

    bar: Array  # of the answer, -1 before its first
    bars: Array  # that the answer will have
    closed: Array  # 1 after the Bar behind the last bar
    origin: Array  # tick of the answer's first bar line
    meter: Array  # index into METERS of the bar, -1 before the first
    in_bar: Array  # new notes begun in the bar
    here: Array  # new notes begun at the position
    pitched: Array  # new pitched notes
    in_key: Array  # of these, in the key
    lock: Array  # the next lock
    locked: Array  # 1 from a locked pitch until its duration
    tight: Array  # 1 where there is no room but for what is owed
    used: Array  # words so far
    ends: Array  # [batch, voices], the ticks at which the last new notes end


class State(NamedTuple):
    """The grammar's state, the counts, and the tables, which never change."""

    words: Words
    counts: Counts
    tables: Tables

    @property
    def room(self) -> Array:
        """int32 [batch], words that may still be written."""
        return self.words.room


def rhythm_left(state: State, xp: Any) -> Array:
    """int [batch], notes of the rhythm that the bar still needs."""
    notes = xp.maximum(of_bar(state.tables.rhythm, state.counts.bar, state.tables.rhythm_bars, xp), 0)
    left = xp.sum(xp.where(state.words.position[:, None] <= PLACES, notes, 0), axis=1)
    return xp.where(state.counts.bar >= 0, left - state.counts.here * (left > 0), 0)


def take(table: Array, index: Array, xp: Any) -> Array:
    """table[row, index[row]] of each row."""
    return table[xp.arange(len(table)), index]


def of_bar(table: Array, bar: Array, bars: Array, xp: Any) -> Array:
    """The entry of `table` [batch, bars, ...] for the bar of each row, of so many that come over and over."""
    return take(table, xp.maximum(bar, 0) % bars, xp)
