"""Speeds by a clock that stands still, and profiles that disturb nothing."""

import gzip
import json

import numpy as np
import pytest
import tiny_runs
from tiny_runs import assert_same_run, train

from t5music.errors import ConfigError
from t5music.training import profiling, progress, train_state


@pytest.fixture
def clock(monkeypatch):
    """A Clock begun at step 10, and a function that lets seconds pass."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])

    def passed(seconds):
        now[0] += seconds

    return progress.Clock(10), passed


def window(**sums):
    zeros = train_state.empty_window()
    return train_state.Window(**{**vars(zeros), **{name: np.float32(value) for name, value in sums.items()}})


def test_speeds_are_of_the_steps_since_the_last_lap(clock):
    ticking, passed = clock
    passed(4.0)
    # The window began before the clock did: its means per step count, not its sums.
    speeds = ticking.lap(14, window(steps=5, tokens=500, input_tokens=1500), 3e9, None)
    assert speeds == {"steps_per_second": 1.0, "tokens_per_second": 400.0, "flops_per_second": 3e9}
    passed(1.0)
    speeds = ticking.lap(16, window(steps=2, tokens=200), 3e9, 12e9)
    assert speeds["steps_per_second"] == 2.0
    assert speeds["utilisation"] == 0.5


def test_no_step_has_no_speed(clock):
    ticking, passed = clock
    passed(1.0)
    assert ticking.lap(10, window(), 3e9, 12e9) == {}


def test_examples_are_counted_by_task():
    batches = tiny_runs.Batches()
    for _ in range(3):
        next(batches)
    assert progress.count_examples(batches) == {"examples/first": 8.0, "examples/second": 4.0}
    assert progress.count_examples(iter(())) == {}


@pytest.mark.slow
def test_a_profile_of_some_steps_can_be_viewed_and_changes_nothing(tmp_path, uninterrupted):
    result = train(tmp_path, profile_steps=(3, 2))
    assert_same_run(tmp_path, result, uninterrupted)
    (trace,) = (tmp_path / "profile").rglob("*.trace.json.gz")
    names = {event.get("name") for event in json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]}
    assert any("PjitFunction(step)" in str(name) for name in names)
    assert list(trace.parent.glob("*.xplane.pb")), "what TensorBoard reads"


def test_a_profile_ends_with_the_run(tmp_path):
    profile = profiling.Profile(tmp_path, (2, 10))
    for step in (1, 2, 3):
        profile.before(step, ())
        profile.after(step, ())
    profile.close()
    profile.close()
    assert len(list((tmp_path / "profile").rglob("*.xplane.pb"))) == 1


@pytest.mark.parametrize("steps", [(0, 1), (3, 0)])
def test_a_profile_of_no_steps_is_a_config_error(tmp_path, steps):
    with pytest.raises(ConfigError, match="profile_steps is"):
        train(tmp_path, profile_steps=steps)
