"""Addresses of buckets, gs:// and s3://: which are read, what they need, and the path that each one names."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from t5music.errors import ConfigError
from t5music.storage.bucket_path import BucketPath

# Scheme -> (fsspec's package for it, the extra of t5music that installs it).
SCHEMES = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


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
