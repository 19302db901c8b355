"""kill -9 at twenty random moments of one run's life, eleven of them while a checkpoint is being written."""

import multiprocessing
import os
import signal
import threading
import time

import jax
import numpy as np
import pytest
import tiny_runs
from tiny_runs import assert_same_run

from t5music.training.checkpoints import layout
from t5music.training.checkpoints.checkpoint import Checkpoint

KILLS = 20
SETTINGS = {"save_period": 1, "log_period": 3, "eval_period": 2, "keep": 2}
MOST_STEPS = 10_000  # more than any of these processes lives to see
MOST_WAIT = 300  # seconds


def unfinished(folder):
    """The checkpoints that are being written, or whose writing was cut off."""
    return {path.name for path in (folder / "checkpoints").glob("*.orbax-checkpoint-tmp*")}


def run_until_killed(folder, begun, writes, delay):
    """The body of a process: trains; with `writes`, dies `delay` seconds after that many checkpoints were begun."""

    def die_writing(before):
        seen = set()
        while len(seen) < writes:
            time.sleep(0.0005)
            seen |= unfinished(folder) - before
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    if writes:
        threading.Thread(target=die_writing, args=(unfinished(folder),), daemon=True).start()
    begun.send(True)
    tiny_runs.train(folder, MOST_STEPS, **SETTINGS)


def latest(folder):
    return max(layout.steps_of(folder / "checkpoints"), default=0)


@pytest.mark.slow
def test_killed_at_twenty_moments_and_resumed_is_never_killed(tmp_path):
    rng = np.random.default_rng()
    folder = tmp_path / "killed"
    # Processes begin as copies of one that has imported everything and has not yet made JAX look for devices.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["t5music.training.loop", "t5music.evaluation.likelihood"])

    died: list[tuple[int, int]] = []
    shortest = float(MOST_WAIT)  # seconds that a process lived that was to die while writing
    for number in range(KILLS):
        writing = number < 2 or number % 2 == 1
        begun, tell = context.Pipe(duplex=False)
        moment = (int(rng.integers(1, 5)), rng.uniform(0, 0.1)) if writing else (0, 0.0)
        process = context.Process(target=run_until_killed, args=(folder, tell, *moment), daemon=True)
        process.start()
        assert begun.poll(MOST_WAIT)
        start = time.monotonic()
        if not writing:
            time.sleep(rng.uniform(0, 2 * shortest))
            process.kill()
        process.join(MOST_WAIT)
        assert process.exitcode == -signal.SIGKILL
        shortest = min(shortest, time.monotonic() - start) if writing else shortest
        died.append((latest(folder), len(unfinished(folder))))
    print("latest step and unfinished checkpoints at each death:", died)
    assert sum(cut for _, cut in died) >= KILLS // 5, "hardly any was killed while writing"

    steps = latest(folder) + 3
    killed = tiny_runs.train(folder, steps, **SETTINGS)
    whole = tmp_path / "whole"
    assert_same_run(folder, killed, (whole, tiny_runs.train(whole, steps, **SETTINGS)))
    names = [sorted(path.name for path in (run / "checkpoints").iterdir()) for run in (folder, whole)]
    assert names[0] == names[1], "nothing was damaged and nothing half written is left"
    for step in names[0]:
        both = [Checkpoint.open(run / "checkpoints" / step).params(tiny_runs.CONFIG) for run in (folder, whole)]
        jax.tree.map(np.testing.assert_array_equal, *both)
