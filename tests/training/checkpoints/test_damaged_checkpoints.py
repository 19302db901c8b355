"""Checkpoints of strangers: whatever their files say, they are read or refused in one line that names the place."""

import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_runs
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import DELETED, damage, faults, mutated, refusal, replaced

from t5music.errors import CheckpointError
from t5music.model import parameters
from t5music.training.checkpoints import digests
from t5music.training.checkpoints.checkpoint import Checkpoint
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.train_state import TrainState

METADATA = "metadata/metadata"
EXAMPLES = 40  # several thousand were tried once


def write(folder: Path, params: dict, **changes) -> Path:
    """A run's folder with one checkpoint, of step 3; returns the step's folder."""
    metadata = {**tiny_runs.METADATA, "config": tiny_runs.CONFIG.to_dict(), **changes}
    checkpoints = Checkpoints(folder)
    checkpoints.save(
        TrainState(np.asarray(3), params, (), np.zeros(2), np.zeros(1)), {"best_step": 3}, metadata, best_step=3
    )
    checkpoints.close()
    return folder / "checkpoints" / "3"


def fresh_params(config=tiny_runs.CONFIG) -> dict:
    shapes = nnx.to_pure_dict(parameters.abstract(config)[1])
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("whole"), fresh_params())


@pytest.fixture
def step(whole, tmp_path) -> Path:
    """A copy of a step's folder, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "3"))


def change(step: Path, *path, value, seal: bool = True) -> None:
    """Puts another value into the metadata and, as a stranger can, makes the digests fit."""
    content = json.loads((step / METADATA).read_text())
    (step / METADATA).write_text(json.dumps(replaced(content, path, value)))
    if seal:
        digests.seal(step)


def refused(step: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        Checkpoint.open(step).params()
    message = str(error.value)
    assert str(step) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("config", "d_ff"), 48, r"mlp.wi is \[1, 16, 32\] in the files and \[1, 16, 48\] by the config"),
        (("config", "d_ff"), 2**31, "must be a whole number from 1 to 1,048,576, not"),
        (("config", "d_ff"), 10**30, "config.d_ff must be a whole number"),
        (("config", "d_ff"), "32", 'config.d_ff must be a whole number, not "32"'),
        (("config", "dropout_rate"), float("nan"), "config.dropout_rate must be a finite number, not NaN"),
        (("config", "num_encoder_layers"), 4000, "its config has 4,000 num_encoder_layers, and its files have 1"),
        (("config", "scan_layers"), False, r"holds another model: decoder.layers.0.* is missing in the files"),
        (("config", "windows"), 1, "config.windows is unknown"),
        (("config",), DELETED, "config is missing"),
        (("vocabulary",), DELETED, "vocabulary is missing"),
        (("vocabulary", "fingerprint"), 5, "vocabulary.fingerprint must be text, not 5"),
        (("tasks",), [], r"tasks must be an object, not \[\]"),
        (("feature_lengths",), {"inputs": 2**40}, "feature_lengths.inputs must be from 1 to 1,048,576"),
        (("feature_lengths",), {"inputs": 0}, "feature_lengths.inputs must be from 1 to"),
        ((), [], "metadata/metadata: it is not a JSON object"),
    ],
)
def test_what_the_metadata_say_is_checked_before_anything_is_built(step, path, value, message):
    change(step, *path, value=value)
    with pytest.raises(CheckpointError, match=message):
        raise CheckpointError(refused(step))


def test_the_model_must_be_that_of_the_files_for_every_number(step):
    """Each whole number of the config decides a shape, or is free to be another."""
    free = {"relative_attention_max_distance"}
    for name, value in tiny_runs.CONFIG.to_dict().items():
        if type(value) is int and value > 0 and name not in free:
            shutil.copy(step / METADATA, step.parent / "metadata")
            change(step, "config", name, value=2 * value)
            refused(step)
            shutil.copy(step.parent / "metadata", step / METADATA)


def test_json_that_is_too_large_or_too_deep_is_refused(step, monkeypatch):
    (step / METADATA).write_text("[" * 100_000)
    assert "metadata/metadata: it is nested too deeply" in refused(step)
    (step / METADATA).write_bytes(b"\xff{}")
    assert "metadata/metadata: 'utf-8' codec can't decode" in refused(step)
    with (step / METADATA).open("wb") as file:
        file.truncate(2**40)  # sparse
    assert "metadata/metadata: it has 1,099,511,627,776 bytes" in refused(step)


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    params = fresh_params()
    params["decoder"]["layers"]["mlp"]["wi"][0, 3, 4] = np.inf
    assert "decoder.layers.mlp.wi has weights that are not finite" in refused(write(tmp_path, params))


def test_arrays_that_are_much_larger_than_their_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("t5music.training.checkpoints.checkpoint.SMALL", 0)
    config = dataclasses.replace(tiny_runs.CONFIG, d_ff=1 << 20)
    params = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), nnx.to_pure_dict(parameters.abstract(config)[1])
    )
    message = refused(write(tmp_path, params, config=config.to_dict()))
    assert "the arrays of its params are to have" in message


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "params/../../secret", "\0", "params"])
def test_digests_of_files_that_are_not_in_the_folder_are_refused(step, name):
    (step.parent.parent / "secret").write_text("")
    content = json.loads((step / digests.DIGESTS).read_text())
    (step / digests.DIGESTS).write_text(json.dumps({**content, name: [0, 0]}))
    assert "is missing" in refused(step)


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_read(step):
    file = max((step / "params").rglob("*"), key=lambda path: path.stat().st_size)
    inside = file.rename(file.with_name("elsewhere"))
    file.symlink_to(inside.name)
    Checkpoint.open(step).params()
    file.unlink()
    file.symlink_to(inside.rename(step.parent / "outside"))
    assert f"{file.name} is not a regular file in this folder" in refused(step)


FILES = [METADATA, "params/_METADATA", "params/manifest.ocdbt", "_CHECKPOINT_METADATA", digests.DIGESTS]


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_mutated_metadata_are_read_or_refused(whole, data):
    with tempfile.TemporaryDirectory() as folder:
        step = Path(shutil.copytree(whole, Path(folder) / "3"))
        content = json.loads((whole / METADATA).read_text())
        content |= {"tasks": {"a": {"kind": "continue"}}, "feature_lengths": {"inputs": 9, "targets": 9}}
        (step / METADATA).write_text(data.draw(mutated(content)))
        digests.seal(step)
        read_or_refuse(step)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(whole, data):
    with tempfile.TemporaryDirectory() as folder:
        step = Path(shutil.copytree(whole, Path(folder) / "3"))
        names = [str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()]
        name, kind, where = data.draw(st.one_of(faults(FILES), faults(names)))
        damage(step / name, kind, where)
        if data.draw(st.booleans()) and name != digests.DIGESTS:  # as a stranger can
            digests.seal(step)
        read_or_refuse(step)


def read_or_refuse(step: Path) -> None:
    def read() -> None:
        params = Checkpoint.open(step).params()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))

    assert "\n" not in refusal(read)


@pytest.fixture
def unprivileged():
    """Tests run as the superuser read everything: give that up for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_folder_that_may_not_be_read_is_named(whole, unprivileged):
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints").chmod(0)
        with pytest.raises(CheckpointError, match=f"{run}/checkpoints cannot be read: Permission denied"):
            Checkpoint.open(run)
        (run / "checkpoints").chmod(0o700)
        (run / "checkpoints" / "3" / "params").mkdir(parents=True)
        (run / "checkpoints" / "3" / "metadata").mkdir(mode=0)
        with pytest.raises(CheckpointError, match="3 cannot be read: metadata/metadata: Permission denied"):
            Checkpoint.open(run)
        (run / "checkpoints" / "3" / "metadata").chmod(0o700)


def test_a_read_only_run_is_read(tmp_path_factory, request):
    with tempfile.TemporaryDirectory() as place:
        write(Path(place) / "run", fresh_params())
        for path in [Path(place), *Path(place).rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        request.getfixturevalue("unprivileged")
        Checkpoint.open(Path(place) / "run").params()
        Checkpoint.open(Path(place) / "run", "best").params()
        if os.geteuid() != os.getuid():
            os.seteuid(os.getuid())
        for path in [Path(place), *Path(place).rglob("*")]:
            path.chmod(0o755)
