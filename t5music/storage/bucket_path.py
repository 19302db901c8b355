"""Bucket paths: an object or a folder in a bucket, behind the methods of pathlib's paths."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from t5music.storage.libraries import file_system, system_errors

READ_BYTES = 16 * 2**20  # of an object that is read in parts

if TYPE_CHECKING:
    _Base = Path
else:
    _Base = object


class BucketPath(_Base):
    """An object or a folder in a bucket. It has those methods of `pathlib.Path` that this package calls.

    A folder is there as soon as an object is in it. All methods raise OSError, whose `strerror` says why.
    """

    def __init__(self, scheme: str, path: PurePosixPath) -> None:
        self._scheme, self._path = scheme, path  # the path begins with the name of the bucket

    # ------------------------------------------------------------------------------------------------- names
    def __str__(self) -> str:
        return f"{self._scheme}://{self._path}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BucketPath) and str(self) == str(other)

    def __lt__(self, other: Any) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: Any) -> BucketPath:
        return BucketPath(self._scheme, self._path / name)

    @property
    def scheme(self) -> str:
        """Of the address: "gs" or "s3"."""
        return self._scheme

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._path.parts[0]

    @property
    def key(self) -> str:
        """The object's name in its bucket."""
        return "/".join(self._path.parts[1:])

    name = property(lambda self: self._path.name)
    stem = property(lambda self: self._path.stem)
    suffix = property(lambda self: self._path.suffix)
    parent = property(lambda self: BucketPath(self._scheme, self._path.parent))

    def with_name(self, name: str) -> BucketPath:
        """As of pathlib."""
        return BucketPath(self._scheme, self._path.with_name(name))

    def with_suffix(self, suffix: str) -> BucketPath:
        """As of pathlib."""
        return BucketPath(self._scheme, self._path.with_suffix(suffix))

    def relative_to(self, other: Any) -> PurePosixPath:  # type: ignore[override]
        """As of pathlib."""
        return self._path.relative_to(other._path)

    def absolute(self) -> BucketPath:
        """The same."""
        return self

    resolve = expanduser = absolute  # type: ignore[assignment]

    # ----------------------------------------------------------------------------------------------- questions
    def exists(self) -> bool:  # type: ignore[override]
        """Whether there is an object or a folder of that name."""
        return self._info() is not None

    def is_dir(self) -> bool:  # type: ignore[override]
        """Whether there is an object in this folder."""
        return (self._info() or {}).get("type") == "directory"

    def is_file(self) -> bool:  # type: ignore[override]
        """Whether there is an object of that name."""
        return (self._info() or {}).get("type") == "file"

    def stat(self) -> os.stat_result:  # type: ignore[override]
        """Size and kind."""
        info = self._info()
        if info is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(self))
        kind = stat.S_IFREG if info["type"] == "file" else stat.S_IFDIR
        return os.stat_result((kind, 0, 0, 1, 0, 0, info.get("size") or 0, 0, 0, 0))

    def iterdir(self) -> Iterator[BucketPath]:  # type: ignore[override]
        """What is in the folder, in order. Raises FileNotFoundError where there is nothing."""
        with system_errors(self):
            names = self._system.ls(str(self), detail=False)
        names = sorted({PurePosixPath(name).name for name in names if PurePosixPath(name) != self._path})
        yield from (self / name for name in names)

    def glob(self, pattern: str) -> Iterator[BucketPath]:  # type: ignore[override]
        """The objects and folders whose path below this one has the form of `pattern`, one level for each part."""
        first, _, rest = pattern.partition("/")
        with contextlib.suppress(FileNotFoundError):
            for path in self.iterdir():
                if fnmatchcase(path.name, first):
                    if rest:
                        yield from path.glob(rest)
                    else:
                        yield path

    def sizes(self) -> dict[str, int]:
        """The path below this folder and the size in bytes of every object in it; {} for no folder."""
        return {name: info["size"] for name, info in self._objects().items()}

    def versions(self) -> dict[str, str]:
        """The path below this folder and what changes with the content of every object in it; {} for no folder."""
        return {name: _tag(info) for name, info in self._objects().items()}

    def version(self) -> str:
        """What changes with the content of the object."""
        info = self._info()
        if info is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(self))
        return _tag(info)

    def _objects(self) -> dict[str, dict[str, Any]]:
        with system_errors(self):
            objects = self._system.find(str(self), detail=True)
        paths = {PurePosixPath(path): info for path, info in objects.items() if info["type"] == "file"}
        return {str(path.relative_to(self._path)): info for path, info in paths.items() if path != self._path}

    def is_symlink(self) -> bool:
        """No."""
        return False

    # ------------------------------------------------------------------------------------------------- content
    def open(self, mode: str = "r", encoding: str | None = None) -> Any:  # type: ignore[override]
        """Opens the object to read it."""
        if mode not in ("r", "rb"):
            raise ValueError(f"objects are written whole, not opened with {mode!r}")
        file = io.BufferedReader(_Reader(self, self.stat().st_size), READ_BYTES)
        return file if mode == "rb" else io.TextIOWrapper(file, encoding or "utf-8")

    def read_range(self, start: int, end: int) -> bytes:
        """The object's bytes from `start` up to `end`."""
        with system_errors(self):
            return self._system.cat_file(str(self), start=start, end=end)

    def read_bytes(self) -> bytes:
        """The object's content."""
        with system_errors(self):
            return self._system.cat_file(str(self))

    def read_text(self, encoding: str = "utf-8") -> str:  # type: ignore[override]
        """The object's content as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> int:  # type: ignore[override]
        """Writes the object, whole or not at all."""
        with system_errors(self):
            self._system.pipe_file(str(self), bytes(content))
        return len(content)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:  # type: ignore[override]
        """Writes the object as text, whole or not at all."""
        return self.write_bytes(text.encode(encoding))

    def upload(self, file: Path) -> None:
        """Makes the object a copy of a file of this machine, whole or not at all."""
        with system_errors(self):
            self._system.put_file(str(file), str(self))

    def download(self, file: Path) -> None:
        """Copies the object into a file of this machine."""
        with system_errors(self):
            self._system.get_file(str(self), str(file))

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Nothing: a folder needs no making."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the object."""
        try:
            with system_errors(self):
                self._system.rm_file(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_tree(self) -> None:
        """Removes all objects in the folder; none is no error."""
        with contextlib.suppress(FileNotFoundError), system_errors(self):
            self._system.rm(str(self), recursive=True)

    def rename(self, target: Any) -> BucketPath:  # type: ignore[override]
        """Copies the objects of the folder to another place in the bucket and then removes them: not atomic."""
        with system_errors(self):
            self._system.mv(str(self), str(target), recursive=True)
        return target

    @property
    def _system(self) -> Any:
        return file_system(self._scheme)

    def _info(self) -> dict[str, Any] | None:
        try:
            with system_errors(self):
                return self._system.info(str(self))
        except FileNotFoundError:
            return None


class _Reader(io.RawIOBase):
    """An object that is read as it is needed, so that a large one is never in memory as a whole."""

    def __init__(self, path: BucketPath, size: int) -> None:
        self._path, self._size, self._position = path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        content = self._path.read_range(self._position, end)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def _tag(info: Mapping[str, Any]) -> str:
    """The entity tag of an object, by what its library says of it."""
    return str(info.get("etag") or info.get("ETag"))
