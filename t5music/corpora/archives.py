"""Archives: zip and tar files, unpacked whole or not at all, checked to their last byte, within a limit.

An archive comes from anybody. So nothing is written outside the folder; links out of it, devices and pipes are refused;
what an archive says of its size is compared with a limit and the disk before it is believed, and what it really gives
is counted too.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tqdm import tqdm

from t5music.errors import DataError
from t5music.files import open_regular, printable_name

MOST_BYTES = 64 * 2**30  # unpacked; the largest corpus, Lakh, has about six
MOST_TIMES = 100  # so many times its own size may an archive have inside, from FLOOR on; MIDI has less than 20
FLOOR = 2**30
MOST_FILES = 2_000_000
RESERVE = 256 * 2**20  # of the disk that stays free
ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
MOST_PADDING = 2**26  # bytes of nothing behind the end of a tar archive
MOST_HEADER = 2**20  # of a tar archive's extra headers, such as long names
_BLOCK = 1 << 20
_T = TypeVar("_T")
_GO_ON = "if it is as it should be, unpack it yourself and give its folder to --from"


def unpack(archives: Sequence[Path], target: Path, progress: bool = True) -> Path:
    """Unpacks archives into `target`, whole or not at all; a file that is no archive is put there as it is.

    What is there already stays, and nothing is unpacked.

    Raises:
        DataError: an archive is damaged, encrypted or of an unknown kind, does not end as it should, holds what is
            refused, or too much. The message names the archive, and the member if it is at fault.
    """
    if target.is_dir():
        return target
    partial = target.with_name(f".{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    archive = target
    try:
        partial.mkdir(parents=True)
        for archive in archives:
            _unpack_one(archive, partial, progress)
        partial.rename(target)
    except DataError:
        raise
    except Exception as error:  # whatever parsers of untrusted bytes may raise: zlib's, struct's, RuntimeError ...
        raise DataError(f"{printable_name(archive)} cannot be unpacked: {_reason(error)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def nested(folder: Path) -> Path | None:
    """An archive among what was unpacked, None if there is none."""
    paths = (path for path in sorted(folder.rglob("*")) if path.name.lower().endswith(ARCHIVE_SUFFIXES))
    return next((path for path in paths if path.is_file()), None)


def _unpack_one(archive: Path, folder: Path, progress: bool) -> None:
    room = _Room(archive, folder)
    with open_regular(archive) as file:
        beginning = file.read(8)
        file.seek(0)
        if beginning.startswith(b"PK"):
            _unpack_zip(file, archive, folder, room, progress)
            return
        stream = _decompressed(file, beginning)
        try:
            tar = tarfile.open(fileobj=stream, mode="r:", tarinfo=_Member)  # noqa: SIM115  (closed by _unpack_tar)
        except tarfile.ReadError:
            tar = None
        if tar is not None:
            _unpack_tar(tar, stream, archive, folder, room, progress)
        elif stream is not file or archive.name.lower().endswith(ARCHIVE_SUFFIXES):
            raise DataError(f"{printable_name(archive)} is neither a zip nor a tar archive, or is damaged")
        else:
            room.take(archive.stat().st_size, archive.name)
            shutil.copyfile(archive, folder / archive.name)


class _Room:
    """How much more may be unpacked."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive = archive
        self.files = MOST_FILES
        free = max(shutil.disk_usage(folder).free - RESERVE, 0)
        limit = min(MOST_BYTES, max(FLOOR, MOST_TIMES * archive.stat().st_size))
        self.bytes, self.why = min((free, "there is free on the disk"), (limit, "an archive of its size may have"))
        self.all = self.bytes

    def take(self, size: int, member: str) -> None:
        """Counts one file more. Raises DataError where that is too much."""
        self.bytes -= size
        self.files -= 1
        if self.bytes < 0 or size < 0:
            raise DataError(
                f"{printable_name(self.archive)}, {printable_name(member)}: with it there is more in the archive than "
                f"the {self.all:,} bytes {self.why}: {_GO_ON}"
            )
        if self.files < 0:
            raise DataError(f"{printable_name(self.archive)}: more than {MOST_FILES:,} files in it: {_GO_ON}")


# ------------------------------------------------------------------------------------------------------------- zip


def _unpack_zip(file: BinaryIO, archive: Path, folder: Path, room: _Room, progress: bool) -> None:
    with zipfile.ZipFile(file) as content:
        for member in content.infolist():  # all of it, before anything is written
            room.take(member.file_size, member.filename)
        for member in _shown(content.infolist(), archive, progress):
            with _naming(archive, member.filename):
                if member.flag_bits & 1:
                    raise RuntimeError(f"it is encrypted: {_GO_ON}")
                content.extract(member, folder)  # takes absolute paths and ".." off the names, and checks the sum


@contextlib.contextmanager
def _naming(archive: Path, member: str) -> Iterator[None]:
    """Turns whatever goes wrong with a member into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # as in `unpack`
        where = f"{printable_name(archive)}, {printable_name(member)}"
        raise DataError(f"{where}: cannot be unpacked: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _shown(members: Iterable[_T], archive: Path, progress: bool) -> Iterable[_T]:
    """The members, with a progress bar."""
    name = printable_name(archive.name)
    return tqdm(members, desc=f"unpacking {name}", unit="file", disable=not progress, dynamic_ncols=True)


# ------------------------------------------------------------------------------------------------------------- tar


def _decompressed(file: BinaryIO, beginning: bytes) -> BinaryIO:
    """The stream within a compressed file, by its first bytes; the file itself if it is none."""
    if beginning.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(fileobj=file))  # type: ignore[arg-type]
    if beginning.startswith(b"BZh"):
        return io.BufferedReader(_Streams(file, bz2.BZ2Decompressor))
    if beginning.startswith(b"\xfd7zXZ\0"):
        return io.BufferedReader(_Streams(file, lzma.LZMADecompressor))
    return file


class _Streams(io.RawIOBase):
    """What the compressed streams of a file hold, one after another; between and after them may be zeros alone.

    `BZ2File` and `LZMAFile` take whatever is no stream for the end of the file.
    """

    def __init__(self, file: BinaryIO, new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> None:
        self._file, self._new = file, new
        self._rewind()

    def _rewind(self) -> None:
        self._file.seek(0)
        self._stream = self._new()
        self._begun = False  # whether the stream has
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a byte, counted from the beginning, by reading up to it."""
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only a place counted from the beginning")
        if offset < self._place:
            self._rewind()
        while self._place < offset and self.read(min(_BLOCK, offset - self._place)):
            pass
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data and len(buffer):
            block = b""
            if self._stream.eof:
                block, self._stream, self._begun = self._stream.unused_data, self._new(), False
            if not block and self._stream.needs_input:
                block = self._file.read(_BLOCK)
                if not block and self._begun:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
                if not block:
                    return 0
            block = block if self._begun else block.lstrip(b"\0")
            self._begun = self._begun or bool(block)
            data = self._stream.decompress(block, len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


class _Member(tarfile.TarInfo):
    """A member of a tar archive. Its header must be whole: tarfile itself takes a damaged one for the end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the mark of the end
            raise
        except tarfile.HeaderError as error:
            is_end = isinstance(error, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]
            reason = "it ends too early" if is_end else _reason(error)
            raise tarfile.ReadError(f"{reason}, at byte {tar.offset:,} of the archive") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        member = super().frombuf(buf, encoding, errors)
        if member.size > MOST_HEADER and member.type not in (*tarfile.REGULAR_TYPES, tarfile.GNUTYPE_SPARSE):
            raise tarfile.HeaderError(f"a header of {member.size:,} bytes")  # tarfile reads those into memory
        return member


def _unpack_tar(
    tar: tarfile.TarFile, stream: BinaryIO, archive: Path, folder: Path, room: _Room, progress: bool
) -> None:
    with tar:
        for member in _shown(tar, archive, progress):
            room.take(member.size, member.name)
            with _naming(archive, member.name):
                tar.extract(member, folder, filter="data")  # refuses what leaves the folder, and devices
        # The sum of a compressed stream stands behind the last member.
        padding = 0
        while block := stream.read(_BLOCK):
            padding += len(block)
            if block.strip(b"\0") or padding > MOST_PADDING:
                raise DataError(f"{printable_name(archive)}: there is more behind the end of the tar archive: {_GO_ON}")
