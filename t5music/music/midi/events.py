"""Events: the bytes of MIDI tracks as arrays, one row an event.

Where an event begins depends on where the one before it ends, so bytes are usually read one after another. Here numpy
reads many at once (see `windows`), after the data of meta events and SysEx have been cut out. Every event so found is
checked against the standard; tracks that do not pass are read byte by byte and made regular first (see `repair`).

Running status goes on after meta events and SysEx, as most sequencers have it. An End of Track ends running status and
nothing else: what stands after it, within the length that the chunk states, is read, and told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.music.midi import repair, variable_length
from t5music.music.midi.chunks import Chunks
from t5music.music.midi.limits import Limits
from t5music.music.midi.windows import HAS_ONE_BYTE, PADDING, Window, read_windows

META, SYSEX = 0xFF, 0xF0
TRACK_NAME, PORT, END_OF_TRACK, TEMPO, METER, KEY = 0x03, 0x21, 0x2F, 0x51, 0x58, 0x59  # kinds of meta events
# How long the data of meta events are, where that is fixed; no byte where there is no such event.
LENGTHS = {0x20: 1, END_OF_TRACK: 0, TEMPO: 3, 0x54: 5, METER: 4, KEY: 2}
LENGTHS |= {kind: -1 for kind in range(256) if kind not in {*range(0x10), *LENGTHS, PORT, 0x4B, 0x7F}}
END_OF_SYSEX = 0xF7
LENGTH_BYTES = 4  # of a variable-length number, at most


IS_HEAD = np.isin(np.arange(256), (META, SYSEX))


class Blob(NamedTuple):
    """A meta event or a SysEx.

    Attributes:
        event: which event it is.
        kind: the kind of a meta event, SYSEX for a SysEx.
        data: what it holds.
    """

    event: int
    kind: int
    data: bytes


class Events(NamedTuple):
    """The events of all tracks of a file, track after track.

    Attributes:
        ticks: int64 [events], from the beginning of the music.
        tracks: int64 [events], number of the track of the file.
        status: uint8 [events], the status byte, or the running one; SYSEX or META of those.
        first: uint8 [events], the first data byte of a channel message.
        second: uint8 [events], its second data byte, if it has one.
        blobs: the meta events and SysEx.
        starts: tick at which each track begins: 0, but in a file of type 2 the end of the one before.
        end: tick of the last event.
    """

    ticks: NDArray
    tracks: NDArray
    status: NDArray
    first: NDArray
    second: NDArray
    blobs: list[Blob]
    starts: list[int]
    end: int


def read_events(chunks: Chunks, mended: Counter[str], limits: Limits, name: str) -> Events:
    """Reads the events of all tracks. Time and memory are linear in their bytes.

    Args:
        chunks: the file, taken apart.
        mended: counts what is not as the standard has it.
        limits: how many note-ons are too much.
        name: what to call the file in errors.

    Raises:
        MidiError: too many notes, or bytes that are not music.
    """
    bodies = [chunks.data[start:end] for start, end in chunks.tracks]
    events = _read(bodies, chunks.kind == 2, limits, name)
    if events is None:
        regular = [_read([body], False, limits, name) is not None for body in bodies]
        events = _read(repair.repaired(bodies, regular, mended, name), chunks.kind == 2, limits, name)
        assert events is not None, "a repaired track is regular"
    ends = [blob.event for blob in events.blobs if blob.kind == END_OF_TRACK]
    first_end: dict[int, int] = {}
    for event, track in zip(ends, events.tracks[ends].tolist(), strict=True):
        first_end.setdefault(track, event + 1)
    stops = np.searchsorted(events.tracks, list(first_end), side="right")
    mended["tracks without an end"] += len(bodies) - len(first_end)
    mended["events after an end of track"] += int(stops.sum()) - sum(first_end.values()) - len(ends) + len(first_end)
    return events


def _read(bodies: Sequence[bytes], sequential: bool, limits: Limits, name: str) -> Events | None:
    """The events of tracks, or None where they are not regular.

    If `sequential`, a track begins where the last ended.
    """
    stripped = _strip(bodies)
    window = None if stripped is None else read_windows(stripped.body, limits.notes, name)
    if stripped is None or window is None:
        return None
    rows = (window.status >= SYSEX).nonzero()[0]
    if (window.places[rows] - 1).tolist() != stripped.heads:
        return None
    blobs = list(map(Blob, rows.tolist(), stripped.kinds, stripped.data))
    stops = window.places.searchsorted(stripped.ends).tolist()  # of each track, in events
    firsts = [0, *stops[:-1]] if bodies else []
    resets = [*firsts, *(blob.event + 1 for blob in blobs if blob.kind == END_OF_TRACK)]
    if not _end_there(window, stops, stripped.ends) or not _has_status(window, sorted(resets)):
        return None
    octets = np.frombuffer(stripped.body, np.uint8)
    ticks = window.deltas.cumsum()
    starts = [int(ticks[first - 1]) if first else 0 for first in firsts]
    counts = np.array(stops, np.int64) - np.array(firsts, np.int64)
    if not sequential:
        ticks -= np.array(starts, np.int64).repeat(counts)
        starts = [0] * len(bodies)
    return Events(
        ticks,
        np.arange(len(bodies)).repeat(counts),
        window.status,
        octets[window.places],
        octets[window.places + 1],
        blobs,
        starts,
        int(ticks.max(initial=0)),
    )


class _Stripped(NamedTuple):
    """The bytes of tracks without the data of meta events and SysEx, of whose lengths only the last byte stays."""

    body: bytes  # with PADDING
    ends: list[int]  # where in `body` each track ends
    heads: list[int]  # where in `body` stands what looks like the status of a meta event or SysEx
    kinds: list[int]  # as Blob has them
    data: list[bytes]


def _strip(bodies: Sequence[bytes]) -> _Stripped | None:
    """Cuts the data of meta events and SysEx out. Returns None where they go on beyond their track.

    A byte FF or F0 may also be part of a delta time; it is taken for one where it is followed by no meta event or SysEx
    as one would expect it.
    """
    body = b"".join([*bodies, PADDING])
    length = len(body) - len(PADDING)
    stripped = _Stripped(body, [], [], [], [])
    parts: list[bytes] = []
    cuts, removed = [0], [0]  # where bytes were cut out, and how many up to there
    copied = at = 0  # up to where bytes are in `parts`, and up to where they were looked at
    for head in IS_HEAD[np.frombuffer(body, np.uint8)].nonzero()[0].tolist():
        if head < at or (head and body[head - 1] > 0x7F):
            continue
        kind, first, last = body[head + 1], head + 2, head + 2  # of its length, the first and the last byte
        size = body[first]
        if body[head] == META:
            if LENGTHS.get(kind, size) != size:
                continue
        else:
            kind, size, first, last = SYSEX, kind, head + 1, head + 1
            if size < 0x80 and body[min(head + 1 + size, length)] != END_OF_SYSEX:
                continue
        if size > 0x7F:
            while body[last] > 0x7F:
                last += 1
            size = variable_length.decode(body[first : last + 1])
        at = last + 1 + size
        if at > length or last - first >= LENGTH_BYTES:
            return None
        stripped.heads.append(head - removed[-1])
        stripped.kinds.append(kind)
        stripped.data.append(body[last + 1 : at])
        if at > first + 1:
            parts.append(body[copied:first])
            parts.append(body[last : last + 1])
            copied = at
            cuts.append(at)
            removed.append(removed[-1] + at - first - 1)
    parts.append(body[copied:])
    ends = [end - removed[bisect_right(cuts, end) - 1] for end in accumulate(map(len, bodies))]
    return stripped._replace(body=b"".join(parts), ends=ends)


def _end_there(window: Window, stops: list[int], ends: list[int]) -> bool:
    """Whether each track, up to its last event, which is one less than `stops`, ends where an event ends."""
    return all(
        end == (int(window.places[stop - 1]) + 2 - int(HAS_ONE_BYTE[window.status[stop - 1]]) if stop else 0)
        for stop, end in zip(stops, ends, strict=True)
    )


def _has_status(window: Window, resets: list[int]) -> bool:
    """Whether every running status is there. `resets`: where (events, in order) running status ends."""
    messages = (window.status < SYSEX).nonzero()[0]
    following = messages.searchsorted(resets)  # the first message from there on; at the end there is none
    return not window.running[messages[following[following < len(messages)]]].any()
