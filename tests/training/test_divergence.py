"""A loss or gradient that is no number: the step leaves the state alone, the run keeps it and names what it met."""

import json

import jax
import numpy as np
import pytest
import tiny_runs
from tiny_runs import STEPS, Batches, params, train

from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.divergence import DivergenceError
from t5music.training.metric_writers import read_metrics

POISONED = 7


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """A run whose 7th batch has a weight that is no number: (folder, error)."""
    folder = tmp_path_factory.mktemp("diverged")
    with pytest.raises(DivergenceError) as caught:
        train(folder, STEPS, Batches(poison=POISONED), save_period=5, eval_period=4)
    return folder, str(caught.value)


def test_the_error_names_the_step_and_leaves_its_batch(diverged):
    folder, error = diverged
    assert f"not finite at step {POISONED} of {folder}" in error
    assert "(4 of first)" in error
    path = folder / "diverged" / f"step_{POISONED}.npz"
    assert str(path) in error
    left, expected = np.load(path), tiny_runs.batch(POISONED)
    assert np.isnan(left["decoder_loss_weights"]).any()
    np.testing.assert_array_equal(left["encoder_input_tokens"], expected["encoder_input_tokens"])
    described = json.loads(path.with_suffix(".json").read_text())
    assert described == {"step": POISONED, "tasks": {"first": 4, "second": 0}}


def test_the_state_before_the_batch_is_kept(diverged):
    folder, _ = diverged
    assert Checkpoint.open(folder).step == POISONED - 1
    assert [line["step"] for line in read_metrics(folder / "metrics.jsonl")] == [3, 4, 6]
    assert not (folder / "finished.json").exists()


def test_the_same_run_meets_the_same_batch_again(diverged):
    folder, error = diverged
    with pytest.raises(DivergenceError) as caught:
        train(folder, STEPS, Batches(poison=POISONED))
    assert str(caught.value) == error


def test_a_run_whose_batch_was_mended_goes_on_as_if_nothing_had_happened(diverged, uninterrupted):
    folder, _ = diverged
    expected_folder, expected = uninterrupted
    result = train(folder, STEPS)
    jax.tree.map(np.testing.assert_array_equal, params(result), params(expected))
    assert (folder / "metrics.jsonl").read_bytes() == (expected_folder / "metrics.jsonl").read_bytes()


def test_the_first_step_may_be_bad(tmp_path):
    with pytest.raises(DivergenceError, match="not finite at step 1 "):
        train(tmp_path, STEPS, Batches(poison=1), evaluations={})
    assert Checkpoint.open(tmp_path).step == 0
    weights = Checkpoint.open(tmp_path).params(tiny_runs.CONFIG)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights))
