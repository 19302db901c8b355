"""Locks in buckets: one holder, who renews; others take over what has lapsed; who has lost one writes no more."""

import os
import subprocess
import sys
import time

import pytest

from t5music import locks
from t5music.errors import DataError
from t5music.storage import bucket_locks, path_of
from t5music.storage.bucket_locks import Record, conditional_objects

ELSEWHERE = Record("process 7 on another machine", "1234", "another machine", 7)


@pytest.fixture(params=["google_bucket", "s3_bucket"])
def path(request, monkeypatch):
    monkeypatch.setattr(bucket_locks, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(bucket_locks, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(bucket_locks, "POLL_SECONDS", 0.1)
    return path_of(request.getfixturevalue(request.param)) / "run/.lock"


def leave(path, record=ELSEWHERE):
    """Leaves the lock of another process; returns its object and version."""
    lock = conditional_objects(path)
    return lock, lock.write(record.to_bytes(), None)


def test_an_object_is_written_under_conditions(path):
    lock = conditional_objects(path)
    assert lock.read() is None
    first = lock.write(b"one", None)
    assert first is not None
    assert lock.write(b"two", None) is None
    second = lock.write(b"two", first)
    assert second not in (None, first)
    assert lock.write(b"three", first) is None
    assert lock.read() == (b"two", second)
    lock.delete(second)
    assert lock.read() is None
    assert lock.write(b"four", second) is None


def test_a_lock_that_is_renewed_is_held(path):
    with locks.attempt(path) as holder:
        assert holder is None
        assert locks.holder(path).startswith(f"process {os.getpid()} on ")
        with bucket_locks.attempt(path, "another") as other:  # as from another process
            assert other.startswith(f"process {os.getpid()} on ")
    assert locks.holder(path) is None
    assert not path.exists()


def test_what_lapses_is_taken_over(path):
    leave(path)
    assert locks.holder(path) == ELSEWHERE.holder
    start = time.monotonic()
    with locks.attempt(path) as holder:
        assert holder is None
        assert time.monotonic() - start >= bucket_locks.LEASE_SECONDS
        assert locks.holder(path).startswith(f"process {os.getpid()} on ")


def test_who_is_not_patient_learns_at_once_and_takes_over_what_has_lapsed_later(path):
    lock, version = leave(path)
    start = time.monotonic()
    while True:
        with locks.attempt(path, patient=False) as holder:
            if holder is None:
                break
            assert holder == ELSEWHERE.holder
        if version is not None and time.monotonic() - start > 0.5:  # it is renewed once, and then no more
            lock.write(ELSEWHERE._replace(renewals=1).to_bytes(), version)
            version, start = None, time.monotonic()
        time.sleep(0.05)
    assert time.monotonic() - start >= bucket_locks.LEASE_SECONDS
    assert not path.exists()


@pytest.mark.slow
def test_what_was_seen_long_ago_does_not_count_for_who_is_patient(path):
    leave(path)
    with locks.attempt(path, patient=False) as holder:
        assert holder == ELSEWHERE.holder
    time.sleep(bucket_locks.LEASE_SECONDS)
    start = time.monotonic()
    with locks.attempt(path) as holder:
        assert holder is None
    assert time.monotonic() - start >= bucket_locks.LEASE_SECONDS


def test_what_a_process_here_left_is_taken_over_at_once(path, monkeypatch):
    monkeypatch.setattr(bucket_locks, "LEASE_SECONDS", 1000.0)
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    leave(path, ELSEWHERE._replace(machine=bucket_locks._machine(), process=int(process.stdout)))
    assert locks.holder(path) is None
    with locks.attempt(path) as holder:
        assert holder is None


def test_who_loses_a_lock_ends(path, monkeypatch, capfd):
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    with bucket_locks.attempt(path, "me") as holder:
        assert holder is None
        lock = conditional_objects(path)
        while lock.write(ELSEWHERE.to_bytes(), lock.read()[1]) is None:
            pass
        deadline = time.monotonic() + 20
        while not ends and time.monotonic() < deadline:
            time.sleep(0.05)
        monkeypatch.setattr(bucket_locks, "RENEW_SECONDS", 1000.0)
    assert ends[0] == bucket_locks.LOST_STATUS
    assert f"the lock {path} is lost: process 7 on another machine has taken it over" in capfd.readouterr().err
    assert locks.holder(path) == ELSEWHERE.holder  # what another one holds is not removed


def test_what_is_no_lock_s_content_is_another_process_s(path):
    path.write_bytes(b"{}")
    assert locks.holder(path) == "another process"


def test_a_bucket_that_forbids_is_named(google_bucket, google_server):
    google_server.fault = lambda method, url: 403
    with pytest.raises(DataError, match=rf"cannot lock {google_bucket}/run/.lock: access is denied"):  # noqa: SIM117
        with locks.attempt(f"{google_bucket}/run/.lock"):
            pass
