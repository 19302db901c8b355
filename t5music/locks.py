"""Locks: one process at a time writes a run, a stage, a store or a corpus; the others learn who does.

A lock is a file that its holder keeps locked with `flock`. The system gives the lock up when the process ends, however
it ends, so the next one takes over what a killed process left. The file says who holds it: process, machine and time.
Windows has no `flock`, and no locks here: there nobody is kept from what another process writes. For a lock in a bucket
see `bucket_locks`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from t5music import storage
from t5music.errors import DataError
from t5music.storage import bucket_locks

try:
    import fcntl
except ImportError:  # on Windows: there is no lock, and nothing tells of others
    fcntl = None  # type: ignore[assignment]

FILE = ".lock"  # in a folder that is locked as a whole
POLL_SECONDS = 0.5
SOMEBODY = "another process"
# `holder` locks for an instant to find out, which a process that wants the lock must not take for a holder.
_ATTEMPTS, _PAUSE = 5, 0.05
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)

_locked_here: set[str] = set()  # real paths; a process may enter a lock again that it holds
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_locked_here.clear)


@contextlib.contextmanager
def attempt(path: str | os.PathLike[str], *, patient: bool = True) -> Iterator[str | None]:
    """Locks a path for this process, unless another process has it.

    The file and the folders that it needs are made, and are removed again if nothing else was put there. Where the
    file system has no locks, that is said, and this process goes on as if it held the lock.

    Args:
        path: of the lock's file.
        patient: see `bucket_locks.attempt`; no other file system makes one wait.

    Yields:
        None while this process holds the lock, else who does: "process 12 on anna, since 2026-01-31 12:00:00+01:00".

    Raises:
        DataError: the file cannot be written.
    """
    place = storage.path_of(path)
    if isinstance(place, storage.BucketPath):
        with _attempt_in_bucket(place, patient) as other:
            yield other
        return
    name = os.path.realpath(path)
    if fcntl is None or name in _locked_here:
        yield None
        return
    missing = [folder for folder in Path(name).parents if not folder.exists()]  # the innermost first
    lock = _acquire(Path(name))
    if lock.descriptor is None:
        yield lock.holder
        return
    try:
        with _remembered(name):
            yield None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)  # while it is locked: who waits for this file sees that it is gone
        os.close(lock.descriptor)
        with contextlib.suppress(OSError):  # not empty
            for folder in missing:
                folder.rmdir()


@contextlib.contextmanager
def _attempt_in_bucket(path: storage.BucketPath, patient: bool) -> Iterator[str | None]:
    name = str(path)
    if name in _locked_here:
        yield None
        return
    with bucket_locks.attempt(path, _this_process(), patient=patient) as other:
        if other is not None:
            yield other
            return
        with _remembered(name):
            yield None


@contextlib.contextmanager
def _remembered(name: str) -> Iterator[None]:
    """While it lasts, this process may enter the lock of this name again."""
    _locked_here.add(name)
    try:
        yield
    finally:
        _locked_here.discard(name)


@contextlib.contextmanager
def waiting(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Locks a path for this process; says for whom it waits where another process has it.

    Args:
        path: of the lock's file.
        what: what is done under the lock, at the beginning of that line.

    Raises:
        DataError: the file cannot be written.
    """
    waited_for = ""
    while True:
        with attempt(path) as holder:
            if holder is None:
                yield
                return
        if holder != waited_for:
            print(f"{what}: waiting for {holder}", file=sys.stderr, flush=True)
            waited_for = holder
        time.sleep(POLL_SECONDS)


def holder(path: str | os.PathLike[str]) -> str | None:
    """Who holds a lock, as `attempt` says it; None if nobody does."""
    place = storage.path_of(path)
    if isinstance(place, storage.BucketPath):
        return bucket_locks.holder(place)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    if fcntl is None:
        os.close(descriptor)
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _read(descriptor) if error.errno in _BUSY else None
    finally:
        os.close(descriptor)
    return None


class _Lock(NamedTuple):
    """A lock's open file where this process holds it; else who does."""

    descriptor: int | None
    holder: str = ""


def _acquire(path: Path) -> _Lock:
    attempts = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            attempts += 1
            if isinstance(error, FileNotFoundError) and attempts < _ATTEMPTS:
                continue  # its holder has just removed the folder
            raise DataError(f"cannot lock {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                text = _read(descriptor)
                os.close(descriptor)
                attempts += 1
                if attempts == _ATTEMPTS:
                    return _Lock(None, text)
                time.sleep(_PAUSE)
                continue
            reason = f"{path} cannot be locked ({error.strerror}): see to it that no other process writes there"
            print(f"t5music: warning: {reason}", file=sys.stderr)
        if _is_file(descriptor, path):
            _write(descriptor)
            return _Lock(descriptor)
        os.close(descriptor)  # its holder removed it between the opening and the locking


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether an open file still is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _write(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # the disk is full: the lock holds without a name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{_this_process()}\n".encode(), 0)


def _this_process() -> str:
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} on {socket.gethostname()}, since {now}"


def _read(descriptor: int) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return os.pread(descriptor, 1000, 0).decode().strip() or SOMEBODY
    return SOMEBODY
