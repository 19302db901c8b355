"""Repair: tracks that are not as the standard has them, made so, byte by byte, with as much of their music as there is.

It takes about a microsecond an event. What is done:

- a data byte above 127 counts as 127, as with `mido.MidiFile(clip=True)`;
- a data byte that no status precedes is skipped, with all that follow it up to the next status;
- system common and real-time messages, which have no place in a file, are skipped with their data bytes;
- a delta time or length goes on as long as its bytes say so, of which the last 28 bits count;
- a track that ends within an event ends before that event;
- what follows an End of Track is read up to the first event that is not as the standard has it, beginning with a
  status; from there on it is left out, for padding and what editors append is not music.

Where more than an eighth of the bytes read had to be mended so, the file is refused: that is not music.

Tracks come here, too, that are as the standard has them, but which `events` cannot read at once: with running program
changes, with escapes (events F7, which say nothing about music), or with delta times that look like a meta event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from t5music.errors import MidiError
from t5music.music.midi import variable_length

SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of system common messages; the others have none
END_OF_TRACK = b"\xff\x2f\x00"
NOTHING = b"\xff\x7f"  # a meta event without a meaning
TEXTS = {0x03, 0x21}  # the meta events of any length that are of use: track names, ports
# A tempo, meter or key signature that is impossible, which stands for one that is too short, and bytes that it must
# have.
IMPOSSIBLE = {0x51: (b"\0\0\0", 3), 0x58: (b"\0\0\x18\x08", 2), 0x59: (b"\x7f\0", 2)}
DAMAGE = ("data bytes above 127", "stray data bytes", "system messages", "numbers of more than 28 bits")


def repaired(bodies: Sequence[bytes], regular: Sequence[bool], mended: Counter[str], name: str) -> list[bytes]:
    """The bytes of each track's events, which `events` can read.

    Args:
        bodies: the bytes of each track's events.
        regular: whether they can be read as they are.
        mended: counts what was mended.
        name: what to call the file in errors.

    Raises:
        MidiError: too much had to be mended.
    """
    tracks: list[bytes] = []
    size = 0
    for body, is_regular in zip(bodies, regular, strict=True):
        track, read = (body, len(body)) if is_regular else _repaired(body, mended)
        tracks.append(track)
        size += read
    damaged = sum(mended[what] for what in DAMAGE)
    if 8 * damaged > size:
        raise MidiError(
            f"{name}: damaged MIDI file: {damaged} of the {size} bytes that could be read are not as they should be"
        )
    return tracks


def _repaired(body: bytes, mended: Counter[str]) -> tuple[bytes, int]:
    """One track, and how many of its bytes were read."""
    track = bytearray()
    at = status = 0
    ended = False
    damage: Counter[str] = Counter()  # of one event
    try:
        while at < len(body):
            event, end, status = _event(body, at, status, damage)
            if damage:
                if ended:
                    break
                mended.update(damage)
                damage.clear()
            track += event
            at = min(end, len(body))  # an End of Track may lack its length
            ended |= not status and event.endswith(END_OF_TRACK)
    except IndexError:  # the track ends within an event
        pass
    if ended:
        mended["bytes after the end of a track"] += max(len(body) - at, 0)
    return bytes(track), min(at, len(body))


def _event(body: bytes, at: int, status: int, damage: Counter[str]) -> tuple[bytes, int, int]:
    """The event at byte `at`.

    Args:
        body: the bytes of a track.
        at: where the event begins.
        status: the running status, 0 if there is none.
        damage: counts what is mended.

    Returns:
        The bytes that stand for it, where it ends, and the running status after it.

    Raises:
        IndexError: the bytes end before it does.
    """
    delta, at = _number(body, at, damage)
    if body[at] < 0x80 and not status:
        first = at
        while body[at] < 0x80:
            at += 1
        damage["stray data bytes"] += at - first
    head = status
    if body[at] > 0x7F:
        head = body[at]
        at += 1
    if head < 0xF0:
        values = [body[at]] if 0xC0 <= head < 0xE0 else [body[at], body[at + 1]]
        if max(values) > 0x7F:
            damage["data bytes above 127"] += sum(value > 0x7F for value in values)
            values = [min(value, 0x7F) for value in values]
        return bytes((*_delta(delta), head, *values)), at + len(values), head
    if head not in (0xFF, 0xF0, 0xF7):
        damage["system messages"] += 1
        return _delta(delta) + NOTHING + b"\0", at + SYSTEM_DATA.get(head, 0), status
    kind = body[at] if head == 0xFF else None
    at += head == 0xFF
    if kind == END_OF_TRACK[1]:
        return _delta(delta) + END_OF_TRACK, at + 1, 0
    size, at = _number(body, at, damage)
    data = body[at : at + size]
    if len(data) < size:
        raise IndexError
    return _delta(delta) + (_sysex(data) if head == 0xF0 else _meta(kind, data)), at + size, status


def _sysex(data: bytes) -> bytes:
    data = data if data.endswith(b"\xf7") else data + b"\xf7"
    return b"\xf0" + variable_length.encode(len(data)) + data


def _meta(kind: int | None, data: bytes) -> bytes:
    """A meta event as `events` expects it; an escape (no kind) and an unknown kind become one without a meaning."""
    if kind in IMPOSSIBLE:
        impossible, needed = IMPOSSIBLE[kind]
        data = (data + impossible[len(data) :])[: len(impossible)] if len(data) >= needed else impossible
    elif kind is None or kind not in TEXTS:
        return NOTHING + b"\0"
    return bytes((0xFF, kind)) + variable_length.encode(len(data)) + data


def _delta(ticks: int) -> bytes:
    """The bytes of a delta time, in two parts where they would look like a meta event or a SysEx."""
    data = variable_length.encode(ticks)
    if max(data) < 0xF0:
        return data
    part = variable_length.decode(bytes(byte - (byte in (0xF0, 0xFF)) for byte in data))
    return variable_length.encode(part) + NOTHING + b"\0" + _delta(ticks - part)


def _number(body: bytes, at: int, damage: Counter[str]) -> tuple[int, int]:
    """The variable-length number at `at`, its last 28 bits, and where it ends. IndexError if the bytes end first."""
    value, start = 0, at
    while body[at] > 0x7F:
        value = (value << 7 | body[at] & 0x7F) & 0x1FFFFF
        at += 1
    if at - start > 3:
        damage["numbers of more than 28 bits"] += 1
    return value << 7 | body[at], at + 1
