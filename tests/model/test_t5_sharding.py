"""Eight devices against one. The eight are simulated, in another process: a process has one number of devices."""

import json
import os
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from t5music.errors import ConfigError
from t5music.model import parameters, sharding
from t5music.model.config import named

MESHES = [[8, 1, 1], [1, 8, 1], [2, 2, 2]]

PROGRAM = """
    import dataclasses, json, sys
    import jax, jax.numpy as jnp, numpy as np
    from flax import nnx
    from t5music.model import parameters, sharding
    from t5music.model.config import named

    jax.config.update("jax_disable_most_optimizations", True)
    random = np.random.default_rng(0)
    batch = {name: random.integers(2, 128, (8, length)) for name, length in
             [("encoder", 12), ("inputs", 8), ("targets", 8)]}
    plain = named("v1.1", "tiny", rows=128, encoder_layers=1, decoder_layers=1, dropout_rate=0.2)

    def loss_and_gradients(graphdef, params, batch):
        def loss(params):
            model = nnx.merge(graphdef, params)
            logits = model(batch["encoder"], batch["inputs"], deterministic=False, rngs=jax.random.key(1))
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch["targets"][..., None], -1).mean()
        value, gradients = jax.value_and_grad(loss)(params)
        return value, parameters.unstack_layers(gradients)

    def flat(state):
        return {".".join(map(str, path)): np.asarray(p[...]) for path, p in nnx.to_flat_state(state)}

    graphdef, params = parameters.initialise(plain, jax.random.key(0))
    one = jax.jit(loss_and_gradients)(graphdef, params, batch)
    initial, expected = flat(params), flat(one[1])
    reports = []
    for shape in json.loads(sys.argv[1]):
        mesh = sharding.make_mesh(*shape)
        config = dataclasses.replace(plain, scan_layers=shape[2] > 1)
        graphdef, params = parameters.initialise(config, jax.random.key(0), mesh)
        asked = sharding.shardings(params, mesh)
        placed = jax.tree.map(lambda p, s: p.sharding.is_equivalent_to(s, p.ndim), params, asked)
        local = {".".join(map(str, path)): p[...].addressable_shards[0].data.shape
                 for path, p in nnx.to_flat_state(params)}
        with jax.set_mesh(mesh):
            there = jax.device_put(batch, sharding.batch_sharding(mesh))
            compiled = jax.jit(loss_and_gradients).lower(graphdef, params, there).compile()
            value, gradients = compiled(graphdef, params, there)
        gradients = flat(gradients)
        reports.append({
            "devices": len(jax.devices()),
            "placed": all(jax.tree.leaves(placed)),
            "local": local,
            "tokens": there["encoder"].addressable_shards[0].data.shape,
            "initial": max(float(np.abs(v - initial[k]).max())
                           for k, v in flat(parameters.unstack_layers(params)).items()),
            "loss": abs(float(value) - float(one[0])),
            "gradients": max(float(np.abs(v - expected[k]).max() / np.abs(expected[k]).max())
                             for k, v in gradients.items()),
            "table": sharding.describe(params, mesh),
        })
    print(json.dumps(reports))
"""


@pytest.fixture(scope="module")
def reports():
    """What the eight devices did, by mesh shape (data, fsdp, tensor)."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps(MESHES)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {tuple(shape): report for shape, report in zip(MESHES, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize("shape", [tuple(shape) for shape in MESHES])
def test_eight_devices_compute_what_one_computes(reports, shape):
    report = reports[shape]
    assert report["devices"] == 8
    assert report["placed"]
    assert report["initial"] == 0
    assert report["loss"] < 1e-5
    assert report["gradients"] < 1e-4


def test_parameters_and_batches_are_divided_as_the_table_says(reports):
    data, fsdp, mixed = (reports[tuple(shape)] for shape in MESHES)
    assert (data["tokens"], fsdp["tokens"], mixed["tokens"]) == ([1, 12], [1, 12], [2, 12])
    wide = "encoder.layers.0.mlp.wi_0"
    assert (data["local"][wide], fsdp["local"][wide]) == ([32, 64], [4, 64])
    assert mixed["local"]["encoder.layers.mlp.wi_0"] == [1, 16, 32]
    assert mixed["local"]["embedding"] == [64, 16]
    assert mixed["local"]["encoder.relative_bias.table"] == [2, 32]


def test_the_description_adds_up(reports):
    rows = [line.split("  ") for line in reports[2, 2, 2]["table"].splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[0] == ["parameter", "shape", "sharding", "bytes per device"]
    assert ["decoder.layers.mlp.wo", "1 x 64 x 32", "None, tensor, fsdp", "2,048"] in cells
    assert ["embedding", "128 x 32", "tensor, fsdp", "4,096"] in cells
    assert cells[-1][0].startswith("total: ")
    held = [int(row[-1].replace(",", "")) for row in cells[1:]]
    assert sum(held[:-1]) == held[-1]
    tiny = named("v1.1", "tiny", rows=128, encoder_layers=1, decoder_layers=1)
    assert cells[-1][0] == f"total: {parameters.count(parameters.abstract(tiny)[1]):,} parameters"


def abstract_mesh(data, fsdp, tensor):
    return AbstractMesh((data, fsdp, tensor), sharding.MESH_AXES, axis_types=(AxisType.Auto,) * 3)


def test_every_axis_of_every_parameter_has_a_rule():
    for version in ("v1.0", "v1.1"):
        for scan_layers in (False, True):
            config = named(version, "tiny", rows=128, scan_layers=scan_layers)
            for _, param in nnx.to_flat_state(parameters.abstract(config)[1]):
                axes = param.get_metadata()["axes"]
                assert len(axes) == len(param.shape)
                assert set(axes) <= set(sharding.RULES)


def test_a_dimension_its_mesh_axis_cannot_divide_stays_whole():
    mesh = abstract_mesh(1, 4, 3)
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
