"""Averages of checkpoints against numpy, what they are read by, and what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny_runs
from flax import nnx

from t5music.errors import CheckpointError, ConfigError
from t5music.model import parameters
from t5music.training.checkpoints import average, selection
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.train_state import TrainState


@pytest.fixture(scope="module")
def averaged(uninterrupted, tmp_path_factory):
    """The mean of all three checkpoints of a run: (its folder, theirs)."""
    run, _ = uninterrupted
    output = tmp_path_factory.mktemp("averaged") / "mean"
    sources = average.sources([run], last=3)
    assert average.average(sources, output) == tiny_runs.STEPS
    return output, sources


def test_an_average_is_the_mean_rounded_once(averaged):
    output, sources = averaged
    assert [source.step for source in sources] == [8, 10, 12]
    loaded = [source.params() for source in sources]

    def mean(*leaves):
        return np.mean([np.asarray(leaf, np.float64) for leaf in leaves], axis=0).astype(np.float32)

    jax.tree.map(
        np.testing.assert_array_equal, Checkpoint.open(output).params(tiny_runs.CONFIG), jax.tree.map(mean, *loaded)
    )


def test_it_says_what_it_is_of_and_keeps_the_rest(averaged, uninterrupted):
    output, sources = averaged
    run, _ = uninterrupted
    names = [str(source.folder) for source in sources]
    expected = {**Checkpoint.open(run).metadata.content, "trained_on": [], "average_of": names}
    assert Checkpoint.open(output).metadata.content == expected


def test_training_starts_from_it_and_does_not_go_on_with_it(averaged, tmp_path):
    output, _ = averaged
    params = Checkpoint.open(output).params()
    assert tiny_runs.train(tmp_path, 1, initial_params=lambda: params, evaluations={}).step == 1
    with pytest.raises(CheckpointError, match="average_of"):
        tiny_runs.train(output)


def test_one_checkpoint_of_each_run(uninterrupted, tmp_path):
    run, _ = uninterrupted
    sources = average.sources([run, run / "checkpoints" / "8"], checkpoint="latest")
    assert [source.step for source in sources] == [12, 8]
    assert [source.step for source in average.sources([run, run], checkpoint="best")] == [12, 12]
    assert [source.step for source in average.sources([run, run], checkpoint=10)] == [10, 10]


def test_a_checkpoint_is_chosen_by_name_or_step(uninterrupted):
    run, result = uninterrupted
    assert selection.step_folder(run) == run / "checkpoints" / "12"
    assert selection.step_folder(run, "best") == run / "checkpoints" / str(result.best_step)
    assert selection.step_folder(run / "checkpoints", "8") == run / "checkpoints" / "8"
    with pytest.raises(CheckpointError, match="no checkpoint of step 9; there are: 8, 10, 12"):
        selection.step_folder(run, 9)
    with pytest.raises(ConfigError, match="checkpoint is 'lastest'; it must be 'latest', 'best' or"):
        selection.step_folder(run, "lastest")


def test_what_cannot_be_averaged_is_refused(averaged, uninterrupted, tmp_path):
    run, _ = uninterrupted
    output, sources = averaged
    with pytest.raises(CheckpointError, match=r"--last 4: .* has 3 checkpoints \(8, 10, 12\)"):
        average.sources([run], last=4)
    with pytest.raises(ConfigError, match="two checkpoints or more"):
        average.sources([run])
    with pytest.raises(ConfigError, match="exists: choose another name by --output, or replace it by --force"):
        average.average(sources, output)
    with pytest.raises(ConfigError, match="which is averaged: choose another name"):
        average.average(sources, run, force=True)
    before = Checkpoint.open(output).params()
    average.average(sources, output, force=True)
    jax.tree.map(np.testing.assert_array_equal, Checkpoint.open(output).params(), before)
    config = dataclasses.replace(tiny_runs.CONFIG, d_ff=48)
    _, params = parameters.initialise(config, jax.random.key(0))
    checkpoints = Checkpoints(tmp_path / "other")
    other = TrainState(np.asarray(1), nnx.to_pure_dict(params), (), np.zeros(2), np.zeros(1))
    checkpoints.save(other, {}, {**Checkpoint.open(run).metadata.content, "config": config.to_dict()}, best_step=None)
    checkpoints.close()
    with pytest.raises(
        CheckpointError, match=r"another model: decoder.layers.mlp.wi is .*48.* there and .*32.* in this"
    ):
        average.average([Checkpoint.open(run), Checkpoint.open(tmp_path / "other")], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
