"""Record files: many byte strings in one file, read at random, every byte of them under a checksum.

    records, one after the other | their ends, uint64 [n] | their CRC-32 sums, uint32 [n] | n, uint64 | MAGIC

All numbers are little endian. The file's digest is the SHA-256 of its index, from the ends to MAGIC: who knows the
digest knows every record, since the index holds their checksums, and need not read them to check it. A file without
its end, which a killed process left, is refused.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, overload

from t5music.errors import DataError

MAGIC = b"T5MUSIC1"
_TAIL = struct.Struct("<Q8s")
_ENTRY = 8 + 4  # bytes of the index for each record
IN_MEMORY_BYTES = 64 * 2**20


class RecordWriter:
    """Writes a record file; `close` ends it, and without that nobody reads it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens a new file, or empties the one that is there. Raises OSError."""
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._ends, self._sums = array("Q"), array("I")
        self._size = 0

    def write(self, record: bytes) -> None:
        """Adds a record. Raises OSError."""
        self._file.write(record)
        self._size += len(record)
        self._ends.append(self._size)
        self._sums.append(zlib.crc32(record))

    def close(self) -> None:
        """Writes the index and closes the file. Raises OSError. Closing again does nothing."""
        if not self._file.closed:
            with self._file:
                for numbers in (self._ends, self._sums):
                    self._file.write(_little(numbers).tobytes())
                self._file.write(_TAIL.pack(len(self._ends), MAGIC))


class RecordFile(Sequence[bytes]):
    """The records of a file: `len(file)`, `file[i]`. Safe to share by threads.

    A file of up to IN_MEMORY_BYTES is read at once and closed; a larger one is mapped into memory.

    Attributes:
        path: the file.
        digest: SHA-256 of the index, in hexadecimal digits.
    """

    def __init__(self, path: str | os.PathLike[str], *, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        """Opens a file. Raises DataError, which names it, for one that is missing, cut short or damaged."""
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._data: bytes | mmap.mmap
                if size <= in_memory_bytes:
                    self._data = file.read()
                else:
                    self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror or error}") from error
        size = len(self._data)
        count, magic = _TAIL.unpack(self._data[-_TAIL.size :]) if size >= _TAIL.size else (0, b"")
        start = size - _TAIL.size - _ENTRY * count
        if magic != MAGIC or start < 0:
            raise DataError(f"{self.path} is damaged: it is not a whole record file")
        index = self._data[start:]
        self.digest = hashlib.sha256(index).hexdigest()
        self._ends, self._sums = array("Q"), array("I")
        self._ends.frombytes(index[: 8 * count])
        self._sums.frombytes(index[8 * count : _ENTRY * count])
        for numbers in (self._ends, self._sums):
            _little(numbers)
        if (self._ends[-1] if count else 0) != start:
            raise DataError(f"{self.path} is damaged: its records end at another byte than its index says")

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """A record, or several. Raises DataError for one whose checksum is another, IndexError for one too many."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self._ends):
            raise IndexError(f"record {index} of {len(self._ends)}")
        record = self._data[self._ends[index - 1] if index else 0 : self._ends[index]]
        if zlib.crc32(record) != self._sums[index]:
            raise DataError(f"record {index} of {self.path} is damaged: its checksum is another")
        return record


def _little(numbers: array) -> array:
    """The numbers in little endian, or in the machine's order again; changed in place."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
