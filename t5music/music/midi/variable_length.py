"""MIDI's variable-length numbers: seven bits a byte, the highest first, the high bit set in all bytes but the last."""

from __future__ import annotations


def decode(data: bytes) -> int:
    """The number that these bytes are."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def encode(value: int) -> bytes:
    """The bytes of a number, as few as it needs."""
    if value < 0x80:  # by far the most common
        return bytes((value,))
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
