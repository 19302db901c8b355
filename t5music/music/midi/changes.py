"""Changes: the tempi, meters and key signatures of a file, in whatever tracks they stand.

Those that are too short, that music cannot have, or that come later than a file can be written, are left out. Of
several at one tick the last one holds, in the order of the tracks. The patterns of a file of type 2 each begin at 120
quarter notes a minute and in 4/4. Under SMPTE division time is absolute: tempi mean nothing, and one tempo throughout
makes the seconds right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.midi import events as midi_events
from t5music.music.midi.events import Events
from t5music.music.midi.writer import END_OF_TICKS
from t5music.music.score import DEFAULT_TEMPO, KEY, METER, TEMPO

Value = tuple[int, ...]  # what a change says, as in the fields of its row after the tick


class Changes(NamedTuple):
    """The changes of a file, in the order of time, at most one of a kind at a tick.

    Attributes:
        tempos: TEMPO [tempi].
        meters: METER [meters].
        keys: KEY [keys].
    """

    tempos: NDArray
    meters: NDArray
    keys: NDArray


def read_changes(events: Events, microseconds: int | None, mended: Counter[str]) -> Changes:
    """Reads the changes of all tracks.

    Args:
        events: the events of the file.
        microseconds: under SMPTE division the length of what counts as a quarter note, else None.
        mended: counts what is left out.
    """
    tempos = _changes(events, midi_events.TEMPO, _tempo, (DEFAULT_TEMPO,), mended)
    if microseconds is not None:
        mended["tempi under SMPTE division"] += len(tempos)
        tempos = {0: (microseconds,)}
    meters = _changes(events, midi_events.METER, _meter, (4, 4), mended)
    keys = _changes(events, midi_events.KEY, _key, None, mended)
    return Changes(_rows(tempos, TEMPO), _rows(meters, METER), _rows(keys, KEY))


def _tempo(data: bytes) -> Value | None:
    microseconds = int.from_bytes(data[:3], "big")
    return (microseconds,) if len(data) >= 3 and microseconds else None


def _meter(data: bytes) -> Value | None:
    return (data[0], 1 << data[1]) if len(data) >= 2 and data[0] and data[1] <= 7 else None


def _key(data: bytes) -> Value | None:
    fifths = (data[0] + 128) % 256 - 128 if data else 0
    return (fifths, data[1]) if len(data) >= 2 and abs(fifths) <= 7 and data[1] <= 1 else None


def _changes(
    events: Events, kind: int, value_of: Callable[[bytes], Value | None], default: Value | None, mended: Counter[str]
) -> dict[int, Value]:
    """The changes of one kind, tick -> value, in the order of time.

    `value_of`: what the data of a change say, None if that is impossible. `default`: what holds again at the beginning
    of each pattern of a file of type 2, if anything.
    """
    stated = [blob for blob in events.blobs if blob.kind == kind]
    ticks = events.ticks[[blob.event for blob in stated]].tolist() if stated else []
    rows: list[tuple[int, int, bool, Value]] = []  # tick, event, whether it is stated, value
    for (event, _, data), tick in zip(stated, ticks, strict=True):
        value = value_of(data)
        if value is None:
            mended["impossible tempi, meters or keys"] += 1
        elif tick >= END_OF_TICKS:
            mended["tempi, meters or keys too late to be written"] += 1
        else:
            rows.append((tick, event, True, value))
    if default is not None and any(events.starts):
        firsts = np.searchsorted(events.tracks, np.arange(1, len(events.starts))).tolist()
        rows += [(tick, first, False, default) for first, tick in zip(firsts, events.starts[1:], strict=True)]
    rows.sort()
    changes: dict[int, Value] = {}
    latest = default
    for (tick, _, is_stated, value), after in zip(rows, [*rows[1:], None], strict=False):
        if after is not None and after[0] == tick:
            mended["tempi, meters or keys replaced at one tick"] += is_stated and after[2] and after[3] != value
        elif is_stated or value != latest:
            changes[tick] = latest = value
    return changes


def _rows(changes: dict[int, Value], dtype: np.dtype) -> NDArray:
    return np.array([(tick, *value) for tick, value in changes.items()], dtype)
