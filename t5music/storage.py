"""Storage: buckets (gs://, s3://) beside the disks of this machine, behind the methods of pathlib's paths.

This is the one place that knows schemes. `path_of` gives a pathlib path for a path of this machine, which costs nothing
and imports nothing more, and a `BucketPath` for an address. What a bucket does differently:

- Nothing can be renamed. One object appears whole or not at all, so a file is written beside and then uploaded
  (`files.replacing`). What has several files is complete once its last one is there, its commit marker: Orbax's
  `commit_success.txt` for a checkpoint, the manifest for a token store.
- Nothing can be appended to. A metrics file is written whole, at most every WHOLE_FILE_SECONDS, and before each
  checkpoint (`files.AppendedFile`).
- There is no `flock`. A lock is an object that is written under conditions, with an owner and a lease (`bucket_locks`).
- Reading is slow. What is read as a whole, a checkpoint or a shard of a store, is copied into a cache on this machine
  first (`bucket_copies`), which is bounded.

Files go through fsspec (gcsfs, s3fs), which retries what a server may mend. Arrays go through Orbax and TensorStore,
which know Google's buckets alone; Orbax is told to use fsspec for the rest, since it would import TensorFlow where
there is one. A `BucketPath` has no `__fspath__`: code that does not know of buckets fails and makes no folder "gs:".

With STORAGE_EMULATOR_HOST or AWS_ENDPOINT_URL set, all of this talks to that server.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from t5music.errors import ConfigError

# Scheme -> (fsspec's package for it, the extra of t5music that installs it).
SCHEMES = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}
READ_BYTES = 16 * 2**20  # of an object that is read in parts
TIMEOUT = 60.0  # seconds for one request
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)

# Orbax's paths in buckets: by fsspec, since TensorFlow takes seconds to import and knows no emulator. They ask once.
os.environ.setdefault("EPATH_USE_TF", "false")

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


def path_of(path: str | os.PathLike[str]) -> Path:
    """A path of this machine, or the path in a bucket that an address names; what is one already, as it is.

    Raises ConfigError for an address of another kind, without a bucket, or whose library is not installed.
    """
    if isinstance(path, BucketPath):
        return path
    address = _ADDRESS.fullmatch(os.fspath(path))
    if address is None:
        return Path(path)
    scheme, rest = address[1].lower(), PurePosixPath(address[2].strip("/"))
    require_library(scheme, str(path))
    if not rest.parts or ".." in rest.parts:
        raise ConfigError(f"{path} names no bucket: write {scheme}://BUCKET/FOLDER")
    return BucketPath(scheme, rest)


def is_bucket(path: object) -> bool:
    """Whether this is a path in a bucket, or the address of one."""
    return isinstance(path, BucketPath) or (isinstance(path, str) and _ADDRESS.fullmatch(path) is not None)


def require_reachable(path: str, name: str) -> None:
    """Raises ConfigError as `path_of` does, and for NUL, with the name of the flag or gin binding before it."""
    if "\0" in path:
        raise ConfigError(f"{name}: no file or folder can have a NUL character in its name")
    try:
        path_of(path)
    except ConfigError as error:
        raise ConfigError(f"{name} {error}".lstrip()) from error


def require_library(scheme: str, path: str) -> None:
    """Raises ConfigError for a scheme that is not read, or whose library is not installed (with the command)."""
    if scheme not in SCHEMES:
        raise ConfigError(
            f"{path}: only paths of this machine, gs:// and s3:// are read and written; copy it here first"
        )
    package, extra = SCHEMES[scheme]
    if find_spec(package) is None:
        raise ConfigError(f"{path}: {package} is not installed: pip install 't5music[{extra}]'")


# ------------------------------------------------------------------------------------------------------- the libraries


def prepare_libraries() -> None:
    """Tells the libraries how to reach buckets; before the first of them is used, and in vain afterwards."""
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator:
        address = emulator if "://" in emulator else f"http://{emulator}"
        os.environ.setdefault("TENSORSTORE_GCS_HTTP_URL", address)
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # asks by gRPC, which no emulator answers
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs with a traceback what it raises
    import fsspec.config

    # A listing must show what TensorStore and other machines have written.
    fsspec.config.conf["gs"] = {"use_listings_cache": False, "requests_timeout": TIMEOUT}
    fsspec.config.conf["s3"] = {"use_listings_cache": False}


def file_system(scheme: str) -> Any:
    """The fsspec file system of a scheme; another one in each process, as its threads do not survive a fork."""
    return _file_system(scheme, os.getpid())


@functools.cache
def _file_system(scheme: str, process: int) -> Any:
    prepare_libraries()
    import fsspec

    return fsspec.filesystem(scheme)


@contextlib.contextmanager
def system_errors(path: BucketPath) -> Iterator[None]:
    """Raises what the libraries raise, of many types, as OSError that names the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "there is no such object, folder or bucket", str(path)) from error
    except Exception as error:
        raise OSError(errno.EIO, reason(error), str(path)) from error


def reason(error: BaseException) -> str:
    """Why a bucket could not be reached, in one line."""
    text = next(iter(str(error).strip(" ,\n").splitlines()), "") or type(error).__name__
    if isinstance(error, PermissionError) or text.startswith(("Forbidden", "401", "403")):
        return "access is denied: check the credentials and their rights"
    if isinstance(error, TimeoutError):
        return "the server does not answer in time"
    return text
