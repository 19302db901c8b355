"""System exclusive messages that say which channels are percussion: those of General MIDI, Roland's GS, Yamaha's XG.

- GM System On, off and GM2 System On (Universal Non-Real Time, 09): a reset.
- GS (data set 1, model 42): Reset (40 00 7F), System Mode Set (00 00 7F), and Use For Rhythm Part (40 1x 15). Block x
  is part 10 if 0, parts 1 to 9 if 1 to 9, and parts 11 to 16 from A on. As a GS device does, and FluidSynth, messages
  whose checksum is wrong are not obeyed. Any device number is.
- XG (model 4C): System On (00 00 7E), All Parameter Reset (00 00 7F), and Part Mode (08 pp 07), 0 for a normal part.
"""

from __future__ import annotations

from typing import NamedTuple

GM, GM2, GS, XG = "GM", "GM2", "GS", "XG"
RHYTHM_PART, PART_MODE = 0x15, 0x07  # the last bytes of these parameters' addresses


class Reset(NamedTuple):
    """Everything is as it was when the device was turned on.

    Attributes:
        mode: the standard that holds from here on; '' for none.
    """

    mode: str


class Percussion(NamedTuple):
    """A channel is percussion from here on, or it is not.

    Attributes:
        channel: 0 to 15.
        is_drums: which.
    """

    channel: int
    is_drums: bool


class WrongChecksum(NamedTuple):
    """A message that would have been one of the above."""


Effect = Reset | Percussion | WrongChecksum


def effect(data: bytes) -> Effect | None:
    """What a message does to the percussion.

    Args:
        data: the message from the manufacturer's number on, with or without the F7 at its end.

    Returns:
        None for any other message.
    """
    data = data.removesuffix(b"\xf7")
    match data[:1]:
        case b"\x7e" if len(data) == 4 and data[2] == 0x09:
            return {1: Reset(GM), 2: Reset(""), 3: Reset(GM2)}.get(data[3])
        case b"\x41" if len(data) >= 9 and data[2:4] == b"\x42\x12":
            found = _gs(data[4:7], data[7:-1])
            return WrongChecksum() if found and sum(data[4:]) % 128 else found
        case b"\x43" if len(data) >= 7 and data[1] >> 4 == 1 and data[2] == 0x4C:
            return _xg(data[3:6], data[6:])
    return None


def _gs(address: bytes, values: bytes) -> Effect | None:
    if address in (b"\x40\x00\x7f", b"\x00\x00\x7f"):
        return Reset("" if values[:1] == b"\x7f" else GS)
    value = _value(address, values, RHYTHM_PART)
    if address[0] != 0x40 or address[1] >> 4 != 1 or value is None:
        return None
    block = address[1] & 15
    return Percussion(9 if block == 0 else block - 1 if block < 10 else block, value > 0)


def _xg(address: bytes, values: bytes) -> Effect | None:
    if address in (b"\x00\x00\x7e", b"\x00\x00\x7f"):
        return Reset(XG)
    value = _value(address, values, PART_MODE)
    if address[0] != 0x08 or address[1] > 15 or value is None:
        return None
    return Percussion(address[1], value > 0)


def _value(address: bytes, values: bytes, parameter: int) -> int | None:
    """The value for a parameter among those that are set from an address on, one a byte."""
    place = parameter - address[2]
    return values[place] if 0 <= place < len(values) else None
