"""Whether the tracks of a MIDI file are as the standard has them: only such ones may be given to symusic.

symusic misreads some of what the standard allows, and some of what it does not and writers still do:

- events F7 (escaped data) are taken for messages of one byte, and what they escape for events;
- after a SysEx or another system message, running status repeats that message;
- a tempo, meter or key signature shorter than it should be is read on into the bytes that follow it;
- a delta time ends after its fourth byte, whether that one says so or not, and ticks are counted modulo 2^32.

Of 13,364 real files it reads three as other music than they hold: two for running status after a SysEx, one for a delta
time of five bytes. Every such place has bytes that are rare elsewhere. A track without them is trusted at once (2.5 ns
a byte); any other one must match the grammar below up to the last of them (13 ns a byte).
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from t5music.music.midi.chunks import END_OF_TRACK

# The grammar, as possessive regular expressions: time is linear in the length of a track.
DELTA = rb"[\x80-\xff]{0,2}+[\x00-\x7f]"  # a fourth byte is left to the reader that counts beyond 2^32
DATA = rb"[\x00-\x7f]"
BLOB = b"(?:" + b"|".join(b"\\x%02x[\\x00-\\xff]{%d}" % (size, size) for size in range(128)) + b")"
META = (
    rb"\xff(?:[\x00-\x2e\x30-\x50\x52-\x57\x5a-\x7f]" + BLOB + rb"|\x51\x03[\x00-\xff]{3}"  # a tempo
    rb"|\x58\x04[\x00-\xff][\x00-\x07][\x00-\xff]{2}|\x59\x02[\x00-\xff]{2})"  # a meter, a key signature
)
# No running status from here: first the meta events that leave it open, then a status, the end or a long meta event.
STATUS_NEXT = b"(?:" + DELTA + META + b")*+(?=" + DELTA + rb"(?:[\x80-\xfe]|\xff(?:\x2f|[\x00-\x7f][\x80-\xff])))"
TWO_BYTES = rb"[\xc0-\xdf]" + DATA + b"(?:" + DELTA + b"(?:" + DATA + b"|" + META + b"))*+"
SYSEX = rb"\xf0" + BLOB + STATUS_NEXT
EVENT = DELTA + rb"(?:[\x80-\xbf\xe0-\xef]?+" + DATA + DATA + b"|" + TWO_BYTES + b"|" + META + b"|" + SYSEX + b")"
EVENTS = re.compile(STATUS_NEXT + b"(?:" + EVENT + b")*+")
# A meta event or SysEx of 128 bytes or more: a regular expression cannot count them.
LONG = re.compile(DELTA + rb"(?:\xff[\x00-\x2e\x30-\x50\x52-\x57\x5a-\x7f]|\xf0)([\x80-\xff]{1,3}+[\x00-\x7f])")
NEAR = 300  # bytes: more than an event of less than 128 bytes and what must follow it

# What a byte from F0 to FE may be, if it is an event at all:
REFUSED, SINGLE, OTHER = 0, 1, 2  # symusic refuses F4, F5, F9, FD; of F6 and F8 to FE, it skips that one byte
SYSTEM = np.full(256, SINGLE, np.uint8)
SYSTEM[[0xF4, 0xF5, 0xF9, 0xFD]] = REFUSED
SYSTEM[[0xF0, 0xF1, 0xF2, 0xF3, 0xF7]] = OTHER


def conforms(data: bytes, tracks: list[tuple[int, int]]) -> bool:
    """Whether symusic reads these tracks of a file (where each one's events begin and end) as the standard means them.

    Data bytes above 127 and running status after nothing are not looked for: symusic refuses them by itself.
    """
    if not all(data.startswith(END_OF_TRACK, end - 3) for _, end in tracks):
        return False
    octets = np.frombuffer(data, np.uint8)
    row = (octets[2:] & octets[1:-1] & octets[:-2]) > 0x7F  # a delta time of four bytes or more
    high = octets[:-4] >= 0xF0
    if np.count_nonzero(row) + np.count_nonzero(high) > max(len(data) // 8, 1000):
        return not tracks  # no music has so many: spend no memory on them
    suspects = _suspects(octets, np.flatnonzero(row), np.flatnonzero(high))
    if not len(suspects) or not tracks:
        return True
    starts, ends = np.array(tracks).T
    within = np.searchsorted(starts, suspects, side="right") - 1
    doubtful = (within >= 0) & (suspects < ends[within])
    last = np.zeros(len(tracks), np.int64)
    np.maximum.at(last, within[doubtful], suspects[doubtful])
    return all(_matches(data, *tracks[number], int(last[number])) for number in np.flatnonzero(last).tolist())


def _suspects(octets: NDArray, row: NDArray, high: NDArray) -> NDArray:
    """Where in a file (indices, in no order) bytes are that may be part of something symusic misreads.

    Args:
      octets: the bytes of the file.
      row, high: where rows of three bytes from 80 on begin, and where bytes from F0 on are.
    """
    value = octets[high]
    meta = high[value == 0xFF]
    kind, size = octets[meta + 1], octets[meta + 2]
    tempo, meter, key = kind == 0x51, kind == 0x58, kind == 0x59
    wrong = (tempo & (size != 3)) | (meter & ((size != 4) | (octets[meta + 4] > 7))) | (key & (size != 2))
    rare = np.concatenate([row, _system_messages(octets, high[value < 0xFF])])
    if len(rare) and len(meta):  # not what is within a meta event, such as the letters of a text
        ends = meta + 2 + np.where(size < 0x80, size, 0)
        before = np.searchsorted(meta, rare) - 1
        rare = rare[(before < 0) | (rare > ends[before])]
    return np.concatenate([meta[wrong], rare])


def _system_messages(octets: NDArray, at: NDArray) -> NDArray:
    """Of the bytes F0 to FE at these places: all but those that cannot lead symusic astray, events or not."""
    at = at[octets[at - 1] < 0x80]  # an event follows the last byte of a delta time
    if not len(at):
        return at
    kind = SYSTEM[octets[at]]
    # a short delta time and a status, no running status nor a meta event before such
    harmless = (octets[at + 1] < 0x80) & (octets[at + 2] >= 0x80) & (octets[at + 2] < 0xFF)
    return at[(kind == OTHER) | ((kind == SINGLE) & ~harmless)]


def _matches(data: bytes, start: int, end: int, last: int) -> bool:
    """Whether the bytes of a track, from `start` on to beyond the event with the byte `last` in it, are as they should.

    First without the track's remainder, for what is doubtful mostly stands at the beginning.
    """
    return any(_reaches(data, start, limit, end, last) for limit in (min(end, last + NEAR), end))


def _reaches(data: bytes, start: int, limit: int, end: int, last: int) -> bool:
    while events := EVENTS.match(data, start, limit):
        long = LONG.match(data, events.end(), end)
        if not long:
            return events.end() > last
        size = 0
        for byte in long[1]:
            size = size << 7 | byte & 0x7F
        start = long.end() + size
    return False
