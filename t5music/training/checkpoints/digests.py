"""Digests: size and CRC-32 of every file of a checkpoint, so that damage is found before anything is read from it.

Orbax notices a missing file when it comes to it, but not bytes that have changed. Nor does it mind files that lead out
of the folder, or pipes, for which a reader waits for ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from t5music import json_files

DIGESTS = "digests.json"
_OPEN = "_CHECKPOINT_METADATA"  # Orbax writes its times into it after the rest is sealed
_CHUNK = 1 << 24  # bytes
_THREADS = 8  # zlib lets go of the interpreter lock

Digest = tuple[int, int]  # size in bytes, CRC-32


def seal(folder: Path) -> None:
    """Writes the digests of all files of a folder that is complete."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (DIGESTS, _OPEN)]
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = {
            str(path.relative_to(folder)): digest for path, digest in zip(files, pool.map(_digest, files), strict=True)
        }
    (folder / DIGESTS).write_text(json.dumps(digests), encoding="utf-8")


def damage(folder: Path) -> str | None:
    """Returns what is wrong with a sealed folder, such as 'params/d/4f is missing', or None."""
    try:
        content = json_files.read_json(folder / DIGESTS)
        digests: Mapping[str, Digest] = json_files.parse_value(Mapping[str, Digest], content, DIGESTS)
    except (OSError, ValueError):
        return f"{DIGESTS} is missing or damaged"
    try:
        files = dict(_files(folder))
    except OSError as error:  # also where its run deletes it meanwhile
        return f"{os.path.relpath(error.filename or folder, folder)} cannot be read: {error.strerror}"
    for name, is_regular in files.items():
        if not is_regular:
            return f"{name} is not a regular file in this folder"
    for name in digests:
        if name not in files:
            return f"{name} is missing"
    with ThreadPoolExecutor(_THREADS) as pool:
        faults = pool.map(lambda item: _fault(folder, *item), digests.items())
        return next((fault for fault in faults if fault), None)


def size_of(folder: Path) -> int:
    """Returns how many bytes the files below a folder have; those that go while they are counted have none."""
    size = 0
    for name, _ in _files(folder):
        with contextlib.suppress(OSError):
            size += (folder / name).stat().st_size
    return size


def _files(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yields the name of everything below a folder that is no folder, and whether it is a regular file in there.

    Raises OSError where a folder cannot be read.
    """
    inside = os.path.join(os.path.realpath(folder), "")

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*names, *links):
            path = Path(parent, name)
            regular = os.path.isfile(path) and os.path.realpath(path).startswith(inside)
            yield str(path.relative_to(folder)), regular


def _fault(folder: Path, name: str, digest: Digest) -> str | None:
    path = folder / name
    try:
        size = path.stat().st_size
        if size != digest[0]:
            return f"{name} has {size} bytes instead of {digest[0]}"
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
