"""Size and CRC-32 of every file of a checkpoint, so that damage is found before anything is read from it.

Orbax notices a missing file when it comes to it, but not bytes that have changed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DIGESTS = "digests.json"
_OPEN = "_CHECKPOINT_METADATA"  # Orbax writes its times into it after the rest is sealed
_CHUNK = 1 << 24  # bytes
_THREADS = 8  # zlib lets go of the interpreter lock


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
        digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        items = [(folder / name, size, crc) for name, (size, crc) in digests.items()]
    except (OSError, ValueError, AttributeError, TypeError):
        return f"{DIGESTS} is missing or damaged"
    with ThreadPoolExecutor(_THREADS) as pool:
        faults = pool.map(lambda item: _fault(folder, *item), items)
        return next((fault for fault in faults if fault), None)


def _fault(folder: Path, path: Path, size: int, crc: int) -> str | None:
    name = path.relative_to(folder)
    try:
        found = path.stat().st_size
        if found != size:
            return f"{name} has {found} bytes instead of {size}"
        return None if _digest(path) == (size, crc) else f"the bytes of {name} have changed"
    except FileNotFoundError:  # also where its run deletes it meanwhile
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def _digest(path: Path) -> tuple[int, int]:
    size = crc = 0
    for chunk in _chunks(path):
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
    return size, crc


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
