"""Locks: held by one process, named to the others, taken over from the dead, gone without a trace."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import threading
from pathlib import Path

import pytest
from lock_holders import add_one, other_process

from t5music import locks
from t5music.errors import DataError


def test_another_process_is_named_and_its_lock_left_alone(tmp_path: Path):
    path = tmp_path / "run" / locks.FILE
    with other_process(path) as other:
        content = path.read_bytes()
        with locks.attempt(path) as holder:
            assert holder is not None
            assert holder.startswith(f"process {other.pid} on ")
            assert ", since 2" in holder
        assert locks.holder(path) == holder
        assert path.read_bytes() == content
    assert locks.holder(path) is None
    assert not (tmp_path / "run").exists(), "nothing is left of a lock under which nothing was written"


def test_what_was_written_under_a_lock_stays(tmp_path: Path):
    with locks.attempt(tmp_path / "a" / "b" / locks.FILE) as holder:
        assert holder is None
        (tmp_path / "a" / "result").write_bytes(b"")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path):
    path = tmp_path / locks.FILE
    with other_process(path) as other:
        other.kill()
        other.wait()
        assert path.exists()
        assert locks.holder(path) is None
        with locks.attempt(path) as holder:
            assert holder is None
            assert str(os.getpid()) in path.read_text()


def test_a_process_may_enter_its_lock_again(tmp_path: Path):
    path = tmp_path / locks.FILE
    with locks.attempt(path) as first, locks.attempt(tmp_path / "." / locks.FILE) as second:
        assert (first, second) == (None, None)
    assert not path.exists()


def test_waiting_says_for_whom_and_goes_on_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / locks.FILE
    with other_process(path) as other:
        assert other.stdin is not None
        threading.Timer(0.6, other.stdin.close).start()
        with locks.waiting(path, "chorales"):
            assert other.wait(10) == 0
            assert locks.holder(path) is not None
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"chorales: waiting for process {other.pid} on ")


def test_no_two_hold_it_although_each_removes_its_file(tmp_path: Path):
    (tmp_path / "number").write_text("0")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_one, args=(tmp_path, 8)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (tmp_path / "number").read_text() == "24"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_a_look_is_not_taken_for_a_holder(tmp_path: Path):
    path = tmp_path / locks.FILE
    path.write_bytes(b"")
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with locks.attempt(path) as holder:
            assert holder is None


def test_without_locks_in_the_file_system_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locks.attempt(tmp_path / locks.FILE) as holder:
        assert holder is None
    assert "cannot be locked (No locks available)" in capsys.readouterr().err
    assert locks.holder(tmp_path / locks.FILE) is None


def test_without_flock_nobody_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with other_process(tmp_path / "lock"):
        monkeypatch.setattr(locks, "fcntl", None)
        with locks.attempt(tmp_path / "lock") as holder:
            assert holder is None
        assert locks.holder(tmp_path / "lock") is None


def test_a_folder_that_cannot_be_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "run" / locks.FILE
    with pytest.raises(DataError, match=f"cannot lock {path}"), locks.attempt(path):
        pass
