"""Files: where t5music builds its data, what a file is called in text, opening, and writing whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from t5music.errors import ConfigError, DataError

DATA_DIR = "~/.cache/t5music"
_ADDRESS = re.compile(r"(?:^|,)\s*[A-Za-z][A-Za-z0-9+.-]*://")


def data_dir() -> Path:
    """Where corpora and token stores are built: the environment's T5MUSIC_DATA, else ~/.cache/t5music.

    Raises ConfigError where that is no folder of this machine.
    """
    folder = os.environ.get("T5MUSIC_DATA") or DATA_DIR
    require_local(folder, "--data_dir (environment: T5MUSIC_DATA)")
    return Path(folder).expanduser()


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
    return _UNPRINTABLE.sub(_escape, os.fspath(name))


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
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", os.fspath(path))
    if not stat.S_ISREG(mode):
        kind = next((text for is_kind, text in _KINDS if is_kind(mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", os.fspath(path))
    return open(path, "rb")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file. Raises OSError as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def require_free(path: str | os.PathLike[str], flag: str, *, force: bool) -> None:
    """Raises ConfigError where there is something at `path` already, and `force` does not allow to replace it."""
    if os.path.lexists(path) and not force:
        raise ConfigError(f"{printable_name(path)} exists: choose another name by {flag}, or replace it by --force")


def require_free_file(path: str | os.PathLike[str], flag: str, *, force: bool) -> None:
    """As `require_free`, of a file: a folder at `path` is refused, whatever `force` says."""
    if os.path.isdir(path):
        raise ConfigError(f"{flag} {printable_name(path)} is a folder: name a file in it")
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
    folder = Path(path)
    is_other = folder.is_symlink() or not folder.is_dir() or (any(folder.iterdir()) and not (folder / mark).exists())
    if os.path.lexists(folder) and is_other:
        name = printable_name(folder)
        raise ConfigError(f"{name} is no {kind}, and --force replaces nothing else: choose another name by {flag}")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path in the same folder that is renamed to `path` on success and removed on failure.

    The parent folders are made. A file system that refuses (full, read-only, no permission) raises DataError that
    names `path`.
    """
    target = Path(path)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; ours are ordinary
        yield temporary
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
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields an empty folder beside `path` that takes its place on success and is removed on failure.

    What was at `path` goes then, and not before. Who may replace what is for the caller to say. A file system that
    refuses (full, read-only, no permission) raises DataError that names `path`.
    """
    target = Path(path)
    work: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        folder = work / target.name
        folder.mkdir()  # mkdtemp's own folder is private; this one is ordinary
        yield folder
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
