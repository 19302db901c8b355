"""Digests: size and CRC-32 of every file of a checkpoint, so that damage is found before anything is read from it.

Orbax notices a missing file when it comes to it, but not bytes that have changed. Nor does it mind files that lead out
of the folder, or pipes, for which a reader waits for ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from t5music import json_files
from t5music.storage import BucketPath

DIGESTS = "digests.json"
_OPEN = ("_CHECKPOINT_METADATA", "commit_success.txt")  # Orbax writes them after the rest is sealed
_CHUNK = 1 << 24  # bytes
_THREADS = 8  # zlib lets go of the interpreter lock

Digest = tuple[int, int]  # size in bytes, CRC-32


def seal(folder: Path) -> None:
    """Writes the digests of all files of a folder that is complete."""
    sizes = sorted(_sizes(folder).items())
    names = [
        name for name, size in sizes if size is not None and PurePosixPath(name).name not in (DIGESTS, *_OPEN)
    ]  # a pipe, which nobody writes, would be waited for
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = dict(zip(names, pool.map(lambda name: _digest(folder / name), names), strict=True))
    (folder / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")


def damage(folder: Path) -> str | None:
    """Returns what is wrong with a sealed folder, such as 'params/d/4f is missing', or None."""
    try:
        content = json_files.read_json(folder / DIGESTS)
        digests: Mapping[str, Digest] = json_files.parse_value(Mapping[str, Digest], content, DIGESTS)
    except (OSError, ValueError):
        return f"{DIGESTS} is missing or damaged"
    try:
        sizes = _sizes(folder)
    except OSError as error:  # also where its run deletes it meanwhile
        return f"{os.path.relpath(error.filename or str(folder), str(folder))} cannot be read: {error.strerror}"
    for name, size in sizes.items():
        if size is None:
            return f"{name} is not a regular file in this folder"
    for name, (size, _) in digests.items():
        if name not in sizes:
            return f"{name} is missing"
        if sizes[name] != size:
            return f"{name} has {sizes[name]} bytes instead of {size}"
    with ThreadPoolExecutor(_THREADS) as pool:
        faults = pool.map(lambda item: _fault(folder, *item), digests.items())
        return next((fault for fault in faults if fault), None)


def size_of(folder: Path) -> int:
    """Returns how many bytes the files below a folder have."""
    return sum(size or 0 for size in _sizes(folder).values())


def _sizes(folder: Path) -> dict[str, int | None]:
    """Returns the size of everything below a folder that is no folder, None for what is no regular file in there.

    What goes while it is looked at is left out. Raises OSError where a folder cannot be read.
    """
    if isinstance(folder, BucketPath):
        return dict(folder.sizes())
    sizes: dict[str, int | None] = {}
    inside = os.path.join(os.path.realpath(folder), "")

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*names, *links):
            path = Path(parent, name)
            regular = os.path.isfile(path) and os.path.realpath(path).startswith(inside)
            with contextlib.suppress(FileNotFoundError):
                sizes[str(path.relative_to(folder))] = path.stat().st_size if regular else None
    return sizes


def _fault(folder: Path, name: str, digest: Digest) -> str | None:
    path = folder / name
    try:
        return None if _digest(path) == digest else f"the bytes of {name} have changed"
    except FileNotFoundError:  # its run deletes it meanwhile
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _digest(path: Path) -> Digest:
    size = crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
    return size, crc
