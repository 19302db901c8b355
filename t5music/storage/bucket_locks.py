"""Bucket locks: objects that one process holds, in a bucket that several machines write.

A lock is an object that is created only where there is none, replaced only where nobody has replaced it meanwhile, and
removed in the same way (Google: `if_generation_match`; S3: `IfMatch` and `IfNoneMatch`). It says who holds it and for
how long: its holder writes it again every RENEW_SECONDS. Who wants it and does not see it change for LEASE_SECONDS
takes it over; so no two clocks are compared. What a process of this machine left that has ended is taken over at once.

A holder that finds its lock taken over (its machine was cut off for longer than the lease) must write no more: it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from t5music.errors import DataError
from t5music.storage import BucketPath, libraries

LEASE_SECONDS = 30.0
RENEW_SECONDS = 8.0
POLL_SECONDS = 1.0
LOST_STATUS = 2  # of a process whose lock another one has taken over


class Record(NamedTuple):
    """What a lock's object holds.

    Attributes:
        holder: in words.
        token: of this one taking; no two are alike.
        machine: where the process runs, "" if that cannot be told from others.
        process: its number there.
        renewals: how often it was written again.
    """

    holder: str
    token: str
    machine: str
    process: int
    renewals: int = 0

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(self._asdict()).encode()


@contextlib.contextmanager
def attempt(path: BucketPath, holder: str, *, patient: bool = True) -> Iterator[str | None]:
    """Takes a lock, renews it in the background and gives it back, unless another process has it.

    Args:
        path: of the lock's object.
        holder: who this is, for others.
        patient: wait for up to LEASE_SECONDS to find out whether another process has it still. Otherwise it is looked
            at once, and what has lapsed is taken over by an attempt that comes LEASE_SECONDS after the first.

    Yields:
        None while this process holds the lock, else who does.

    Raises:
        DataError: the bucket cannot be written.
    """
    record = Record(holder, uuid.uuid4().hex, _machine(), os.getpid())
    objects = conditional_objects(path)
    try:
        version = _acquire(objects, record, str(path), patient)
    except Exception as error:  # of many types
        raise DataError(f"cannot lock {path}: {libraries.reason(error)}") from error
    if isinstance(version, Record):
        yield version.holder
        return
    renewal = _Renewal(objects, record, version, str(path))
    renewal.start()
    try:
        yield None
    finally:
        version = renewal.stop()
        with contextlib.suppress(Exception):  # it lapses by itself
            objects.delete(version)


def holder(path: BucketPath) -> str | None:
    """Who holds a lock, or has left it by ending less than its lease ago; None if nobody does. Raises OSError."""
    with libraries.system_errors(path):
        current = conditional_objects(path).read()
    record = None if current is None else _parse(current[0])
    return None if record is None or _has_ended(record) else record.holder


# Of locks that other processes have: the version of the object, and when it was first seen here.
_sightings: dict[str, tuple[str, float]] = {}


def _acquire(objects: Any, record: Record, name: str, patient: bool) -> str | Record:
    """Takes a lock; returns the version of its object, or the record of the process that has it."""
    if patient:
        _sightings.pop(name, None)  # which may be long ago
    while True:
        version = objects.write(record.to_bytes(), None)
        if version is not None:
            return version
        current = objects.read()
        if current is None:
            continue
        content, version = current
        other = _parse(content)
        if other.token == record.token:  # written by a request that was repeated since its answer was lost
            return version
        seen, since = _sightings.get(name, ("", 0.0))
        lapsed = seen == version != "" and time.monotonic() - since > LEASE_SECONDS
        if lapsed or _has_ended(other):
            version = objects.write(record.to_bytes(), version)
            if version is not None:
                return version
        elif version != seen:
            _sightings[name] = version, time.monotonic()
            if seen:
                return other  # it was renewed while we looked
        if not patient:
            return other
        time.sleep(POLL_SECONDS)


class _Renewal(threading.Thread):
    """Writes a lock's object again and again."""

    def __init__(self, objects: Any, record: Record, version: str, name: str) -> None:
        super().__init__(name="t5music lock", daemon=True)
        self._objects, self._record, self._version, self._name_of_lock = objects, record, version, name
        self._stopped = threading.Event()

    def run(self) -> None:
        """Renews the lock until `stop`."""
        while not self._stopped.wait(RENEW_SECONDS):
            self._record = self._record._replace(renewals=self._record.renewals + 1)
            try:
                version = self._objects.write(self._record.to_bytes(), self._version)
                if version is None:
                    version = self._written_before()
            except Exception as error:  # of many types; the next renewal may succeed
                print(f"t5music: warning: {self._name_of_lock}: {libraries.reason(error)}", file=sys.stderr)
                continue
            self._version = version

    def _written_before(self) -> str:
        """The version, where a repeated request has written it; ends the process where another one has."""
        current = self._objects.read()
        other = None if current is None else _parse(current[0])
        if current is not None and other is not None and other.token == self._record.token:
            return current[1]
        by = "it is gone" if other is None else f"{other.holder} has taken it over"
        text = (
            f"t5music: error: the lock {self._name_of_lock} is lost: {by}. This process ends; nothing is half written\n"
        )
        os.write(2, text.encode())
        os._exit(LOST_STATUS)

    def stop(self) -> str:
        """Ends the renewals; returns the version of the last."""
        self._stopped.set()
        self.join()
        return self._version


def _parse(content: bytes) -> Record:
    """The record of a lock's object; one that nobody here wrote is of an unknown process."""
    try:
        return Record(**json.loads(content))
    except (ValueError, TypeError):
        return Record("another process", "", "", 0)


@cache
def _machine() -> str:
    """This machine and its space of process numbers, the same for no other one that is up; "" if that is not known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _has_ended(record: Record) -> bool:
    """Whether a lock's holder was a process of this machine that has ended."""
    if not record.machine or record.machine != _machine():
        return False
    try:
        os.kill(record.process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


# ------------------------------------------------------------------------------------------------- conditional requests


def conditional_objects(path: BucketPath) -> Any:
    """The object of a lock, with requests under conditions."""
    return {"gs": _GoogleObject, "s3": _S3Object}[path.scheme](path)


class _GoogleObject:
    """An object in a bucket of Google's, whose versions are generations."""

    def __init__(self, path: BucketPath) -> None:
        libraries.file_system(path.scheme)  # which prepares the libraries
        self._bucket, self._key = _google_client(os.getpid()).bucket(path.bucket), path.key

    def write(self, content: bytes, version: str | None) -> str | None:
        """Writes the object if it is of this version, or if there is none for None.

        Returns:
            Its new version; None where it is of another one.
        """
        from google.api_core.exceptions import NotFound, PreconditionFailed

        blob = self._bucket.blob(self._key)
        try:
            blob.upload_from_string(content, if_generation_match=int(version or 0), retry=_retry(), timeout=20)
        except PreconditionFailed:
            return None
        except NotFound as error:  # the object is gone, or the bucket
            if version is None:
                raise FileNotFoundError(f"there is no bucket {self._bucket.name}") from error
            return None
        return str(blob.generation)

    def read(self) -> tuple[bytes, str] | None:
        """The object's content and version; None where there is none."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.get_blob(self._key)
        try:
            return None if blob is None else (blob.download_as_bytes(), str(blob.generation))
        except NotFound:
            return None

    def delete(self, version: str) -> None:
        """Removes the object if it is of this version."""
        self._bucket.blob(self._key).delete(if_generation_match=int(version), timeout=20)


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(LEASE_SECONDS)


@cache
def _google_client(process: int) -> Any:
    from google.cloud.storage import Client

    return Client()


class _S3Object:
    """An object in a bucket of S3's kind, whose versions are ETags."""

    def __init__(self, path: BucketPath) -> None:
        self._call, self._place = libraries.file_system("s3").call_s3, {"Bucket": path.bucket, "Key": path.key}

    def write(self, content: bytes, version: str | None) -> str | None:
        """As of `_GoogleObject`."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        try:
            return self._call("put_object", Body=content, **self._place, **condition)["ETag"]
        except FileNotFoundError:  # the object is gone, or the bucket
            if version is None:
                raise
            return None
        except OSError as error:
            if _is_refused_condition(error):
                return None
            raise

    def read(self) -> tuple[bytes, str] | None:
        """As of `_GoogleObject`."""
        path = f"s3://{self._place['Bucket']}/{self._place['Key']}"
        system = libraries.file_system("s3")
        try:
            version = self._call("head_object", **self._place)["ETag"]
            content = system.cat_file(path)
            return content, version if self._call("head_object", **self._place)["ETag"] == version else ""
        except FileNotFoundError:
            return None

    def delete(self, version: str) -> None:
        """As of `_GoogleObject`."""
        self._call("delete_object", IfMatch=version, **self._place)


def _is_refused_condition(error: OSError) -> bool:
    response = getattr(error.__cause__, "response", {})
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (409, 412) or "PreconditionFailed" in str(
        error
    )
