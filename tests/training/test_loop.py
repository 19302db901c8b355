"""Whole tiny runs: killed and resumed against never killed, stop conditions, and everything that must be refused."""

import dataclasses
import json
import re
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_runs
from tiny_runs import STEPS, Batches, assert_same_run, params, train

from t5music.errors import CheckpointError, ConfigError, DataError
from t5music.training import active_run, loop, optimizers, schedules
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.metric_writers import read_metrics


def test_a_run_learns_and_writes_what_it_did(uninterrupted):
    folder, result = uninterrupted
    lines = read_metrics(folder / "metrics.jsonl")
    assert [line["step"] for line in lines] == [3, 4, 6, 8, 9, 12]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 1
    assert lines[-1]["validation/loss"] == result.metrics["validation/loss"]
    assert [(line["examples/first"], line["examples/second"]) for line in lines if "loss" in line] == [
        (8, 4),
        (12, 12),
        (20, 16),
        (24, 24),
    ]
    assert json.loads((folder / loop.FINISHED_FILE).read_text()) == {"step": STEPS, "best_step": STEPS}
    assert result.best_step == STEPS
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"8", "10", "12"}
    checkpoint = Checkpoint.open(folder)
    assert (checkpoint.step, checkpoint.metadata.task, checkpoint.config) == (STEPS, "random", tiny_runs.CONFIG)


def test_stopped_by_a_signal_and_resumed_is_never_stopped(tmp_path, uninterrupted):
    with pytest.raises(loop.Interrupted, match=f"step 4 of {STEPS}"):
        train(tmp_path, STEPS, Batches(stop_at=4))  # at an evaluation, and between two lines of metrics
    assert Checkpoint.open(tmp_path).step == 4
    assert_same_run(tmp_path, train(tmp_path, STEPS), uninterrupted)


def test_told_to_stop_and_resumed_is_never_stopped(tmp_path, uninterrupted):
    steps = []

    def stops(step):
        steps.append(step)
        return step == 7

    with pytest.raises(loop.Interrupted, match=f"step 7 of {STEPS}"):
        train(tmp_path, STEPS, stops=stops)
    assert Checkpoint.open(tmp_path).step == 7
    assert_same_run(tmp_path, train(tmp_path, STEPS, stops=lambda step: steps.append(step)), uninterrupted)
    assert steps == list(range(1, STEPS)), "after every step but the last, when there is nothing left to stop"


def test_killed_at_a_random_step_and_resumed_is_never_killed(tmp_path, uninterrupted):
    kill_at = np.random.default_rng().integers(1, STEPS)
    command = [sys.executable, tiny_runs.__file__, tmp_path, str(STEPS), str(kill_at)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "[]\n"  # neither TensorFlow nor the like was imported on the way
    assert_same_run(tmp_path, train(tmp_path, STEPS), uninterrupted)


def test_a_damaged_last_checkpoint_is_set_aside_and_made_again(tmp_path, uninterrupted, caplog):
    with pytest.raises(loop.Interrupted):
        train(tmp_path, STEPS, Batches(stop_at=7))
    largest = max((tmp_path / "checkpoints/7/params").rglob("*"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-10])
    result = train(tmp_path, STEPS)
    assert "7 is damaged" in caplog.text
    assert_same_run(tmp_path, result, uninterrupted)


def test_a_finished_run_called_again_does_nothing(uninterrupted):
    folder, expected = uninterrupted
    before = (folder / "metrics.jsonl").read_bytes()
    result = train(folder, STEPS, Batches(end=0))
    assert (result.step, result.best_step, result.metrics) == (STEPS, expected.best_step, {})
    jax.tree.map(np.testing.assert_array_equal, params(result), params(expected))
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_starts_from_given_parameters_without_taking_them_away(tmp_path, uninterrupted):
    folder, _ = uninterrupted
    initial = Checkpoint.open(folder).params()
    started = train(tmp_path, 3, initial_params=lambda: initial)
    assert started.step == 3
    scratch = read_metrics(folder / "metrics.jsonl")[0]["loss"]
    assert read_metrics(tmp_path / "metrics.jsonl")[0]["loss"] < scratch - 1
    jax.tree.map(np.asarray, initial)  # still there


def test_the_best_checkpoint_outlives_the_last_ones(tmp_path):
    losses = iter([3.0, 1.0, 2.0, float("nan")])
    evaluations = {"validation": lambda model: {"loss": next(losses)}}
    result = train(tmp_path, 8, evaluations=evaluations, eval_period=2, save_period=1, keep=1)
    assert result.best_step == 4
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"4", "8"}
    assert Checkpoint.open(tmp_path, "best").step == 4
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["validation/loss"] is None


def test_patience_stops_early_and_for_good(tmp_path):
    scores = iter([1.0, 5.0, 4.0, 3.0, 9.0])
    arguments = {
        "evaluations": {"test": lambda model: {"score": next(scores)}},
        "best_metric": "test/score",
        "higher_is_better": True,
        "eval_period": 2,
        "patience": 2,
    }
    for _ in range(2):  # the second time the run is resumed, and its patience is still at an end
        result = train(tmp_path, STEPS, **arguments)
        assert (result.step, result.best_step) == (8, 4)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": dataclasses.replace(tiny_runs.CONFIG, d_ff=64)}, r"config.d_ff is 32 there and 64 here"),
        ({"metadata": {**tiny_runs.METADATA, "task": "other"}}, r"task is random there and other here"),
        (
            {"metadata": {"task": "random", "vocabulary": {"fingerprint": "ffff", "size": 100}}},
            r"vocabulary.fingerprint is 0123abcd there and ffff here",
        ),
        ({"seed": 1}, r"seed is 0 there and 1 here"),
        ({"optimizer": optimizers.adamw(schedules.constant())}, r"optimizer.name is adafactor there and adamw here"),
    ],
)
def test_another_run_s_folder_is_refused_by_name(uninterrupted, change, named):
    folder, _ = uninterrupted
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(CheckpointError, match=named):
        train(folder, STEPS, **change)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_batches_that_end_are_a_data_error(uninterrupted):
    folder, _ = uninterrupted
    with pytest.raises(DataError, match="ended at step 12 of 13"):
        train(folder, STEPS + 1, Batches(end=STEPS))


def test_an_unknown_best_metric_suggests_the_nearest(tmp_path):
    evaluations = {"validation": lambda model: {"loss": 1.0, "accuracy": 0.5}}
    with pytest.raises(ConfigError, match="did you mean 'validation/accuracy'"):
        train(tmp_path, 1, evaluations=evaluations, best_metric="validation/acuracy")


def test_a_period_of_nothing_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="log_period"):
        train(tmp_path, 1, log_period=0)


def test_timing_is_kept_apart(uninterrupted):
    folder, _ = uninterrupted
    timing = read_metrics(folder / "timing.jsonl")
    assert [line["step"] for line in timing] == [3, 6, 9, 12]
    assert all(line["steps_per_second"] > 0 and line["tokens_per_second"] > 0 for line in timing)
    assert not any("per_second" in key for line in read_metrics(folder / "metrics.jsonl") for key in line)


def test_pictures_and_the_progress_bar_change_nothing_and_say_what_is_done(tmp_path, uninterrupted, capsys):
    drawn = []

    def illustration(model, step):
        losses = [line["validation/loss"] for line in read_metrics(tmp_path / "metrics.jsonl") if line["step"] == step]
        drawn.append((step, len(losses), model.config.d_model))

    result = train(tmp_path, illustration=illustration, progress=True, batches=Batches())
    assert_same_run(tmp_path, result, uninterrupted)
    assert drawn == [(step, 1, tiny_runs.CONFIG.d_model) for step in (4, 8, 12)]
    text = capsys.readouterr().err
    assert "compiling" in text
    assert re.search(r" 1/12 [^\r]*loss \d+\.\d{3}\]", text), "the first step has a loss at once"
    after = text[text.index("12/12") :]
    assert re.search(r"loss [^\r]*, evaluating\]", after)
    assert re.search(r"loss [^\r]*, saving\]", after)


def test_a_slow_step_shows_its_loss(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(active_run, "LOSS_SECONDS", 0.0)
    train(tmp_path, 4, log_period=100, eval_period=100, progress=True)
    assert len(set(re.findall(r"loss (\d+\.\d{3})\]", capsys.readouterr().err))) >= 3


@pytest.mark.parametrize("kind", ["adafactor", pytest.param("adamw", marks=pytest.mark.slow)])
def test_a_run_that_goes_on_with_the_moments_of_another_is_that_one_uninterrupted(tmp_path, kind):
    """Five steps, then three in a run of its own, against eight: the same parameters and optimizer state to the bit."""
    config = dataclasses.replace(tiny_runs.CONFIG, dropout_rate=0.0)
    optimizer = getattr(optimizers, kind)(schedules.constant(0.05))
    settings = {"config": config, "optimizer": optimizer, "evaluations": {}}
    whole = train(tmp_path / "whole", 8, **settings)
    train(tmp_path / "first", 5, **settings)
    first = Checkpoint.open(tmp_path / "first")
    rest = tiny_runs.Batches()
    rest.set_state({"next": 5})
    initial = {"initial_params": lambda: first.params(config)}
    second = train(tmp_path / "second", 3, rest, initial_opt_state=first.opt_state, **initial, **settings)
    jax.tree.map(np.testing.assert_array_equal, tiny_runs.params(second), tiny_runs.params(whole))

    def opt_state(run):
        arrays = Checkpoint.open(tmp_path / run)._restore("state", None)["opt_state"]
        return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(arrays)}

    there, here = opt_state("whole"), opt_state("second")
    differing = [name for name in there if not np.array_equal(there[name], here[name])]
    assert len(there) > 10
    assert [(int(there[name]), int(here[name])) for name in differing] == [(8, 3)]  # updates at this run's rate
    without = tiny_runs.Batches()
    without.set_state({"next": 5})
    empty = train(tmp_path / "empty", 3, without, **initial, **settings)
    pairs = zip(jax.tree.leaves(tiny_runs.params(empty)), jax.tree.leaves(tiny_runs.params(whole)), strict=True)
    assert any((a != b).any() for a, b in pairs)


def test_the_state_of_another_optimizer_is_refused(tmp_path):
    train(tmp_path / "first", 2, evaluations={})
    first = Checkpoint.open(tmp_path / "first")
    with pytest.raises(CheckpointError, match=r"another optimizer .* there and .* here; leave InitialModel.optimizer_"):
        train(
            tmp_path / "second",
            2,
            optimizer=optimizers.adamw(schedules.constant(0.01)),
            initial_opt_state=first.opt_state,
            evaluations={},
        )
