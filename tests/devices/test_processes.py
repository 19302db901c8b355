"""Processes that check in before they compute together: all there, one missing, and what does not fit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from t5music.devices import processes
from t5music.errors import ConfigError


@pytest.fixture
def address() -> str:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return f"localhost:{listener.getsockname()[1]}"


def meet(places: list[processes.Place], wait: float) -> list[str]:
    """What each of the processes (here: threads) heard, "" for a good start."""
    heard = [""] * len(places)

    def run(index: int) -> None:
        try:
            processes.check_in(places[index], wait)
        except ConfigError as error:
            heard[index] = str(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(places))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    return heard


def test_all_who_are_expected_begin(address: str):
    assert meet([processes.Place(address, 4, number) for number in (2, 0, 3, 1)], wait=20) == [""] * 4


def test_who_is_missing_is_named_to_everybody(address: str):
    began = time.monotonic()
    heard = meet([processes.Place(address, 5, number) for number in (0, 3)], wait=1)
    assert time.monotonic() - began < 10
    for message in heard:
        assert f"5 processes expected at {address}, 2 seen in 1 seconds; missing: 1, 2, 4." in message


def test_without_process_0_the_others_say_so(address: str):
    (heard,) = meet([processes.Place(address, 2, 1)], wait=0.5)
    assert "2 processes expected" in heard
    assert "process 0 did not answer" in heard


def test_numbers_given_twice_and_other_counts_are_refused(address: str):
    heard = meet([processes.Place(address, 4, number) for number in (0, 1, 1)], wait=5)
    assert heard == [f"two processes at {address} were started with --process_id 1"] * 3
    heard = meet([processes.Place(address, 2, 0), processes.Place(address, 3, 1)], wait=5)
    assert heard == ["process 1 was started with --processes 3, process 0 with --processes 2"] * 2


def test_strangers_and_those_who_leave_do_not_count(address: str):
    host, port = address.split(":")
    heard: list[str] = []
    waiting = threading.Thread(target=lambda: heard.extend(meet([processes.Place(address, 3, 0)], wait=3)))
    waiting.start()
    deadline = time.monotonic() + 2
    while True:  # until process 0 listens
        try:
            stranger = socket.create_connection((host, int(port)))
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with stranger, socket.create_connection((host, int(port))) as left:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        left.sendall(b'{"process": 1, "processes": 3}\n')
        left.settimeout(5)
        assert left.recv(100) == b'{"seen": [0, 1]}\n'
    waiting.join(timeout=20)
    assert "1 seen in 3 seconds; missing: 1, 2." in heard[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("localhost:1234", 2, None), "--process_id is missing"),
        ((None, 2, 0), "--coordinator is missing"),
        (("localhost", 2, 0), "write HOST:PORT"),
        (("localhost:1234", 0, 0), "--processes must be at least 1"),
        (("localhost:1234", 2, 2), "--process_id must be from 0 to 1"),
    ],
)
def test_flags_that_cannot_be(flags: tuple, message: str):
    with pytest.raises(ConfigError, match=message):
        processes.place_from_flags(*flags)


def test_the_cluster_is_asked(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="no Cloud TPU, SLURM"):
        processes.place_from_cluster(1)
    job = {"JOB_ID": "7", "STEP_NODELIST": "node[3-4]", "NTASKS": "2", "PROCID": "1", "LOCALID": "0"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    place = processes.place_from_cluster(1)
    assert place.coordinator.startswith("node3:")
    assert (place.processes, place.process_id) == (2, 1)


def test_a_command_whose_partner_does_not_come_ends_with_one_sentence(address: str, tmp_path):
    flags = ["--coordinator", address, "--processes", "2", "--process_id", "0", "--wait", "1"]
    command = [sys.executable, "-m", "t5music", "train", "x", "--model_dir", "y", "--data_dir", str(tmp_path)]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=120, env={**os.environ})
    assert done.returncode == 2
    assert "t5music: error: 2 processes expected" in done.stderr
    assert "missing: 1" in done.stderr
