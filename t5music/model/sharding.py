"""Sharding: where parameters and batches lie on many devices, by one table from logical axis names to mesh axes.

A mesh has three axes: `data` (each part holds other examples), `fsdp` (other examples as well, and the parameters are
spread over it) and `tensor` (the work inside a layer is divided over it). Where devices are in several slices of a TPU,
with fast links inside a slice and the data centre's network between them, a fourth axis comes first: `dcn`, whose parts
are the slices. Each holds other examples and all parameters, so that only gradients cross the network.

Parameters carry the logical names of their dimensions as `axes` metadata; `RULES` says which mesh axis divides which
name. Everything else is left to XLA under plain `jax.jit`:

    mesh = make_mesh(fsdp=4, tensor=2)
    graphdef, params = parameters.initialise(config, jax.random.key(0), mesh)
    batch = jax.device_put(batch, batch_sharding(mesh))
    with jax.set_mesh(mesh):  # also keeps activations divided by example
        loss = train_step(graphdef, params, batch)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from t5music.errors import ConfigError

MESH_AXES = ("data", "fsdp", "tensor")
SLICES = "dcn"  # the axis before them in a mesh of several slices
BATCH_AXES = (SLICES, "data", "fsdp")

# Logical axis of a parameter -> mesh axis that divides it (None: every device holds all of it).
RULES: Mapping[str, str | None] = {
    "vocab": "tensor",
    "embed": "fsdp",
    "mlp": "tensor",
    "heads": "tensor",
    "joined_kv": "tensor",
    "buckets": None,
    "aspects": None,
    "classes": None,
    "layers": None,
}


def make_mesh(
    data: int | None = None,
    fsdp: int | None = 1,
    tensor: int | None = 1,
    *,
    dcn: int = 1,
    devices: Sequence[jax.Device] | int | None = None,
) -> Mesh | AbstractMesh:
    """Returns a mesh with axes `data`, `fsdp`, `tensor`; one size may be None and takes what the others leave.

    With several slices, `dcn` is its first axis, and the sizes of the others are those of one slice.

    Args:
        data: parts of the batch whose devices hold all parameters.
        fsdp: parts of the batch whose devices share the parameters.
        tensor: devices that share the work inside a layer.
        dcn: slices. Devices that do not say in which one they are, as simulated ones, are divided in their order.
        devices: what to build it of, by default all there are; a number gives an abstract mesh, which takes no device
            and serves for working out shapes and places.

    Raises:
        ConfigError: the sizes do not multiply to the number of devices, or the devices are in other slices.
    """
    if devices is None:
        devices = jax.devices()
    total = devices if isinstance(devices, int) else len(devices)
    sizes = {SLICES: dcn, "data": data, "fsdp": fsdp, "tensor": tensor}
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ConfigError(f"mesh axis {name} must be at least 1, not {size}")
    fixed = math.prod(size for size in sizes.values() if size is not None)
    free = [name for name, size in sizes.items() if size is None]
    if len(free) > 1:
        raise ConfigError(f"one mesh axis may be None, not {' and '.join(free)}")
    axes = {name: max(total // fixed, 1) if size is None else size for name, size in sizes.items()}
    if dcn == 1:
        del axes[SLICES]
    shape = tuple(axes.values())
    if math.prod(shape) != total:
        named = ", ".join(f"{name}={size}" for name, size in axes.items())
        raise ConfigError(f"a mesh of {named} needs {math.prod(shape)} devices; there are {total}")
    # Auto: the compiler places activations. (jax.make_mesh's own default, Explicit, types every array by its place.)
    types = (AxisType.Auto,) * len(axes)
    if isinstance(devices, int):
        return AbstractMesh(shape, tuple(axes), axis_types=types)
    parts = slices(devices, dcn)
    if dcn == 1:
        return jax.make_mesh(shape, tuple(axes), axis_types=types, devices=parts[0])
    placed = [jax.make_mesh(shape[1:], MESH_AXES, axis_types=types[1:], devices=part).devices for part in parts]
    return Mesh(np.stack(placed), tuple(axes), axis_types=types)


def slices(devices: Sequence[jax.Device], count: int) -> list[list[jax.Device]]:
    """Returns the devices of each of `count` slices, in order.

    Raises:
        ConfigError: the devices say that they are in several slices, and not in so many.
    """
    groups: dict[int, list[jax.Device]] = {}
    for device in devices:
        groups.setdefault(getattr(device, "slice_index", 0), []).append(device)
    if len(groups) == 1:
        size = len(devices) // count
        return [list(devices[place * size : (place + 1) * size]) for place in range(count)]
    if len(groups) != count:
        raise ConfigError(
            f"the devices are in {len(groups)} slices, and the mesh is of {count}: --gin_file=mesh/slices.gin "
            f"--gin.SLICES={len(groups)}"
        )
    return [groups[number] for number in sorted(groups)]


def is_ours(mesh: Mesh | AbstractMesh) -> bool:
    """Returns whether a mesh has the axes that `make_mesh` gives."""
    return mesh.axis_names[-len(MESH_AXES) :] == MESH_AXES


def batch_axes(mesh: Mesh | AbstractMesh) -> tuple[str, ...]:
    """Returns the axes of a mesh over which a batch is divided."""
    return tuple(axis for axis in BATCH_AXES if axis in mesh.shape)


def batch_parts(mesh: Mesh | AbstractMesh) -> int:
    """Returns into how many parts a mesh divides a batch."""
    return math.prod(mesh.shape[axis] for axis in batch_axes(mesh))


def partition_spec(axes: Sequence[str], shape: Sequence[int], mesh: Mesh) -> PartitionSpec:
    """Returns where an array of `shape` with logical `axes` lies; a dimension its mesh axis cannot divide stays whole.

    Raises ConfigError naming an axis that is not in RULES.
    """
    entries: list[str | None] = []
    for axis, size in zip(axes, shape, strict=True):
        if axis not in RULES:
            raise ConfigError(f"no sharding rule for logical axis {axis!r} (known: {', '.join(RULES)})")
        mesh_axis = RULES[axis]
        entries.append(mesh_axis if mesh_axis is not None and size % mesh.shape[mesh_axis] == 0 else None)
    return PartitionSpec(*entries)


def _is_variable(node: Any) -> bool:
    return isinstance(node, nnx.Variable)


def _spec(node: Any, mesh: Mesh) -> PartitionSpec:
    """The spec of a leaf; what is no parameter, or no longer has its parameter's rank, is replicated."""
    axes = node.get_metadata().get("axes") if _is_variable(node) else None
    shape = node.shape if _is_variable(node) else ()
    return partition_spec(axes, shape, mesh) if axes is not None and len(axes) == len(shape) else PartitionSpec()


def shardings(state: Any, mesh: Mesh) -> Any:
    """Returns the tree of NamedSharding of a tree of (abstract or real) parameters.

    It also places trees made from parameters, such as optimizer states: moments lie where their parameter lies,
    scalars and factored moments on every device.
    """

    def place(node: Any) -> Any:
        sharding = NamedSharding(mesh, _spec(node, mesh))
        return node.replace(sharding) if _is_variable(node) else sharding

    return jax.tree.map(place, state, is_leaf=_is_variable)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns where every array of a batch lies: the first dimension divided over slices, `data` and `fsdp`."""
    return NamedSharding(mesh, PartitionSpec(batch_axes(mesh)))


def constrain_batch(x: jax.Array) -> jax.Array:
    """Keeps activations [batch, ...] divided by example (and by nothing else) under `jax.set_mesh`.

    Without it XLA answers parameters divided over `fsdp` by dividing activations the same way and summing them over
    the devices, layer after layer, instead of gathering the parameters. Does nothing outside of a mesh of ours or for
    a batch the mesh cannot divide.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if not is_ours(mesh) or x.shape[0] % batch_parts(mesh):
        return x
    return jax.lax.with_sharding_constraint(x, PartitionSpec(batch_axes(mesh)))


def gather_table(table: jax.Array, rows: str = "vocab") -> jax.Array:
    """Gathers an embedding table [rows, d_model] over `fsdp` under `jax.set_mesh`; its rows stay where they are.

    `rows` is their logical axis.

    A look-up in a table divided by columns gives activations divided by columns, which XLA can only bring back to a
    division by example by replicating them.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if not is_ours(mesh):
        return table
    rows_axis, _ = partition_spec((rows, "embed"), table.shape, mesh)
    return jax.lax.with_sharding_constraint(table, PartitionSpec(rows_axis, None))


def describe(params: nnx.State, mesh: Mesh) -> str:
    """Returns a table of every parameter's name, shape, spec and bytes on one device, with the totals."""
    rows = [("parameter", "shape", "sharding", "bytes per device")]
    count = bytes_per_device = 0
    for path, param in nnx.to_flat_state(params):
        spec = _spec(param, mesh)
        local = NamedSharding(mesh, spec).shard_shape(param.shape)
        local_bytes = math.prod(local) * param.dtype.itemsize
        count += math.prod(param.shape)
        bytes_per_device += local_bytes
        shape = " x ".join(map(str, param.shape))
        rows.append((".".join(map(str, path)), shape, ", ".join(map(str, spec)), f"{local_bytes:,}"))
    rows.append((f"total: {count:,} parameters", "", "", f"{bytes_per_device:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]:>{widths[3]}}".rstrip()
        for row in rows
    )
