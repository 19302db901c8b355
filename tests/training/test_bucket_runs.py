"""Runs in a bucket: trained, stopped, killed, resumed; servers that fail."""

import itertools
import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_runs
from tiny_runs import STEPS, Batches, params

from t5music import locks
from t5music.errors import CheckpointError, DataError
from t5music.storage import path_of
from t5music.training.checkpoints import layout
from t5music.training.coordination import only_run


def assert_same(folder, result, uninterrupted):
    expected_folder, expected = uninterrupted
    jax.tree.map(np.testing.assert_array_equal, params(result), params(expected))
    assert (path_of(folder) / "metrics.jsonl").read_bytes() == (expected_folder / "metrics.jsonl").read_bytes()
    assert (result.step, result.best_step) == (expected.step, expected.best_step)


def fail_now_and_then(server):
    """Has the server refuse or delay some requests, as busy ones do."""
    counter = itertools.count(1)

    def fault(method, url):
        number = next(counter)
        return 503 if number % 17 == 0 else 429 if number % 29 == 0 else 0.2 if number % 23 == 0 else None

    server.fault = fault


@pytest.mark.parametrize("prepare", [lambda server: None, pytest.param(fail_now_and_then, marks=pytest.mark.slow)])
def test_a_run_in_a_bucket_is_the_run_on_a_disk(google_bucket, google_server, uninterrupted, prepare):
    prepare(google_server)
    folder = f"{google_bucket}/runs/one"
    assert_same(folder, tiny_runs.train(folder), uninterrupted)
    names = {name.removeprefix("runs/one/") for name in google_server.names(google_bucket[5:])}
    assert {"finished.json", "metrics.jsonl", "timing.jsonl"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    root = path_of(folder) / "checkpoints"
    assert layout.steps_of(root) == layout.steps_of(uninterrupted[0] / "checkpoints")
    assert json.loads((path_of(folder) / "finished.json").read_text())["step"] == STEPS


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(google_bucket, uninterrupted):
    folder = f"{google_bucket}/run"
    with pytest.raises(tiny_runs.loop.Interrupted):
        tiny_runs.train(folder, batches=Batches(stop_at=7))
    assert_same(folder, tiny_runs.train(folder), uninterrupted)


def kill(folder, at):
    process = subprocess.run([sys.executable, tiny_runs.__file__, folder, str(STEPS), str(at)], capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    return process.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize("moments", [(6,), (1, 2, 3, 5, 5, 6, 8, 9, 10, 11)])
def test_killed_and_resumed_is_never_killed(google_bucket, uninterrupted, moments):
    folder = f"{google_bucket}/run"
    for at in moments:
        assert kill(folder, at).strip() == "[]"  # neither TensorFlow nor seqio
    assert_same(folder, tiny_runs.train(folder), uninterrupted)


@pytest.mark.slow
def test_runs_in_s3_are_killed_and_resumed_too(s3_bucket, uninterrupted):
    folder = f"{s3_bucket}/run"
    kill(folder, 9)
    assert_same(folder, tiny_runs.train(folder), uninterrupted)
    assert layout.steps_of(path_of(folder) / "checkpoints") == layout.steps_of(uninterrupted[0] / "checkpoints")


def forbid(server, bucket):
    server.fault = lambda method, url: 403


def vanish(server, bucket):
    server.fault = lambda method, url: 404


@pytest.mark.parametrize(
    ("fail", "message", "at"),
    [
        pytest.param(forbid, "access is denied|403|permission", 8, marks=pytest.mark.slow),
        pytest.param(forbid, "access is denied|403|permission", 5, marks=pytest.mark.slow),
        pytest.param(vanish, "no such|does not exist|not found|404", 8, marks=pytest.mark.slow),
        pytest.param(vanish, "no such|does not exist|not found|404", 5, marks=pytest.mark.slow),
    ],
)
def test_a_bucket_that_is_lost_is_named_and_the_run_goes_on_when_it_is_back(
    google_bucket, google_server, uninterrupted, fail, message, at
):
    folder = f"{google_bucket}/run"

    class Failing(Batches):
        def __next__(self):
            if self.position == at:
                fail(google_server, google_bucket)
            return super().__next__()

    with pytest.raises((CheckpointError, DataError), match=f"(?i){folder}.*({message})"):
        tiny_runs.train(folder, batches=Failing())
    google_server.fault = lambda method, url: None
    assert_same(folder, tiny_runs.train(folder), uninterrupted)


def test_the_lock_is_the_holder_s_until_it_is_given_back(google_bucket, google_server):
    folder = f"{google_bucket}/run"
    with only_run(folder), only_run(folder):  # a process may enter twice
        code = f"from t5music import locks\nwith locks.attempt({folder + '/.lock'!r}) as holder: print(holder)"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert other.stdout.startswith(f"process {os.getpid()} on ")
    assert google_server.names(google_bucket[5:]) == []
    with locks.attempt(f"{folder}/.lock") as holder:
        assert holder is None
