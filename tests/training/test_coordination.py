"""Stopping by signals, and putting the positions of several processes together."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lock_holders import other_process

from t5music import locks
from t5music.errors import CheckpointError
from t5music.training import coordination


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT interrupts, also where the tests run in the background and a shell has made them ignore it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.mark.usefixtures("interrupts")
def test_the_first_signal_asks_and_the_second_one_interrupts():
    with coordination.stop_signals() as stop:
        assert not coordination.agreed(stop, settle=True)
        signal.raise_signal(signal.SIGINT)
        assert coordination.agreed(stop, settle=False)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with coordination.stop_signals():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_leaves_signals_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def run():
        with coordination.stop_signals() as stop:
            seen.append((signal.getsignal(signal.SIGTERM), stop.is_set()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


def test_positions_of_processes_are_put_together():
    positions = [
        {"signature": {"seed": 1}, "lanes": {"0": {"draws": [3]}, "1": {"draws": [4]}}},
        {"signature": {"seed": 1}, "lanes": {"2": {"draws": [5]}}},
    ]
    lanes = {"0": {"draws": [3]}, "1": {"draws": [4]}, "2": {"draws": [5]}}
    assert coordination.union(positions) == {"signature": {"seed": 1}, "lanes": lanes}
    assert coordination.gather(positions[0]) == positions[:1]


TWO_PROCESSES = """
import sys
import jax
folder, port, rank, model_dir, stop_at = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", num_processes=2, process_id=int(rank))
sys.path.insert(0, folder)
import tiny_runs
from t5music.training.loop import Interrupted

class Batches(tiny_runs.Batches):
    def __next__(self):
        return {name: rows[int(rank) * 2 :][:2] for name, rows in super().__next__().items()}

    def get_state(self):
        return {"lanes": {rank: self.position}}

    def set_state(self, state):
        assert set(state["lanes"]) == {"0", "1"}
        self.position = state["lanes"][rank]

try:
    result = tiny_runs.train(model_dir, batches=Batches(stop_at=int(stop_at) if rank == "0" else None))
    print(result.metrics["validation/loss"])
except Interrupted as interrupted:
    print(interrupted)
"""


@pytest.mark.slow
def test_two_processes_train_as_one_and_stop_together(tmp_path, uninterrupted):
    _, expected = uninterrupted

    def run(stop_at):
        with socket.socket() as found:
            found.bind(("localhost", 0))
            port = found.getsockname()[1]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", TWO_PROCESSES, Path(__file__).parent, str(port), rank, tmp_path, str(stop_at)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in "01"
        ]
        return [process.communicate(timeout=300)[0].splitlines()[-1] for process in processes]

    # The signal reaches one of them at step 7; they agree on it at the next line of metrics.
    assert run(stop_at=7) == ["stopped at step 9 of 12; the same command goes on from there"] * 2
    for loss in run(stop_at=-1):
        assert float(loss) == pytest.approx(expected.metrics["validation/loss"], rel=1e-5)


def test_a_second_run_in_a_folder_is_refused_and_the_lock_of_a_dead_one_taken_over(tmp_path: Path):
    with other_process(tmp_path / locks.FILE) as other:
        with (
            pytest.raises(CheckpointError, match=f"{tmp_path} is being written by process {other.pid} on .*, since 2"),
            coordination.only_run(tmp_path),
        ):
            pytest.fail("it is not ours")
        other.kill()
        other.wait()
        with coordination.only_run(tmp_path):
            assert str(locks.holder(tmp_path / locks.FILE)).startswith("process ")
    assert list(tmp_path.iterdir()) == []
