"""Eight devices against one. The eight are simulated, in another process: a process has one number of devices."""

import json
import os
import subprocess
import sys
import textwrap
import types

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

from t5music.errors import ConfigError
from t5music.model import parameters, sharding
from t5music.model.config import named

# (data, fsdp, tensor); with the slow ones every axis by itself, every pair, and all three.
# (data, fsdp, tensor), with the number of slices before them where there are several.
MESHES = [(1, 8, 1), (2, 2, 2), (2, 1, 2, 2)]
SLOW_MESHES = [(8, 1, 1), (1, 1, 8), (4, 2, 1), (2, 1, 4), (1, 4, 2), (2, 1, 4, 1), (4, 2, 1, 1), (2, 2, 2, 1)]

PROGRAM = """
    import dataclasses, json, sys, tempfile
    import jax, jax.numpy as jnp, numpy as np
    from flax import nnx
    from t5music.model import parameters, sharding
    from t5music.model.config import T5Config
    from t5music.training import loop, optimizers, schedules
    from t5music.training import train_state, train_step
    from t5music.training.settings import Records, Update

    jax.config.update("jax_disable_most_optimizations", True)
    plain = T5Config(vocab_size=128, d_model=128, d_kv=16, num_heads=8, d_ff=256, num_encoder_layers=1,
                     num_decoder_layers=1, dropout_rate=0.2)
    optimizer = optimizers.adafactor(schedules.constant(0.01))

    def make_batch(seed):
        random = np.random.default_rng(seed)
        tokens, targets = random.integers(2, 128, (8, 12)), random.integers(2, 128, (8, 8))
        targets[:, 5:] *= random.integers(0, 2, (8, 1))
        return {"encoder_input_tokens": tokens, "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
                "decoder_target_tokens": targets, "decoder_loss_weights": (targets > 0).astype(np.float32)}

    class Batches:
        position = 0
        def __next__(self):
            self.position += 1
            return make_batch(self.position)
        def get_state(self):
            return {"next": self.position}
        def set_state(self, state):
            self.position = state["next"]

    def flat(config, params):
        # As the parameters of an unrolled model, by name.
        graphdef, abstract = parameters.abstract(config)
        state = nnx.state(nnx.merge(graphdef, params))
        flat = nnx.to_flat_state(parameters.unstack_layers(state))
        return {".".join(map(str, path)): np.asarray(p[...]) for path, p in flat}

    def step(config, mesh, params=None):
        graphdef, abstract = parameters.abstract(config)
        transformation = optimizer.transformation(train_state.logical_axes(abstract))
        target = train_state.abstract_state(abstract, transformation, mesh)
        state = train_state.create(config, transformation, target, mesh, seed=0, params=params)
        created = jax.tree.map(np.asarray, state.params)
        update = train_step.make_train_step(graphdef, transformation, target)
        placed = jax.tree.map(lambda x, t: x.sharding.is_equivalent_to(t.sharding, x.ndim), state, target)
        local = {".".join(map(str, path)): x.addressable_shards[0].data.shape
                 for path, x in nnx.traversals.flatten_mapping(state.params).items()}
        with jax.set_mesh(mesh):
            batch = train_step.put_batch(make_batch(0), mesh)
            tokens = batch["encoder_input_tokens"].addressable_shards[0].data.shape
            state, loss = update(state, batch)
        report = {"placed": all(jax.tree.leaves(placed)), "local": local, "tokens": tokens}
        return report, created, flat(config, state.params), float(loss)

    def difference(arrays, expected):
        return max(float(np.abs(v - expected[k]).max() / np.abs(expected[k]).max()) for k, v in arrays.items())

    one = sharding.make_mesh(devices=jax.devices()[:1])
    _, params, expected, loss = step(plain, one)
    reports = []
    for shape in json.loads(sys.argv[1]):
        *slices, data, fsdp, tensor = shape
        mesh = sharding.make_mesh(data, fsdp, tensor, dcn=slices[0] if slices else 1)
        # All axes at once: scanned, and with parameters made where they belong.
        config = dataclasses.replace(plain, scan_layers=min(shape) > 1)
        report, begun, updated, other_loss = step(config, mesh, None if config.scan_layers else params)
        reports.append(report | {
            "devices": mesh.size,
            "initial": difference(flat(config, begun), flat(plain, params)),
            "loss": abs(other_loss / loss - 1),
            "updated": difference(updated, expected),
            "table": sharding.describe(parameters.abstract(config)[1], mesh),
        })

    def run(folder, steps, mesh):
        result = loop.train(plain, Batches(), Update(optimizer), steps=steps, model_dir=folder,
                            metadata={"task": "random"}, mesh=mesh, progress=False, records=Records(log_period=2))
        return flat(plain, nnx.to_pure_dict(nnx.state(result.model)))

    resumed = None
    if sys.argv[2:]:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
            uninterrupted = run(folder, 4, sharding.make_mesh(1, 4, 2))
            run(other, 2, sharding.make_mesh(2, 1, 4))
            resumed = difference(run(other, 4, sharding.make_mesh(1, 4, 2)), uninterrupted)
    print(json.dumps([reports, resumed]))
"""


def on_eight_devices(meshes, *arguments):
    """Returns what the eight devices did, by mesh, and how far a resumed run was from one that was not."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps(meshes), *arguments],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    reports, resumed = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(meshes, reports, strict=True)), resumed


@pytest.fixture(scope="module")
def reports():
    return on_eight_devices(MESHES)[0]


@pytest.fixture(scope="module")
def more():
    return on_eight_devices(SLOW_MESHES, "resume")


def assert_same_step(report):
    """The training step, optimizer included, did what it does on one device, within float32 rounding."""
    assert report["devices"] == 8
    assert report["placed"]
    assert report["initial"] == 0
    assert report["loss"] < 1e-6
    assert report["updated"] < 1e-5


@pytest.mark.parametrize("shape", MESHES, ids=str)
def test_eight_devices_take_the_step_that_one_takes(reports, shape):
    assert_same_step(reports[shape])


@pytest.mark.slow
@pytest.mark.parametrize("shape", SLOW_MESHES, ids=str)
def test_and_so_in_the_other_meshes(more, shape):
    assert_same_step(more[0][shape])
    if shape == (8, 1, 1):
        assert more[0][shape]["local"]["encoder.layers.0.mlp.wi_0"] == [128, 256]


@pytest.mark.slow
def test_a_run_goes_on_on_another_mesh(more):
    assert more[1] < 1e-5


def test_parameters_and_batches_are_divided_as_the_table_says(reports):
    fsdp, mixed = reports[1, 8, 1], reports[2, 2, 2]
    assert (fsdp["tokens"], mixed["tokens"]) == ([1, 12], [2, 12])
    wide = "encoder.layers.0.mlp.wi_0"
    assert fsdp["local"][wide] == [16, 256]
    assert mixed["local"]["encoder.layers.mlp.wi_0"] == [1, 64, 128]
    assert mixed["local"]["embedding"] == [64, 64]
    assert mixed["local"]["encoder.relative_bias.table"] == [4, 32]


def test_slices_hold_all_parameters_and_examples_of_their_own(reports):
    two, one = reports[2, 1, 2, 2], reports[2, 2, 2]
    assert two["tokens"] == one["tokens"] == [2, 12]
    assert two["local"]["encoder.layers.0.mlp.wi_0"] == [64, 128], "spread over the devices of one slice"
    assert two["table"].split()[-1] == one["table"].split()[-1], "as many bytes on a device"


def test_the_description_adds_up(reports):
    rows = [line.split("  ") for line in reports[2, 2, 2]["table"].splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[0] == ["parameter", "shape", "sharding", "bytes per device"]
    assert ["decoder.layers.mlp.wo", "1 x 256 x 128", "None, tensor, fsdp", "32,768"] in cells
    assert ["embedding", "128 x 128", "tensor, fsdp", "16,384"] in cells
    assert cells[-1][0].startswith("total: ")
    held = [int(row[-1].replace(",", "")) for row in cells[1:]]
    assert sum(held[:-1]) == held[-1]
    held_by_all = sum(np.prod([int(size) for size in row[1].split(" x ")]) for row in cells[1:-1])
    assert cells[-1][0] == f"total: {held_by_all:,} parameters"


def test_every_axis_of_every_parameter_has_a_rule():
    for version in ("v1.0", "v1.1"):
        for scan_layers in (False, True):
            config = named(version, "tiny", vocab_size=128, scan_layers=scan_layers)
            for _, param in nnx.to_flat_state(parameters.abstract(config)[1]):
                axes = param.get_metadata()["axes"]
                assert len(axes) == len(param.shape)
                assert set(axes) <= set(sharding.RULES)


def test_a_dimension_its_mesh_axis_cannot_divide_stays_whole():
    mesh = sharding.make_mesh(1, 4, 3, devices=12)  # abstract
    assert sharding.partition_spec(("embed", "mlp"), (32, 66), mesh) == PartitionSpec("fsdp", "tensor")
    assert sharding.partition_spec(("embed", "mlp"), (30, 64), mesh) == PartitionSpec(None, None)
    with pytest.raises(ConfigError, match="logical axis 'emb'"):
        sharding.partition_spec(("emb",), (32,), mesh)


def test_trees_made_from_parameters_lie_with_them():
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    kernel = nnx.Param(np.zeros((4, 6)), axes=("embed", "mlp"))
    state = {"moment": kernel, "factor": kernel.replace(np.zeros(4)), "step": np.zeros(())}
    specs = jax.tree.map(lambda s: s.spec, sharding.shardings(state, mesh))
    assert jax.tree.leaves(specs, is_leaf=lambda s: isinstance(s, PartitionSpec)) == [
        PartitionSpec(),
        PartitionSpec("fsdp", "tensor"),
        PartitionSpec(),
    ]


def test_a_mesh_must_fit_the_devices():
    device = jax.devices()[:1]
    assert dict(sharding.make_mesh(devices=device).shape) == {"data": 1, "fsdp": 1, "tensor": 1}
    with pytest.raises(ConfigError, match="data=2, fsdp=1, tensor=1 needs 2 devices; there are 1"):
        sharding.make_mesh(2, devices=device)
    with pytest.raises(ConfigError, match="needs 4 devices"):
        sharding.make_mesh(fsdp=4, devices=device)
    with pytest.raises(ConfigError, match="axis tensor must be at least 1"):
        sharding.make_mesh(tensor=0, devices=device)
    with pytest.raises(ConfigError, match="one mesh axis may be None, not data and fsdp"):
        sharding.make_mesh(fsdp=None, devices=device)


def in_slices(*numbers: int) -> list[types.SimpleNamespace]:
    """Devices that say in which slice they are."""
    return [types.SimpleNamespace(id=place, slice_index=number) for place, number in enumerate(numbers)]


def test_slices_are_those_that_devices_name():
    def numbers(devices, count):
        return [[device.id for device in part] for part in sharding.slices(devices, count)]

    assert numbers(in_slices(1, 0, 0, 1), 2) == [[1, 2], [0, 3]]
    assert numbers(in_slices(0, 0, 0, 0), 2) == [[0, 1], [2, 3]]
    assert numbers(in_slices(0, 0), 1) == [[0, 1]]
    for devices, count in ((in_slices(0, 1, 0, 1), 1), (in_slices(0, 1, 2, 3), 2)):
        with pytest.raises(ConfigError, match=r"--gin\.SLICES="):
            sharding.slices(devices, count)


def test_the_slices_are_the_first_axis_where_there_are_several():
    shape = dict(sharding.make_mesh(1, None, 2, dcn=4, devices=32).shape)
    assert shape == {"dcn": 4, "data": 1, "fsdp": 4, "tensor": 2}
    assert list(shape) == ["dcn", "data", "fsdp", "tensor"]
    assert "dcn" not in sharding.make_mesh(dcn=1, devices=4).shape
    with pytest.raises(ConfigError, match="a mesh of dcn=3, data=1, fsdp=1, tensor=1 needs 3 devices; there are 8"):
        sharding.make_mesh(1, dcn=3, devices=8)
    with pytest.raises(ConfigError, match="mesh axis dcn must be at least 1"):
        sharding.make_mesh(dcn=0, devices=8)


def test_one_axis_takes_what_the_others_leave():
    assert dict(sharding.make_mesh(devices=8).shape) == {"data": 8, "fsdp": 1, "tensor": 1}
    assert dict(sharding.make_mesh(2, None, 2, devices=16).shape) == {"data": 2, "fsdp": 4, "tensor": 2}
    assert dict(sharding.make_mesh(1, 1, None, devices=4).shape) == {"data": 1, "fsdp": 1, "tensor": 4}
    with pytest.raises(ConfigError, match="data=1, fsdp=1, tensor=3 needs 3 devices; there are 4"):
        sharding.make_mesh(tensor=3, devices=4)
