"""The libraries behind buckets: fsspec's file systems, told how to reach them, and their errors as OSError."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t5music.storage.bucket_path import BucketPath

TIMEOUT = 60.0  # seconds for one request

# Orbax's paths in buckets: by fsspec, since TensorFlow takes seconds to import and knows no emulator. They ask once.
os.environ.setdefault("EPATH_USE_TF", "false")


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
