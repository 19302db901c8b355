"""Copies of what is in buckets: a bounded cache on this machine, and folders that are copied as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from t5music.storage import BucketPath

THREADS = 8  # requests at a time
CACHE_BYTES = 50 * 2**30  # environment: T5MUSIC_BUCKET_CACHE_BYTES
IN_USE_SECONDS = 3600.0  # a copy that was used so lately is not removed


COPIES = "copies"


def cache_dir() -> Path:
    """Where what belongs to buckets lies on this machine: T5MUSIC_BUCKET_CACHE, else ~/.cache/t5music/buckets."""
    return Path(os.environ.get("T5MUSIC_BUCKET_CACHE") or "~/.cache/t5music/buckets").expanduser()


def copy_of_folder(folder: Path) -> Path:
    """A copy on this machine of a folder in a bucket as it is now; a folder of this machine itself. Raises OSError."""
    if not isinstance(folder, BucketPath):
        return folder
    versions = folder.versions()
    return local_copy(folder, json.dumps(versions), versions)


def copy_of_file(path: Path) -> Path:
    """A copy on this machine of an object in a bucket as it is now; a file of this machine itself. Raises OSError."""
    return local_copy(path, path.version()) if isinstance(path, BucketPath) else path


def local_copy(path: Path, version: str, names: Iterable[str] | None = None) -> Path:
    """A copy on this machine of an object, or of the objects of a folder; a path of this machine as it is.

    A copy is made once, and is whole: it gets its name when all is there. The copies that were used longest ago are
    removed where all together take more than CACHE_BYTES.

    Args:
        path: of the object or folder.
        version: what identifies the content, such as its digest; another one is copied again.
        names: the paths below the folder of the objects to copy; None for a single object.

    Raises:
        OSError: it cannot be read, or there is no room.
    """
    if not isinstance(path, BucketPath):
        return path
    key = hashlib.sha256(f"{path} {version}".encode()).hexdigest()[:32]
    folder = cache_dir() / COPIES
    copy = folder / f"{key}{path.suffix}"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(folder)
        with tempfile.TemporaryDirectory(prefix=".copy.", dir=folder) as temporary:
            unfinished = Path(temporary, path.name)
            if names is None:
                path.download(unfinished)
            else:
                download_tree(path, unfinished, names)
            with contextlib.suppress(OSError):  # another process was faster
                unfinished.rename(copy)
    os.utime(copy)
    return copy


def download_tree(path: BucketPath, target: Path, names: Iterable[str]) -> None:
    """Copies objects of a folder in a bucket into a folder of this machine. Raises OSError.

    Args:
        path: of the folder in the bucket.
        target: the folder of this machine; it is made.
        names: the paths of the objects below the folder.
    """
    names = list(names)
    for folder in {(target / name).parent for name in names}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda name: (path / name).download(target / name), names):
            pass


def upload_tree(folder: Path, target: BucketPath, last: str = "") -> None:
    """Copies the files of a folder of this machine into a bucket, the one called `last` after all others.

    Raises OSError.
    """
    names = sorted(str(path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file())
    first = [name for name in names if name != last]
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda name: (target / name).upload(folder / name), first):
            pass
    if last in names:
        (target / last).upload(folder / last)


def _make_room(folder: Path) -> None:
    """Removes the copies in a folder that were used longest ago until the others are within the bound."""
    bound = int(os.environ.get("T5MUSIC_BUCKET_CACHE_BYTES") or CACHE_BYTES)
    copies = sorted((path.stat().st_mtime, path) for path in folder.iterdir() if not path.name.startswith("."))
    sizes = {path: _size(path) for _, path in copies}
    total = sum(sizes.values())
    for used, path in copies:
        if total <= bound or time.time() - used < IN_USE_SECONDS:
            return
        total -= sizes[path]
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
