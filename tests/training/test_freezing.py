"""Training some parameters, and one layer after the other: what moves, what stays to the last bit, what it costs."""

import dataclasses
import functools
import itertools
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
import tiny_runs
from flax import nnx

from t5music.errors import CheckpointError, ConfigError
from t5music.model import parameters, sharding
from t5music.training import freezing, loop, optimizers, schedules, train_state, train_step
from t5music.training.cost import flops, memory

# Wide enough for Adafactor to factor its second moments.
CONFIG = dataclasses.replace(
    tiny_runs.CONFIG, d_model=128, d_ff=160, d_kv=64, num_encoder_layers=2, num_decoder_layers=2, dropout_rate=0.0
)
TINY = dataclasses.replace(tiny_runs.CONFIG, num_encoder_layers=2, num_decoder_layers=2)
UNROLLED = dataclasses.replace(CONFIG, scan_layers=False)
TOP = [r"(encoder|decoder)\.layers\.1\..*", ".*norm[.]scale"]
ADAFACTOR = optimizers.adafactor(schedules.constant(0.05))


def drawn(config):
    """Parameters of about T5's initial size in numpy, the same ones scanned and unrolled."""
    abstract = parameters.abstract(dataclasses.replace(config, scan_layers=False))[1]
    rng = np.random.default_rng(0)

    def draw(path, shape):
        if path[-1] == "scale":
            return np.ones(shape, np.float32)
        spread = 1.0 if path == ("embedding",) else shape[-2] ** -0.5
        return rng.normal(scale=spread * (0.1 if path[-1] == "query" else 1), size=shape).astype(np.float32)

    flat = {path: param.replace(draw(path, param.shape)) for path, param in nnx.to_flat_state(abstract)}
    unrolled = nnx.from_flat_state(flat)
    return nnx.to_pure_dict(parameters.stack_layers(unrolled) if config.scan_layers else unrolled)


def named(config, params):
    """Parameters by name, layer by layer, as numpy arrays."""
    abstract = parameters.abstract(config)[1]
    leaves = nnx.traversals.flatten_mapping(params)
    return {
        name: np.asarray(leaves[path][i] if parameters.is_stacked(path) else leaves[path])
        for path, own in parameters.names(abstract).items()
        for i, name in enumerate(own)
    }


def run(config, steps, *, patterns=None, unfreezing=None, optimizer=ADAFACTOR, mesh=None):
    """Trains from `drawn`; returns the named parameters before and after every update, and the last state."""
    mesh = sharding.make_mesh(devices=jax.devices()[:1]) if mesh is None else mesh
    graphdef, abstract = parameters.abstract(config)
    trains = freezing.choose(abstract, patterns, unfreezing)
    transformation = optimizer.transformation(trains.select(train_state.logical_axes(abstract)))
    target = train_state.abstract_state(abstract, transformation, mesh, trains)
    now = train_state.create(config, transformation, target, mesh, seed=0, params=drawn(config), trainable=trains)
    step = train_step.make_train_step(graphdef, transformation, target, trainable=trains)
    seen = [named(config, now.params)]
    for number in range(steps):
        with jax.set_mesh(mesh):
            now, _ = step(now, train_step.put_batch(tiny_runs.batch(number), mesh))
        seen.append(named(config, now.params))
    return seen, now


def moved(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


@functools.cache
def top(scan_layers):
    """Two steps of the topmost layers and the norms."""
    return run(CONFIG if scan_layers else UNROLLED, 2, patterns=TOP)


@pytest.mark.parametrize("scan_layers", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_does_not_train_stays_to_the_last_bit(scan_layers):
    (before, _, after), now = top(scan_layers)
    chosen = parameters.matching(before, TOP, "")
    assert moved(before, after) == chosen
    assert 0 < len(chosen) < len(before)
    assert float(now.window.gradient_norm) > 0


@pytest.mark.slow
def test_some_layers_of_a_scanned_stack_train_as_those_of_an_unrolled_one():
    (_, _, unrolled), plain = top(False)
    (_, _, scanned), stacked = top(True)
    for name, value in unrolled.items():
        np.testing.assert_allclose(scanned[name], value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stacked.window.gradient_norm, plain.window.gradient_norm, rtol=1e-5)


def test_the_optimizer_keeps_nothing_of_what_does_not_train():
    def kept(now):
        return sum(leaf.size for leaf in jax.tree.leaves(now.opt_state))

    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    _, abstract = parameters.abstract(UNROLLED)
    adam = optimizers.adamw(schedules.constant())
    for optimizer in (ADAFACTOR, adam):
        whole = train_state.abstract_state(abstract, optimizer.transformation(train_state.logical_axes(abstract)), mesh)
        trains = freezing.choose(abstract, ["embedding"])
        transformation = optimizer.transformation(trains.select(train_state.logical_axes(abstract)))
        some = train_state.abstract_state(abstract, transformation, mesh, trains)
        assert some.params == whole.params
        assert kept(some) < 0.25 * kept(whole)


def test_the_gradient_of_what_does_not_train_is_not_computed():
    """XLA's own count of operations, and ours."""
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    graphdef, abstract = parameters.abstract(UNROLLED)

    def counted(patterns):
        trains = freezing.choose(abstract, patterns)
        transformation = optax.sgd(0.1)
        target = train_state.abstract_state(abstract, transformation, mesh, trains)
        step = train_step.make_train_step(graphdef, transformation, target, trainable=trains)
        batch = jax.eval_shape(lambda: tiny_runs.batch(0, examples=8, length=32))
        return step.lower(target, batch).cost_analysis()["flops"]

    sizes = {"rows": 8, "inputs": 32, "targets": 32}
    ours = [flops.train_flops(UNROLLED, **sizes, trainable=patterns) for patterns in (None, [".*norm[.]scale"])]
    assert counted([".*norm[.]scale"]) / counted(None) == pytest.approx(ours[1] / ours[0], rel=0.05)
    assert ours[1] < 0.8 * ours[0]


def test_memory_of_what_trains():
    mesh = sharding.make_mesh(devices=1)
    whole, some = (
        memory.of_step(
            UNROLLED,
            optimizers.adamw(schedules.constant()),
            mesh,
            rows=2,
            lengths={"inputs": 8, "targets": 8},
            trainable=t,
        )
        for t in (None, ["embedding"])
    )
    embedding = UNROLLED.vocab_size * UNROLLED.d_model * 4
    assert (some.parameters, some.gradients) == (whole.parameters, embedding)
    assert some.optimizer == pytest.approx(2 * embedding, abs=100)
    assert some.activations < whole.activations


def test_layers_are_unfrozen_from_the_top_one_in_each_episode():
    """Raffel et al. 2019, section 3.5.1: 12 layers and 2^18 steps make 12 episodes, the nth of layers 12 - n to 12."""
    unfreezing = freezing.gradual_unfreezing(2**18)
    begin = [unfreezing.begin(layer, 12) for layer in range(12)]
    assert begin == [-(-(2**18) * n // 12) for n in range(11, -1, -1)]
    assert freezing.gradual_unfreezing(10).begin(0, 1) == 0
    assert [freezing.gradual_unfreezing(10).begin(layer, 3) for layer in range(3)] == [7, 4, 0]


@pytest.mark.parametrize(
    ("scan_layers", "optimizer"),
    [
        pytest.param(False, ADAFACTOR, marks=pytest.mark.slow, id="unrolled"),
        pytest.param(True, optimizers.adamw(schedules.constant(0.01)), id="scanned, with decay"),
    ],
)
def test_gradual_unfreezing_moves_what_is_its_turn_and_nothing_else(scan_layers, optimizer):
    config = dataclasses.replace(TINY, scan_layers=scan_layers)
    seen, _ = run(config, 3, unfreezing=freezing.gradual_unfreezing(4), optimizer=optimizer)
    steps = [moved(before, after) for before, after in itertools.pairwise(seen)]
    low = {name for name in seen[0] if ".layers.0." in name}
    assert steps == [set(seen[0]) - low, set(seen[0]) - low, set(seen[0])]


def test_patterns_and_unfreezing_together_train_what_both_allow():
    abstract = parameters.abstract(CONFIG)[1]
    trains = freezing.choose(abstract, [".*norm[.]scale"], freezing.gradual_unfreezing(10))
    starts = trains.starts[("encoder", "layers", "mlp_norm", "scale")]
    assert starts.tolist() == [5, 0]
    assert ("encoder", "layers", "mlp", "wi") in trains.frozen
    assert ("encoder", "norm", "scale") not in trains.starts
    assert trains.count(abstract) == CONFIG.d_model * (2 * 2 + 2 * 3 + 2)
    line = freezing.describe(abstract, trains, freezing.gradual_unfreezing(10))
    assert line.startswith(f"{trains.count(abstract):,} of {parameters.count(abstract):,} parameters train (")


def test_without_a_choice_nothing_is_taken_apart():
    abstract = parameters.abstract(CONFIG)[1]
    assert freezing.choose(abstract) == freezing.EVERYTHING
    assert freezing.EVERYTHING.select(abstract) is abstract


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["embeding"], r"Update.trainable: 'embeding' matches no parameter; did you mean 'embedding'"),
        (["mlp"], "matches no parameter"),  # whole names only
        (["("], "no regular expression"),
        ([], "Update.trainable names no parameter"),
    ],
)
def test_patterns_that_name_nothing_are_refused(patterns, message):
    with pytest.raises(ConfigError, match=message):
        freezing.choose(parameters.abstract(CONFIG)[1], patterns)


def test_unfreezing_over_no_steps_is_refused():
    with pytest.raises(ConfigError, match=r"gradual_unfreezing\.steps is 0"):
        freezing.gradual_unfreezing(0)


ON_EIGHT_DEVICES = """
import sys, jax, numpy as np
sys.path.insert(0, {folder!r})
import test_freezing as t
from t5music.model import sharding
from t5music.training import freezing

assert jax.device_count() == 8
settings = {{"patterns": t.TOP, "unfreezing": freezing.gradual_unfreezing(2)}}
(before, *one), _ = t.run(t.CONFIG, 2, **settings)
(_, *eight), state = t.run(t.CONFIG, 2, mesh=sharding.make_mesh(2, 2, 2), **settings)
assert tuple(state.params["encoder"]["layers"]["mlp"]["wi"].sharding.spec) == (None, "fsdp", "tensor")
assert t.moved(before, eight[1]) == t.moved(before, one[1])
for name, value in one[1].items():
    np.testing.assert_allclose(eight[1][name], value, rtol=1e-3, atol=1e-4)
"""


@pytest.mark.slow
def test_eight_devices_train_the_same_parts():
    code = ON_EIGHT_DEVICES.format(folder=str(Path(__file__).parent))
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.slow
def test_a_run_stopped_amid_its_unfreezing_goes_on_to_the_last_bit(tmp_path):
    settings = {"config": TINY, "evaluations": {}, "trainable": [".*"], "unfreezing": freezing.gradual_unfreezing(6)}
    whole = tiny_runs.train(tmp_path / "whole", 6, **settings)
    with pytest.raises(loop.Interrupted):
        tiny_runs.train(tmp_path / "stopped", 6, tiny_runs.Batches(stop_at=2), **settings)
    resumed = tiny_runs.train(tmp_path / "stopped", 6, **settings)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(resumed.model), nnx.state(whole.model))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainable": ["embedding"]}, r"trainable is None there and \['embedding'\] here"),
        ({"unfreezing": freezing.gradual_unfreezing(5)}, r"unfreezing\.\w+ is None there and"),
    ],
)
def test_a_run_resumed_must_train_the_same(uninterrupted, change, message):
    with pytest.raises(CheckpointError, match=message):
        tiny_runs.train(uninterrupted[0], **change)
