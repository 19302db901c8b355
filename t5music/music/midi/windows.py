"""Windows: where the events in the bytes of a track stand, found for many bytes at once.

Meta events and SysEx are without their data here: FF, the kind and a length, or F0 and a length, as if they were
messages of two data bytes, or of one.

A byte of 128 or more is a status, or it continues a delta time. Which of the two follows from the number of lower bytes
between it and the next high byte. A message has two data bytes and a delta time ends with one lower byte; so modulo 3

- nothing remains where a status follows a status, with running messages between them or without, or where a delta time
  follows a delta time;
- one byte remains where a status follows the beginning of a delta time;
- two bytes remain where a delta time begins after a status.

A program change, a channel pressure and a SysEx have one data byte, which shifts this by one. So from most high bytes
the next one's nature is known, and from the others whether it stays the same or turns into the other.

Then each event is checked: it must begin where the one before it ends, with a delta time of at most four bytes. A guess
may cost the time that the slow way takes, but is never taken for an event.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.errors import MidiError

SIZE = 24_576  # bytes of a window
PADDING = bytes(8)  # after the last event, so that it can be read as if it were longer
DELTA_BYTES = 4  # of a delta time, at most
MIN_NOTE_BYTES = 3  # of a note-on: its delta time, its key and its velocity

# A status byte whose message has one data byte here: program change, channel pressure, SysEx.
HAS_ONE_BYTE = np.isin(np.arange(256) >> 4, (0xC, 0xD)) | (np.arange(256) == 0xF0)
# By 3 * (one data byte, were it a status) + (number of lower bytes + 1) modulo 3: whether the next high byte's nature
# is known whatever this one is, whether it is then a status, and else whether it is the other than this one.
IS_KNOWN = np.array([True, False, True, True, True, False])
IS_STATUS = np.array([False, False, True, True, False, False])
IS_OTHER = np.array([False, False, False, False, False, True])
THIRD, SHIFT = 43691, 17  # number * THIRD >> SHIFT is number // 3 up to 2^16, in a tenth of the time


class Window(NamedTuple):
    """Events in the order of the bytes.

    Attributes:
        places: int64 [events], where the first data byte stands; the kind of a meta event, the length of a SysEx.
        deltas: int64 [events], ticks since the event before.
        status: uint8 [events], the status byte or the running status.
        running: bool [events], whether it is a running one.
    """

    places: NDArray
    deltas: NDArray
    status: NDArray
    running: NDArray

    def end(self) -> int:
        """Where the last event ends."""
        return int(self.places[-1]) + 2 - int(HAS_ONE_BYTE[self.status[-1]])


def read_windows(body: bytes, max_notes: int, name: str) -> Window | None:
    """Finds all events of `body`, up to its PADDING.

    Returns:
        None where something is not as the standard has it, or cannot be read so.

    Raises:
        MidiError: "`name`: ..." for more than `max_notes` note-ons.
    """
    octets = np.frombuffer(body, np.uint8)
    length = len(body) - len(PADDING)
    windows: list[Window] = []
    at = notes = status = 0
    while at < length:
        window = _read(octets, at, min(at + SIZE, length), status)
        if window is None:
            return None
        windows.append(window)
        at = window.end()
        messages = window.status[window.status < 0xF0]
        status = int(messages[-1]) if len(messages) else status
        if length // MIN_NOTE_BYTES > max_notes:
            notes += int(np.count_nonzero((window.status >> 4 == 9) & (octets[window.places + 1] > 0)))
            if notes > max_notes:
                raise MidiError(f"{name}: has more than {max_notes} notes")
    if len(windows) == 1:
        return windows[0]
    none = np.empty(0, np.int64)
    empty = Window(none, none, np.empty(0, np.uint8), np.empty(0, np.bool_))
    return Window(*map(np.concatenate, zip(empty, *windows, strict=True)))


def _read(octets: NDArray, at: int, stop: int, status: int) -> Window | None:
    """The whole events from byte `at` to `stop`, after a message with this status (0: none). None if it finds none."""
    # The high bytes, and before them the place before `at`, as if it were one and began a delta time.
    later = (octets[at:stop] > 0x7F).nonzero()[0]
    high = np.empty(len(later) + 2, np.int64)
    high[0], high[1:-1], high[-1] = -1, later, stop - at
    gaps = np.diff(high)  # one more than there are bytes between
    high = high[:-1] + at
    heads = octets[high]
    heads[0] = 0
    has_one = HAS_ONE_BYTE[heads]
    thirds = gaps * THIRD >> SHIFT
    rest = gaps - 3 * thirds
    is_status = _natures(rest + 3 * has_one)
    # How many messages' data stand between each high byte and the next one: after a status gaps // 3, else (gaps - 1)
    # // 3.
    counts = thirds - ((rest == 0) & ~is_status)
    single = (has_one & is_status).nonzero()[0]
    counts[single] = np.minimum(gaps[single] - 1, 1)
    stops = counts.cumsum()
    count = int(stops[-1])
    if not count:
        return None
    begins = stops - counts
    of_event = np.arange(len(high)).repeat(counts)  # the last high byte before an event's data
    places = (high + 2 - is_status - 3 * begins)[of_event] + 3 * np.arange(count)
    running = np.ones(count, np.bool_)
    running[begins[is_status & (counts > 0)]] = False
    statuses = heads[of_event]
    if running.any():
        latest = np.maximum.accumulate(np.where(is_status & (heads < 0xF0), np.arange(len(high)), 0))
        heads[0] = status  # what runs on before the first status
        statuses = np.where(running, heads[latest][of_event], statuses)
    return _checked(octets, at, places, statuses, running)


def _natures(codes: NDArray) -> NDArray:
    """Whether each high byte (bool) is a status, from their codes as in IS_KNOWN. The first one is none."""
    is_certain = IS_KNOWN[codes]
    is_certain[0] = True
    latest = np.maximum.accumulate(np.where(is_certain, np.arange(len(codes)), 0))
    following = IS_STATUS[codes][latest]
    other = IS_OTHER[codes]
    if other.any():
        turns = other.cumsum()
        following ^= (turns - turns[latest]) & 1 == 1
    return np.concatenate([[False], following[:-1]])


def _checked(octets: NDArray, at: int, places: NDArray, status: NDArray, running: NDArray) -> Window | None:
    """The window of these events, or None where one does not begin where the one before it ends; the first at `at`."""
    has_one = HAS_ONE_BYTE[status]
    place = np.concatenate([[at], (places + 2 - has_one)[:-1]])  # in the delta times, which begin where events end
    digits = octets[place]
    longer = (digits > 0x7F).nonzero()[0]
    deltas = (digits & 0x7F).astype(np.int64)
    for _ in range(DELTA_BYTES - 1):
        if not len(longer):
            break
        place[longer] += 1
        digits = octets[place[longer]]
        deltas[longer] = deltas[longer] << 7 | digits & 0x7F
        longer = longer[digits > 0x7F]
    if len(longer) or (has_one & running).any() or (places - place + running != 2).any():
        return None
    return Window(places, deltas, status, running)
