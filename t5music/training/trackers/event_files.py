"""Event files: numbers, pictures, sound and text by step as TensorBoard reads them, written without it.

TensorBoard brings gRPC, a web server and 60 MB, and what a run writes is a few kinds of fields. The formats are
TensorFlow's: `event.proto`, `summary.proto` and `tensor.proto` for an event, `record_writer.cc` for a record (its
length, a checksum of the length, the event, a checksum of the event; the checksums are masked CRC-32C).
"""

from __future__ import annotations

import io
import os
import socket
import struct
import time
import wave
from collections.abc import Iterator, Mapping

from t5music.files import AppendedFile
from t5music.storage import path_of

# Wire types of protocol buffers, and the fields that are used.
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 1, 2, 3, 5, 7  # of an Event
_VALUE, _TAG, _SIMPLE_VALUE, _IMAGE, _AUDIO, _TENSOR, _METADATA = 1, 1, 2, 4, 6, 8, 9  # of a Summary, of its values
_HEIGHT, _WIDTH, _COLOURS, _IMAGE_BYTES = 1, 2, 3, 4  # of an Image
_RATE, _CHANNELS, _FRAMES, _AUDIO_BYTES, _CONTENT_TYPE = 1, 2, 3, 4, 5  # of an Audio
_PLUGIN, _PLUGIN_NAME, _DATA_CLASS, _IS_TENSOR = 1, 1, 4, 2  # of a SummaryMetadata
_TYPE, _SHAPE, _TEXTS, _IS_TEXT = 1, 2, 8, 7  # of a TensorProto
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
        self._write(_step(first_step) + _bytes(_SESSION_LOG, _number(_STATUS, _START)))

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

    def write_picture(self, step: int, name: str, png: bytes) -> None:
        """Writes a picture of a step.

        Args:
            step: the step.
            name: of the picture.
            png: its file's bytes.

        Raises:
            OSError: it cannot be written.
        """
        width, height = struct.unpack_from(">II", png, 16)  # of the first chunk of every PNG
        image = _number(_HEIGHT, height) + _number(_WIDTH, width) + _number(_COLOURS, 3) + _bytes(_IMAGE_BYTES, png)
        self._write_value(step, name, _bytes(_IMAGE, image))

    def write_sound(self, step: int, name: str, wav: bytes) -> None:
        """Writes sound of a step.

        Args:
            step: the step.
            name: of the sound.
            wav: the bytes of a WAV file.

        Raises:
            OSError: it cannot be written.
        """
        with wave.open(io.BytesIO(wav)) as file:
            rate, channels, frames = file.getframerate(), file.getnchannels(), file.getnframes()
        audio = _key(_RATE, _FLOAT) + _single(rate) + _number(_CHANNELS, channels) + _number(_FRAMES, frames)
        audio += _bytes(_AUDIO_BYTES, wav) + _bytes(_CONTENT_TYPE, b"audio/wav")
        self._write_value(step, name, _bytes(_AUDIO, audio))

    def write_text(self, step: int, name: str, text: str) -> None:
        """Writes text of a step.

        Args:
            step: the step.
            name: of the text.
            text: in Markdown.

        Raises:
            OSError: it cannot be written.
        """
        tensor = _number(_TYPE, _IS_TEXT) + _bytes(_SHAPE, b"") + _bytes(_TEXTS, text.encode())
        metadata = _bytes(_PLUGIN, _bytes(_PLUGIN_NAME, b"text")) + _number(_DATA_CLASS, _IS_TENSOR)
        self._write_value(step, name, _bytes(_TENSOR, tensor) + _bytes(_METADATA, metadata))

    def close(self) -> None:
        """Closes the file.

        Raises:
            OSError: what was written last cannot be.
        """
        self.file.close()

    def _write_value(self, step: int, name: str, value: bytes) -> None:
        self._write(_step(step) + _bytes(_SUMMARY, _bytes(_VALUE, _bytes(_TAG, name.encode()) + value)))

    def _write(self, fields: bytes) -> None:
        event = _key(_WALL_TIME, _DOUBLE) + struct.pack("<d", time.time()) + fields
        length = struct.pack("<Q", len(event))
        self.file.write(length + _checksum(length) + event + _checksum(event))


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _number(field: int, number: int) -> bytes:
    return _key(field, _VARINT) + _varint(number)


def _step(step: int) -> bytes:
    return _number(_STEP, step)


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
