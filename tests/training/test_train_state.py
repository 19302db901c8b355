"""The training step: accumulation, dropout keys, precision, and scanned layers and many devices against plain ones."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_runs
from flax import nnx
from jax.sharding import PartitionSpec

from t5music.errors import ConfigError
from t5music.model import parameters, sharding
from t5music.training import losses, optimizers, schedules, train_state, train_step

STILL = dataclasses.replace(tiny_runs.CONFIG, dropout_rate=0.0)


def sgd(rate):
    return optimizers.Optimizer(schedules.constant(rate), lambda axes: optax.sgd(rate), {})


def begin(config, optimizer, *, mesh=None, **options):
    """Returns the state of step 0 from seed 0, and the compiled step as a function of numpy batches."""
    mesh = sharding.make_mesh(devices=jax.devices()[:1]) if mesh is None else mesh
    graphdef, abstract = parameters.abstract(config)
    transformation = optimizer.transformation(train_state.logical_axes(abstract))
    target = train_state.abstract_state(abstract, transformation, mesh)
    step = train_step.make_train_step(graphdef, transformation, target, **options)

    def apply(now, batch):
        with jax.set_mesh(mesh):
            return step(now, train_step.put_batch(batch, mesh))

    return train_state.create(config, transformation, target, mesh, seed=0), apply


def run(config, optimizer, batches, **options):
    """Trains from seed 0 and returns the state after the last batch and the loss of each."""
    now, step = begin(config, optimizer, **options)
    seen = []
    for batch in batches:
        now, loss = step(now, batch)
        seen.append(float(loss))
    return now, seen


def assert_close(ours, theirs, rtol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max()), ours, theirs)


def test_accumulated_microbatches_are_the_whole_batch():
    batches = [tiny_runs.batch(seed) for seed in (1, 2)]
    whole, losses_whole = run(STILL, sgd(0.5), batches)
    parts, losses_parts = run(STILL, sgd(0.5), batches, microbatches=4)
    np.testing.assert_allclose(losses_parts, losses_whole, rtol=1e-6)
    assert_close(parts.params, whole.params, 1e-6)
    assert_close(parts.window, whole.window, 1e-6)


def test_gradient_is_that_of_the_summed_loss_over_all_target_positions():
    batch = tiny_runs.batch(3)
    graphdef, params = parameters.initialise(STILL, jax.random.split(jax.random.key(0))[0])
    loss, gradient = jax.jit(
        jax.value_and_grad(lambda params: losses.teacher_forced(nnx.merge(graphdef, params), batch).loss)
    )(nnx.to_pure_dict(params))
    after, (seen,) = run(STILL, sgd(0.5), [batch])
    np.testing.assert_allclose(seen, loss, rtol=1e-6)
    positions = batch["decoder_target_tokens"].size
    expected = jax.tree.map(lambda p, g: p - 0.5 * g / positions, nnx.to_pure_dict(params), gradient)
    assert_close(after.params, expected, 1e-6)
    np.testing.assert_allclose(after.window.gradient_norm, optax.tree.norm(gradient) / positions, rtol=1e-5)


def test_every_step_drops_out_anew():
    now, step = begin(tiny_runs.CONFIG, tiny_runs.OPTIMIZER)
    first, second, again = (
        float(step(dataclasses.replace(jax.tree.map(jnp.copy, now), step=jnp.int32(number)), tiny_runs.batch(1))[1])
        for number in (0, 1, 1)
    )
    assert first != second == again


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_from_a_loss_or_gradient_that_is_no_number_on_nothing_changes(what):
    # Weights that make the loss infinite, or leave it finite while its gradient's norm overflows.
    poisoned = tiny_runs.batch(2)
    weights = poisoned["decoder_loss_weights"]
    poisoned["decoder_loss_weights"] = np.full_like(weights, np.inf) if what == "loss" else weights * np.float32(1e30)
    healthy, (seen,) = run(STILL, sgd(0.5), [tiny_runs.batch(1)])
    now, losses_seen = run(STILL, sgd(0.5), [tiny_runs.batch(1), poisoned, tiny_runs.batch(3)])
    assert now.window.bad_step == 2
    expected = dataclasses.replace(healthy, window=dataclasses.replace(healthy.window, bad_step=np.int32(2)))
    jax.tree.map(np.testing.assert_array_equal, now, expected)
    np.testing.assert_array_equal(losses_seen, [seen, np.nan, np.nan])


def test_input_tokens_of_a_decoder_only_batch_are_those_without_loss_weight():
    tokens = np.array([[5, 6, 7, 8, 0, 0], [5, 6, 0, 0, 0, 0]], np.int32)
    weights = np.array([[0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]], np.float32)
    batch = {"decoder_target_tokens": tokens, "decoder_loss_weights": weights}
    assert train_step.input_tokens(batch) == 3
    assert train_step.input_tokens({**batch, "encoder_input_tokens": tokens[:, :3]}) == 5


@pytest.mark.usefixtures("optimised")
def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters():
    batches = [tiny_runs.batch(seed) for seed in (1, 2)]
    _, expected = run(STILL, sgd(0.5), batches)
    half, seen = run(dataclasses.replace(STILL, dtype="bfloat16"), sgd(0.5), batches)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(half.params))
    assert seen != expected
    np.testing.assert_allclose(seen, expected, rtol=0.02)


@pytest.mark.slow
def test_scanned_layers_train_as_unrolled_ones():
    # Wide enough for Adafactor to factor its second moments.
    config = dataclasses.replace(STILL, d_model=128, d_ff=160, d_kv=64, num_encoder_layers=2)
    optimizer = optimizers.adafactor(schedules.constant(0.05))
    batches = [tiny_runs.batch(seed) for seed in range(3)]
    scanned, seen = run(config, optimizer, batches)
    unrolled, expected = run(dataclasses.replace(config, scan_layers=False), optimizer, batches)
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    layers = unrolled.params["encoder"]["layers"]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(layers[i] for i in sorted(layers)))
    assert_close(scanned.params["encoder"]["layers"], stacked, 1e-4)


def test_optimizer_state_lies_where_its_parameter_lies():
    _, abstract = parameters.abstract(STILL)
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    transformation = optimizers.adamw(schedules.constant()).transformation(train_state.logical_axes(abstract))
    target = train_state.abstract_state(abstract, transformation, mesh)
    moments = target.opt_state[1][0]
    assert jax.tree.map(lambda x: x.sharding, moments.mu) == train_state.places(target).params
    assert moments.mu["embedding"].sharding.spec == PartitionSpec("tensor", "fsdp")
    assert moments.count.sharding.spec == PartitionSpec()


def test_a_batch_the_devices_cannot_share_is_a_config_error():
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    shared = jax.sharding.AbstractMesh((4, 1, 1), sharding.MESH_AXES)
    train_step.require_divisible(6, mesh)
    with pytest.raises(ConfigError, match="6 examples cannot be divided over the 4 devices"):
        train_step.require_divisible(6, shared)


def test_a_batch_that_is_not_divided_into_microbatches_is_a_config_error():
    with pytest.raises(ConfigError, match="4 examples cannot be divided into 3 microbatches"):
        run(STILL, sgd(0.5), [tiny_runs.batch(1)], microbatches=3)


ON_FOUR_DEVICES = """
import sys, jax, numpy as np
sys.path.insert(0, {folder!r})
import test_train_state, tiny_runs
from flax import nnx
from t5music.model import sharding

assert jax.device_count() == 4
one = tiny_runs.train({one!r}, 3, mesh=sharding.make_mesh(devices=jax.devices()[:1]))
four = tiny_runs.train({four!r}, 2, mesh=sharding.make_mesh(2, 2, 1))
on = nnx.state(four.model)["encoder"]["layers"]["mlp"]["wi"][...].sharding
assert len(on.device_set) == 4 and on.spec[1] == "fsdp", on
# Resumed on another mesh, the run goes on.
four = tiny_runs.train({four!r}, 3, mesh=sharding.make_mesh(1, 2, 2))
test_train_state.assert_close(nnx.to_pure_dict(nnx.state(four.model)), nnx.to_pure_dict(nnx.state(one.model)), 1e-4)
np.testing.assert_allclose(four.metrics["validation/loss"], one.metrics["validation/loss"], rtol=1e-5)
"""


@pytest.mark.slow
def test_four_devices_train_as_one_and_resume_on_another_mesh(tmp_path):
    code = ON_FOUR_DEVICES.format(
        folder=str(Path(__file__).parent), one=str(tmp_path / "one"), four=str(tmp_path / "four")
    )
    environment = {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})
