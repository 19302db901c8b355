"""Saving: what stays on disk, and a disk that is full, small or not there."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5music.errors import CheckpointError
from t5music.training.checkpoints import save
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.train_state import TrainState, empty_window

METADATA = {"config": {"d_model": 2}, "version": "1"}


def state_of(step, size=4):
    return TrainState(
        step=jnp.int32(step),
        params={"layers": {0: {"w": jnp.arange(size) * step / 3}}},
        opt_state=(jnp.ones(3), ()),
        key=jnp.zeros(2, jnp.uint32),
        window=jax.tree.map(jnp.asarray, empty_window()),
    )


def target_of(state):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)


def steps_in(checkpoints):
    return sorted(int(path.name) for path in checkpoints.folder.iterdir())


def test_what_is_saved_is_restored_with_its_types(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    state = state_of(7)
    checkpoints.save(state, {"loader": {"next": [1, 2]}, "best_step": None}, METADATA, best_step=None)
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore(target_of(state), METADATA)
    assert restored.position == {"loader": {"next": [1, 2]}, "best_step": None}
    assert jax.tree.structure(restored.state) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored.state, state)
    assert jax.tree.map(lambda x: x.dtype, restored.state) == jax.tree.map(lambda x: x.dtype, state)


def test_buffers_may_be_overwritten_once_save_returns(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    overwrite = jax.jit(lambda state: jax.tree.map(lambda x: x * 0, state), donate_argnums=0)
    state = state_of(1, size=1_000_000)
    expected = np.array(state.params["layers"][0]["w"])
    checkpoints.save(state, {}, METADATA, best_step=None)
    zeros = overwrite(state)
    restored = checkpoints.restore(target_of(zeros), METADATA)
    np.testing.assert_array_equal(restored.state.params["layers"][0]["w"], expected)


def test_the_last_ones_and_the_best_one_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step, best in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 2)]:
        checkpoints.save(state_of(step), {}, METADATA, best_step=best)
    checkpoints.wait()
    assert steps_in(checkpoints) == [2, 4, 5]


def test_a_step_that_is_there_is_left_as_it_is(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for size in (4, 5):
        checkpoints.save(state_of(1, size), {}, METADATA, best_step=None)
    assert checkpoints.restore(target_of(state_of(1)), METADATA).state.params["layers"][0]["w"].shape == (4,)


def test_every_checkpoint_damaged_is_an_error_and_not_a_new_start(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), {}, METADATA, best_step=None)
    checkpoints.close()
    (checkpoints.folder / "1" / "digests.json").unlink()
    with pytest.raises(CheckpointError, match=r"every checkpoint .* is damaged \(step 1: digests.json is missing"):
        Checkpoints(tmp_path)
    assert steps_in(checkpoints) == [1]


def test_a_disk_without_room_is_refused_before_writing(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), {}, METADATA, best_step=None)
    checkpoints.wait()
    usage = save.shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(save.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(CheckpointError, match=r"0 MB are free on that disk \(the checkpoint of step 1 is kept\)"):
        checkpoints.save(state_of(2), {}, METADATA, best_step=None)
    assert steps_in(checkpoints) == [1]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write checkpoints into .*file/run"):
        Checkpoints(tmp_path / "file" / "run")


WRITE_FAILS = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_save as t
checkpoints = t.Checkpoints(sys.argv[2], keep=1)
checkpoints.save(t.state_of(1, 100_000), {}, t.METADATA, best_step=None)
checkpoints.wait()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, -1))  # every write beyond 4 KB of a file fails
try:
    checkpoints.save(t.state_of(2, 100_000), {}, t.METADATA, best_step=None)
    checkpoints.wait()
except t.CheckpointError as error:
    print(error)
"""


def test_a_write_that_fails_leaves_the_earlier_checkpoint(tmp_path):
    folder = str(__file__).rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", WRITE_FAILS, folder, tmp_path], capture_output=True, text=True)
    assert "cannot save a checkpoint into" in done.stdout
    assert "the checkpoint of step 1 is kept" in done.stdout
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore(target_of(state_of(1, 100_000)), METADATA).state.step == 1
