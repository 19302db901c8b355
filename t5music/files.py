"""Files: where t5music builds its data, what a file is called in text, opening, and writing whole or not at all.

Paths may be in buckets (see `storage`) in what reads and writes single files here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from t5music import storage
from t5music.errors import ConfigError, DataError
from t5music.storage import bucket_copies

DATA_DIR = "~/.cache/t5music"
WHOLE_FILE_SECONDS = 20.0
_ADDRESS = re.compile(r"(?:^|,)\s*[A-Za-z][A-Za-z0-9+.-]*://")


STORES = "stores"  # the folder of token stores in a data folder


def data_dir() -> Path:
    """Where corpora and token stores are built on this machine: the environment's T5MUSIC_DATA, else ~/.cache/t5music.

    Where that is in a bucket, a folder beside the copies of what is in buckets. Raises ConfigError for no place.
    """
    place = _data_place()
    if not isinstance(place, storage.BucketPath):
        return place
    return bucket_copies.cache_dir() / "data" / place.scheme / place.bucket / place.key


def stores_dir() -> Path:
    """Where token stores are read: in the data folder, which may be in a bucket."""
    return _data_place() / STORES


def _data_place() -> Path:
    folder = os.environ.get("T5MUSIC_DATA") or DATA_DIR
    storage.require_reachable(folder, "--data_dir (environment: T5MUSIC_DATA)")
    return storage.path_of(folder).expanduser()


def require_local(path: str, name: str) -> None:
    """Refuses what cannot be a path here, a bucket or another address above all, before anything is begun.

    Args:
        path: what somebody gave; paths separated by commas, too.
        name: of its flag or gin binding.

    Raises:
        ConfigError: the path begins with a scheme, as gs:// or s3://, or has a NUL character in it.
    """
    if "\0" in path:
        raise ConfigError(f"{name}: no file or folder can have a NUL character in its name")
    if _ADDRESS.search(path):
        raise ConfigError(
            f"{name} {printable_name(path)}".lstrip() + ": only files and folders of this machine can be read and "
            "written; copy it here, or mount the bucket as a folder"
        )


# What a text cannot show or store: control characters, those that break lines or turn the direction of writing, and the
# halves of surrogate pairs, by which Python names the bytes of a file name that is not UTF-8. And the escape itself.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable_name(name: str | os.PathLike[str]) -> str:
    r"""The name of a file in text that can be printed, stored as UTF-8 and read back; most names are their own.

    A byte that is not UTF-8, and an ASCII control character, is written \xe9, any other character that cannot be shown
    \u2028, and a backslash \\. So two names are never written alike.
    """
    return _UNPRINTABLE.sub(_escape, str(name) if isinstance(name, storage.BucketPath) else os.fspath(name))


def _escape(character: re.Match[str]) -> str:
    code = ord(character[0])
    if character[0] == "\\":
        return "\\\\"
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: the byte less 0x80
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Opens a file to read its bytes. A folder, pipe, socket or device is refused without opening or waiting for it.

    Raises:
        OSError: it is none of the files above, is not there or cannot be opened; `strerror` says which.
    """
    path = storage.path_of(path)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", str(path))
    if not stat.S_ISREG(mode):
        kind = next((text for is_kind, text in _KINDS if is_kind(mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
    return path.open("rb")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file. Raises OSError as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def require_free(path: str | os.PathLike[str], flag: str, *, force: bool) -> None:
    """Raises ConfigError where there is something at `path` already, and `force` does not allow to replace it."""
    if is_there(path) and not force:
        raise ConfigError(
            f"{printable_name(str(path))} exists: choose another name by {flag}, or replace it by --force"
        )


def require_free_file(path: str | os.PathLike[str], flag: str, *, force: bool) -> None:
    """As `require_free`, of a file: a folder at `path` is refused, whatever `force` says."""
    if storage.path_of(path).is_dir():
        raise ConfigError(f"{flag} {printable_name(str(path))} is a folder: name a file in it")
    require_free(path, flag, force=force)


def require_free_folder(path: str | os.PathLike[str], flag: str, *, force: bool, mark: str, kind: str) -> None:
    """As `require_free`; and `force` replaces only a folder of the same kind, or an empty one.

    Args:
        path: of the folder to write.
        flag: that names it.
        force: whether a folder that exists may be replaced.
        mark: the file or folder in it that only this kind has.
        kind: what such a folder is.

    Raises:
        ConfigError: there is something that must not be replaced.
    """
    require_free(path, flag, force=force)
    folder = storage.path_of(path)
    is_other = folder.is_symlink() or not folder.is_dir() or (any(folder.iterdir()) and not (folder / mark).exists())
    if is_there(folder) and is_other:
        name = printable_name(str(folder))
        raise ConfigError(f"{name} is no {kind}, and --force replaces nothing else: choose another name by {flag}")


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything of this name, a broken link too."""
    place = storage.path_of(path)
    return place.exists() or place.is_symlink()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path that becomes `path` on success and is removed on failure.

    The parent folders are made. The temporary file is in the same folder and is renamed; for a path in a bucket, it is
    on this machine and is uploaded. A file system that refuses (full, read-only, no permission) and a bucket that
    cannot be written raise DataError that names `path`.
    """
    target = storage.path_of(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = None if isinstance(target, storage.BucketPath) else target.parent
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=folder)
        os.close(handle)
        temporary = Path(name)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; ours are ordinary
        yield temporary
        if isinstance(target, storage.BucketPath):
            target.upload(temporary)
        else:
            os.replace(temporary, target)
            temporary = None
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def swap_in(folder: Path, target: Path) -> None:
    """Gives a finished folder the name of another one, which is removed then; both lie on one file system.

    Raises OSError, with what was there still in its place.
    """
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    replaced = os.path.lexists(target)
    if replaced:
        target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        if replaced:
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str], last: str = "") -> Iterator[Path]:
    """Yields an empty folder beside `path` that takes its place on success and is removed on failure.

    What was at `path` goes then, and not before. Who may replace what is for the caller to say. A file system that
    refuses (full, read-only, no permission) raises DataError that names `path`. For a path in a bucket, the folder is
    on this machine and is copied there, its file called `last` after all others.
    """
    target = storage.path_of(path)
    work: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = None if isinstance(target, storage.BucketPath) else target.parent
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=beside))
        folder = work / target.name
        folder.mkdir()  # mkdtemp's own folder is private; this one is ordinary
        yield folder
        if isinstance(target, storage.BucketPath):
            remove_tree(target)
            bucket_copies.upload_tree(folder, target, last=last)
        else:
            swap_in(folder, target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes UTF-8 text to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes bytes to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def remove_tree(folder: str | os.PathLike[str]) -> None:
    """Removes a folder with all that is in it, as far as that can be done."""
    path = storage.path_of(folder)
    if isinstance(path, storage.BucketPath):
        with contextlib.suppress(OSError):
            path.remove_tree()
    else:
        shutil.rmtree(path, ignore_errors=True)


class AppendedFile:
    """A file that grows while a run writes it, and is on disk after each write.

    An object in a bucket cannot grow: it is written whole, at most every WHOLE_FILE_SECONDS, and by `sync`.
    """

    def __init__(self, path: str | os.PathLike[str], *, new: bool = False) -> None:
        """Opens a file to append to it; makes it where it is not there, and if `new` it must not be. Raises OSError."""
        target = storage.path_of(path)
        self._bucket_path = target if isinstance(target, storage.BucketPath) else None
        self._file: BinaryIO | None = None
        if self._bucket_path is None:
            self._file = open(target, "xb" if new else "ab")  # noqa: SIM115 - closed by close()
        else:
            self._content = bytearray(b"" if new or not target.exists() else target.read_bytes())
            self._synced, self._due = len(self._content), time.monotonic() + WHOLE_FILE_SECONDS

    def write(self, content: bytes) -> None:
        """Appends bytes. Raises OSError."""
        if self._file is not None:
            self._file.write(content)
            self._file.flush()
            return
        self._content += content
        if time.monotonic() >= self._due:
            self.sync()

    def sync(self) -> None:
        """Writes what is not written yet. Raises OSError."""
        if self._bucket_path is not None and self._synced < len(self._content):
            self._bucket_path.write_bytes(bytes(self._content))
            self._synced, self._due = len(self._content), time.monotonic() + WHOLE_FILE_SECONDS

    def close(self) -> None:
        """Writes what is not written yet, and closes the file. Raises OSError."""
        self.sync()
        if self._file is not None:
            self._file.close()
