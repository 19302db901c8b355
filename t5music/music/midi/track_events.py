"""Track events: the events of a regular MIDI track, where each stands in its bytes, and the track without some of them.

What is read here is changed and written again, so each event remembers its own bytes. `events` reads many at once, but
only what they say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from t5music.music.midi import variable_length

META, SYSEX, ESCAPE = 0xFF, 0xF0, 0xF7
END_OF_TRACK = b"\xff\x2f\x00"
LENGTH_BYTES = 4  # of a variable-length number, at most


class TrackEvent(NamedTuple):
    """One event.

    Attributes:
        begin: where its delta time begins in the track's bytes.
        data: where its status stands, or its first data byte under running status.
        end: where it ends.
        tick: when it happens.
        delta: ticks since the event before.
        status: the status byte, or the running one.
    """

    begin: int
    data: int
    end: int
    tick: int
    delta: int
    status: int


def read_track(body: bytes) -> list[TrackEvent] | None:
    """The events of a track; None where a byte is not as the standard has it, or where no End of Track closes it."""
    events: list[TrackEvent] = []
    at = tick = running = 0
    try:
        while at < len(body):
            begin = at
            delta, at = _number(body, at)
            tick += delta
            data = at
            status = body[at] if body[at] > 0x7F else running
            at += body[at] > 0x7F
            if 0x80 <= status < SYSEX:
                running = status
                end = at + (1 if 0xC0 <= status < 0xE0 else 2)
                if max(body[at:end]) > 0x7F:
                    return None
            elif status in (META, SYSEX, ESCAPE) and data < at:
                size, at = _number(body, at + (status == META))
                end = at + size
            else:
                return None
            if end > len(body):
                return None
            events.append(TrackEvent(begin, data, end, tick, delta, status))
            at = end
    except (IndexError, ValueError):
        return None
    closed = any(event.status == META and body[event.data : event.end] == END_OF_TRACK for event in events)
    return events if closed else None


def _number(body: bytes, at: int) -> tuple[int, int]:
    """The variable-length number at a place, and where it ends. Raises ValueError for one that is too long."""
    start = at
    while body[at] > 0x7F:
        at += 1
    at += 1
    if at - start > LENGTH_BYTES:
        raise ValueError("more than four bytes")
    return variable_length.decode(body[start:at]), at


def without(body: bytes, events: Sequence[TrackEvent], removed: Collection[int]) -> bytes:
    """The track's bytes without some of its events (their numbers). What is left happens when it did.

    Only the delta time after a gap is written anew, and a status where the running one has gone.
    """
    track = bytearray()
    wait = running = 0
    for number, event in enumerate(events):
        if number in removed:
            wait += event.delta
            continue
        track += variable_length.encode(wait + event.delta) if wait else body[event.begin : event.data]
        wait = 0
        if body[event.data] < 0x80 and event.status != running:
            track.append(event.status)
        track += body[event.data : event.end]
        running = event.status if event.status < SYSEX else running
    return bytes(track)
