"""Watch: processes that end when one of them has ended, and only then. Without JAX, which is not needed to see that."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

CODE = """
import sys, time
from t5music.devices.watch import Watch

number, port = int(sys.argv[1]), int(sys.argv[2])
watch = Watch(number, 3)
if number:
    watch.connect("localhost", port)
else:
    print(watch.listen(), flush=True)
    while len([peer for peer in list(watch._peers.values()) if peer.number]) < 2:
        time.sleep(0.02)
    print("all are here", flush=True)
command = sys.stdin.readline().strip()
if command == "fail":
    print("its own error", file=sys.stderr, flush=True)
    watch.fail()
    import os
    os._exit(2)
if command == "wait":
    time.sleep(60)
"""  # else it ends as a process does whose work is done


def start(number: int, port: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CODE, str(number), str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)


@contextlib.contextmanager
def group() -> Iterator[list[subprocess.Popen[str]]]:
    """Three processes that watch each other."""
    first = start(0)
    assert first.stdout is not None
    port = int(first.stdout.readline())
    processes = [first, start(1, port), start(2, port)]
    assert first.stdout.readline() == "all are here\n"
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def tell(process: subprocess.Popen[str], command: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{command}\n")
    process.stdin.flush()


@pytest.mark.parametrize("victim", [0, 1])
def test_all_end_with_one_line_that_says_which_has_ended(victim: int):
    with group() as processes:
        for process in processes:
            tell(process, "wait")
        processes[victim].kill()
        began = time.monotonic()
        for number, process in enumerate(processes):
            if number != victim:
                _, text = process.communicate(timeout=30)
                assert process.returncode == 2
                assert len(text.strip().splitlines()) == 1
                assert text.strip().startswith(f"t5music: error: process {victim} of 3 (on ")
                assert "Start the same command on every machine again" in text
        assert time.monotonic() - began < 30


def test_one_whose_work_is_done_ends_nobody():
    with group() as processes:
        for number in (1, 0, 2):
            tell(processes[number], "done")
            assert processes[number].wait(30) == 0
            time.sleep(0.2)
        for process in processes:
            assert process.communicate()[1] == ""


def test_an_error_that_all_have_is_said_by_each():
    with group() as processes:
        for process in processes:
            tell(process, "fail")
        for process in processes:
            _, text = process.communicate(timeout=30)
            assert (process.returncode, text) == (2, "its own error\n")
