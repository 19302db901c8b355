"""Several processes over one token store: as one process, resumed by more or fewer of them, and when one of them dies.

All of it is slow: every process compiles, and they share the cores.
"""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from lock_holders import other_process

from t5music.data.store.codec import FeatureSpec
from t5music.data.store.publish import publish_store
from t5music.data.store.token_store import StoreWriter
from t5music.data.vocabulary import FIRST_EVENT, default
from t5music.storage import path_of
from t5music.training.metric_writers import read_metrics

pytestmark = pytest.mark.slow

# Notes what this process was given, batch by batch, beside what the run writes. SLOW, "process seconds", is a process
# that waits before each batch.
PROGRAM = """
import json, os, sys, time
import jax
from t5music.cli.main import main
from t5music.data.loading.loader import TrainBatches

given = TrainBatches.__next__
slow, seconds = map(float, os.environ.get("SLOW", "-1 0").split())

def noting(batches):
    batch = given(batches)
    if jax.process_index() == slow:
        time.sleep(seconds)
    with open(f"{sys.argv[1]}.{jax.process_count()}.{jax.process_index()}", "a") as file:
        file.write(json.dumps([batch[side].tolist() for side in ("encoder_input_tokens", "decoder_target_tokens")]))
        file.write(chr(10))
    return batch

TrainBatches.__next__ = noting
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    features = {name: FeatureSpec("tokens", True) for name in ("inputs", "targets")}
    path = folder / "stores" / "pairs"
    with StoreWriter(path, features=features, vocabulary=default(), encoding="tx1", objectives=[]) as out:
        for _ in range(60):
            out.write("train", {name: FIRST_EVENT + rng.integers(0, 50, rng.integers(3, 16)) for name in features})
    return folder


def start(data_dir: Path, run: Path, steps: int, processes: int = 1, *, batches: str = "") -> list[subprocess.Popen]:
    """Starts a run; its processes note their batches in files whose names begin with `batches` or the run's."""
    command = [sys.executable, "-c", PROGRAM, batches or f"{run}.given", "train", "pairs", "--data_dir", str(data_dir)]
    command += ["--gin_file=runs/train.gin", "--gin_file=models/t5_1_1/tiny.gin", "--model_dir", str(run)]
    command += ["--steps", str(steps), "--platform", "cpu", "--gin.Records.log_period=3", "--gin.Records.save_period=3"]
    command += ['--gin.TASK_FEATURE_LENGTHS={"inputs": 32, "targets": 32}']
    with socket.socket() as found:
        found.bind(("localhost", 0))
        address = f"localhost:{found.getsockname()[1]}"
    several = ["--coordinator", address, "--processes", str(processes), "--wait", "120"]
    return [
        subprocess.Popen(
            [*command, *([*several, "--process_id", str(number)] if processes > 1 else [])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]


def finish(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        _, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stderr[-3000:]


def given(run: Path, processes: int) -> list[list]:
    """The rows of every batch, those of process 0 first: [inputs, targets] of each."""
    files = [Path(f"{run}.given.{processes}.{number}") for number in range(processes)]
    batches = zip(*(map(json.loads, file.read_text().splitlines()) for file in files), strict=True)
    chain = itertools.chain.from_iterable
    return [[list(chain(part[side] for part in parts)) for side in (0, 1)] for parts in batches]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(run / "metrics.jsonl")]


@pytest.fixture(scope="module")
def alone(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that nothing stops."""
    run = tmp_path_factory.mktemp("alone") / "run"
    finish(start(data_dir, run, 12))
    return run


def test_two_processes_are_one(data_dir: Path, alone: Path, tmp_path: Path):
    finish(start(data_dir, tmp_path / "run", 12, processes=2))
    assert given(tmp_path / "run", 2) == given(alone, 1)
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)


def test_one_goes_on_as_two_and_as_four_and_as_one(data_dir: Path, alone: Path, tmp_path: Path):
    run = tmp_path / "run"
    seen = []
    for steps, processes in ((3, 1), (6, 2), (9, 4)):
        finish(start(data_dir, run, steps, processes))
        seen += given(run, processes)
    Path(f"{run}.given.1.0").unlink()
    finish(start(data_dir, run, 12))
    seen += given(run, 1)
    assert seen == given(alone, 1), "every example once, in the same order"
    assert losses(run) == pytest.approx(losses(alone), rel=1e-5)


def test_four_go_on_as_two_and_as_four(data_dir: Path, alone: Path, tmp_path: Path):
    run = tmp_path / "run"
    seen = []
    for steps, processes in ((3, 4), (6, 2)):
        finish(start(data_dir, run, steps, processes))
        seen += given(run, processes)
    for number in range(4):
        Path(f"{run}.given.4.{number}").unlink()
    finish(start(data_dir, run, 12, 4))
    assert seen + given(run, 4) == given(alone, 1), "every example once, in the same order"
    assert losses(run) == pytest.approx(losses(alone), rel=1e-5)


def test_the_others_wait_for_one_that_is_slower(
    data_dir: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLOW", "1 0.7")
    finish(start(data_dir, tmp_path / "run", 12, processes=2))
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)


@pytest.mark.parametrize("kind", ["google_bucket", "s3_bucket"])
def test_one_goes_on_as_two_and_as_one_in_a_bucket(
    request: pytest.FixtureRequest, data_dir: Path, alone: Path, tmp_path: Path, kind: str
):
    bucket = path_of(request.getfixturevalue(kind))
    publish_store(data_dir / "stores" / "pairs", bucket / "data" / "stores")
    for number, (steps, processes) in enumerate(((3, 1), (9, 2), (12, 1))):
        finish(start(bucket / "data", bucket / "run", steps, processes, batches=str(tmp_path / f"batches_{number}")))
    assert losses(bucket / "run") == pytest.approx(losses(alone), rel=1e-5)


@pytest.mark.parametrize(("count", "victim"), [(2, 0), (2, 1), (4, 0), (4, 2)])
def test_when_one_dies_the_others_end_with_a_line_that_says_which_and_go_on(
    data_dir: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, victim: int
):
    monkeypatch.setenv("SLOW", f"{count - 1} 0.5")
    processes = start(data_dir, tmp_path / "run", 12, processes=count)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "run").glob("checkpoints/3/_CHECKPOINT_METADATA")) and time.monotonic() < deadline:
        time.sleep(0.1)
    processes[victim].send_signal(signal.SIGKILL)
    began = time.monotonic()
    for number, process in enumerate(processes):
        _, stderr = process.communicate(timeout=30)
        if number != victim:
            assert process.returncode == 2
            *_, line = stderr.splitlines()
            assert line.startswith(f"t5music: error: process {victim} of {count} (on ")
            assert stderr.count("error") == 1, "and no stack of JAX's"
    assert time.monotonic() - began < 30
    monkeypatch.delenv("SLOW")
    finish(start(data_dir, tmp_path / "run", 12, processes=2, batches=str(tmp_path / "batches")))
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)


def test_a_second_run_in_the_folder_is_refused_by_all_its_processes(data_dir: Path, alone: Path):
    with other_process(alone / ".lock") as other:
        for process in start(data_dir, alone, 24, processes=2):
            _, stderr = process.communicate(timeout=300)
            assert process.returncode == 2
            lines = [line for line in stderr.splitlines() if line.startswith("t5music: error: ")]
            assert len(lines) == 1
            assert " is being written by " in lines[0]
        assert other.poll() is None
