"""Event files: numbers by step as TensorBoard reads them, written without it.

TensorBoard brings gRPC, a web server and 60 MB, and what a run writes is four kinds of fields. The formats are
TensorFlow's: `event.proto` and `summary.proto` for an event, `record_writer.cc` for a record (its length, a checksum of
the length, the event, a checksum of the event; the checksums are masked CRC-32C).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping

from t5music.files import AppendedFile
from t5music.storage import path_of

# Wire types of protocol buffers, and the fields that are used.
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 1, 2, 3, 5, 7  # of an Event
_VALUE, _TAG, _SIMPLE_VALUE = 1, 1, 2  # of a Summary, of its values
_STATUS, _START = 1, 1  # of a SessionLog


class EventFile:
    """An event file of a run.

    Attributes:
        file: what it is written to.
    """

    def __init__(self, folder: str | os.PathLike[str], *, first_step: int) -> None:
        """Opens a new file.

        Args:
            folder: the run's folder.
            first_step: TensorBoard hides what earlier files of the folder say of this step and later ones.

        Raises:
            OSError: it cannot be written.
        """
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self.file = AppendedFile(path_of(folder) / name, new=True)
        self._write(_bytes(_FILE_VERSION, b"brain.Event:2"))
        self._write(_step(first_step) + _bytes(_SESSION_LOG, _key(_STATUS, _VARINT) + _varint(_START)))

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Writes numbers of a step, by their names, in single precision.

        Raises:
            OSError: they cannot be written.
        """
        values = b"".join(
            _bytes(_VALUE, _bytes(_TAG, name.encode()) + _key(_SIMPLE_VALUE, _FLOAT) + _single(number))
            for name, number in numbers.items()
        )
        self._write(_step(step) + _bytes(_SUMMARY, values))

    def close(self) -> None:
        """Closes the file.

        Raises:
            OSError: what was written last cannot be.
        """
        self.file.close()

    def _write(self, fields: bytes) -> None:
        event = _key(_WALL_TIME, _DOUBLE) + struct.pack("<d", time.time()) + fields
        length = struct.pack("<Q", len(event))
        self.file.write(length + _checksum(length) + event + _checksum(event))


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _step(step: int) -> bytes:
    return _key(_STEP, _VARINT) + _varint(step)


def _varint(number: int) -> bytes:
    """A whole number, not negative, seven bits a byte, the lowest first."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _single(number: float) -> bytes:
    try:
        return struct.pack("<f", number)
    except OverflowError:  # beyond single precision, as protocol buffers write it
        return struct.pack("<f", float("inf") if number > 0 else float("-inf"))


def _table() -> Iterator[int]:
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)  # Castagnoli's polynomial, reflected
        yield remainder


_TABLE = tuple(_table())


def _checksum(content: bytes) -> bytes:
    """The masked CRC-32C of bytes, 4 bytes."""
    remainder = 0xFFFFFFFF
    for byte in content:
        remainder = remainder >> 8 ^ _TABLE[(remainder ^ byte) & 0xFF]
    remainder ^= 0xFFFFFFFF
    return struct.pack("<I", ((remainder >> 15 | remainder << 17) + 0xA282EAD8) & 0xFFFFFFFF)
