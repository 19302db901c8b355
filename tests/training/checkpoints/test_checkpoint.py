"""Reading checkpoints back: what is found, what may differ, and what each refusal says."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
import tiny_runs
from flax import nnx
from jax.sharding import PartitionSpec

from t5music.errors import CheckpointError
from t5music.model import sharding
from t5music.training import train_state
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.save import Checkpoints


def same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_run_s_folder_gives_its_latest_parameters(uninterrupted):
    folder, result = uninterrupted
    expected = nnx.to_pure_dict(nnx.state(result.model))
    same(Checkpoint.open(folder).params(), expected)
    same(Checkpoint.open(str(folder / "checkpoints")).params(tiny_runs.CONFIG), expected)


def test_a_step_s_folder_gives_that_step(uninterrupted):
    folder, _ = uninterrupted
    assert Checkpoint.open(folder / "checkpoints" / "8").step == 8
    earlier = Checkpoint.open(folder / "checkpoints" / "8").params(tiny_runs.CONFIG)
    assert not np.array_equal(earlier["embedding"], Checkpoint.open(folder).params(tiny_runs.CONFIG)["embedding"])


def test_a_relative_path_will_do(uninterrupted, monkeypatch):
    folder, _ = uninterrupted
    monkeypatch.chdir(folder)
    assert Checkpoint.open("checkpoints/10").step == 10
    Checkpoint.open(".").params(tiny_runs.CONFIG)


def test_dropout_dtype_and_rematerialisation_may_differ(uninterrupted):
    folder, _ = uninterrupted
    other = dataclasses.replace(tiny_runs.CONFIG, dropout_rate=0.0, dtype="bfloat16", remat_policy="full")
    same(Checkpoint.open(folder).params(other), Checkpoint.open(folder).params(tiny_runs.CONFIG))


def test_scanned_layers_are_given_unrolled_and_back(uninterrupted, tmp_path):
    folder, result = uninterrupted
    unrolled = dataclasses.replace(tiny_runs.CONFIG, scan_layers=False)
    weights = Checkpoint.open(folder).params(unrolled)
    scanned = nnx.to_pure_dict(nnx.state(result.model))["decoder"]["layers"]
    same(weights["decoder"]["layers"][0], jax.tree.map(lambda leaf: leaf[0], scanned))
    checkpoints = Checkpoints(tmp_path)
    metadata = {**Checkpoint.open(folder).metadata.content, "config": unrolled.to_dict()}
    checkpoints.save(
        train_state.TrainState(np.asarray(1), weights, (), np.zeros(2), np.zeros(1)), {}, metadata, best_step=None
    )
    checkpoints.close()
    same(Checkpoint.open(tmp_path).params(tiny_runs.CONFIG), Checkpoint.open(folder).params(tiny_runs.CONFIG))


def test_parameters_go_where_the_mesh_says(uninterrupted):
    folder, _ = uninterrupted
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    loaded = Checkpoint.open(folder).params(tiny_runs.CONFIG, mesh=mesh)
    assert loaded["embedding"].sharding.mesh == mesh
    assert loaded["embedding"].sharding.spec == PartitionSpec("tensor", "fsdp")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"vocab_size": 256}, r"embedding is \[128, 16\] there and \[256, 16\] in this model"),
        ({"version": "v1.1"}, r"mlp.wi_0 is missing there and \[1, 16, 32\] in this model"),
        ({"relative_attention_max_distance": 64}, r"relative_attention_max_distance is 128 there and 64 in this model"),
    ],
)
def test_another_model_is_refused_by_its_first_difference(uninterrupted, change, named):
    folder, _ = uninterrupted
    with pytest.raises(CheckpointError, match=named):
        Checkpoint.open(folder).params(dataclasses.replace(tiny_runs.CONFIG, **change))


def test_another_vocabulary_is_refused_by_both_fingerprints(uninterrupted):
    folder, _ = uninterrupted
    with pytest.raises(CheckpointError, match=r"0123abcd.*ffff"):
        Checkpoint.open(folder).require_vocabulary("ffff")


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_folder_without_checkpoints_says_what_to_give(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=f"no checkpoint at .*{name}; give the MODEL_DIR"):
        Checkpoint.open(tmp_path / name)


def test_a_run_without_evaluation_has_no_best(uninterrupted, tmp_path):
    folder, _ = uninterrupted
    shutil.copytree(folder / "checkpoints" / "12", tmp_path / "12")
    (tmp_path / "12/position/metadata").write_text('{"loader": {}, "best_step": null}')
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        Checkpoint.open(tmp_path, "best")


@pytest.mark.parametrize("damage", ["missing", "short", "changed", "metadata"])
def test_a_damaged_checkpoint_names_the_file(uninterrupted, tmp_path, damage):
    folder, _ = uninterrupted
    shutil.copytree(folder / "checkpoints" / "12", tmp_path / "12")
    victim = max((tmp_path / "12" / "params").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    if damage == "missing":
        victim.unlink()
    elif damage == "short":
        victim.write_bytes(content[:-1])
    elif damage == "changed":
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    else:
        victim = tmp_path / "12/metadata/metadata"
        victim.write_text("{")
    with pytest.raises(CheckpointError, match=f"12 cannot be read: .*{victim.name}.*another step"):
        Checkpoint.open(tmp_path).params(tiny_runs.CONFIG)
