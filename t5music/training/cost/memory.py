"""Memory of a training step on one device, by kind, computed on shapes: nothing is allocated or compiled.

Parameters, optimizer state and batch follow from the abstract state and its shardings. The residuals, which are the
arrays of the forward pass that the backward pass needs, come from JAX itself: the function that `jax.vjp` returns is a
tree with the residuals as leaves, and under `jax.eval_shape` these are shapes. The model is the part that one device
computes: with its share of the heads, of the feed-forward layer, of the vocabulary and of the batch.

XLA stores fewer residuals (it recomputes what is cheap) and needs room to work. `Memory.workspace` allows for that room
as much as the largest parts of a step hold at once.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import AbstractMesh, Mesh

from t5music.model import parameters, sharding
from t5music.model.config import SEQUENCE, T5Config
from t5music.training import freezing, train_step
from t5music.training import train_state as states
from t5music.training.losses import teacher_forced
from t5music.training.optimizers import Optimizer

Patterns = tuple[str, ...] | None  # of what trains


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device.

    Attributes:
        parameters: float32, this device's share.
        optimizer: the optimizer's state.
        gradients: of this device's parameters; twice with microbatches, which are summed.
        activations: the residuals of the backward pass without those in the shape of the logits.
        logits: the residuals of a (micro)batch in the shape of the logits.
        batch: tokens and weights.
        workspace: gathered parameters, gradients before they are divided, and what one layer holds at once.
    """

    parameters: int
    optimizer: int
    gradients: int
    activations: int
    logits: int
    batch: int
    workspace: int

    @property
    def total(self) -> int:
        """The sum of all kinds."""
        return sum(dataclasses.asdict(self).values())


def of_step(
    config: T5Config,
    optimizer: Optimizer,
    mesh: Mesh | AbstractMesh,
    *,
    rows: int,
    lengths: Mapping[str, int],
    microbatches: int = 1,
    trainable: Sequence[str] | None = None,
) -> Memory:
    """Returns the memory of one training step on one device of `mesh`.

    Args:
        config: the model.
        optimizer: see `optimizers`.
        mesh: real or abstract, from `model.sharding`.
        rows: of the batch, over all devices.
        lengths: positions of a row, {"inputs": n, "targets": n}.
        microbatches: see `train_step.make_train_step`.
        trainable: see `freezing.choose`.
    """
    _, abstract = parameters.abstract(config)
    trains = freezing.choose(abstract, trainable)
    transformation = optimizer.transformation(trains.select(states.logical_axes(abstract)))
    target = states.abstract_state(abstract, transformation, mesh, trains)
    gradients = _sharded_bytes(jax.tree.leaves(trains.select(target.params)))
    device_rows = math.ceil(rows / sharding.batch_parts(mesh))
    step_rows = math.ceil(device_rows / microbatches)

    local = _local(config, mesh)
    patterns = None if trainable is None else tuple(trainable)
    activations, logits = _residual_bytes(local, step_rows, lengths, patterns)
    layer, ends = _gathered(local)
    return Memory(
        parameters=_sharded_bytes(jax.tree.leaves(target.params)),
        optimizer=_sharded_bytes(jax.tree.leaves(target.opt_state)),
        gradients=gradients * (2 if microbatches > 1 else 1),
        activations=activations,
        logits=logits,
        batch=_bytes(abstract_batch(config, device_rows, lengths).values()),
        workspace=_layer_work(local, step_rows, lengths) + (2 * layer + 2 * ends if _size(mesh, "fsdp") > 1 else 0),
    )


def abstract_batch(config: T5Config, rows: int, lengths: Mapping[str, int]) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of a batch by names of `train_step.MODEL_FEATURES`, packed unless for an encoder alone."""
    lengths = _row_lengths(config, lengths)
    if config.encoder_only:
        names = {"encoder_input_tokens", "decoder_target_tokens", "decoder_loss_weights"}
    else:
        unread = "encoder" if config.decoder_only else "decoder_causal"
        names = {name for name in train_step.MODEL_FEATURES if not name.startswith(unread)}
    return {
        name: jax.ShapeDtypeStruct(
            (rows, lengths["inputs" if name.startswith("encoder") else "targets"]),
            jnp.float32 if name.endswith("weights") else jnp.int32,
        )
        for name in train_step.MODEL_FEATURES
        if name in names
    }


def _row_lengths(config: T5Config, lengths: Mapping[str, int]) -> Mapping[str, int]:
    """The positions that the encoder reads, and those with logits; a decoder-only model has one sequence of both."""
    if config.encoder_only:
        return {"inputs": lengths["inputs"], "targets": 1 if config.head == SEQUENCE else lengths["inputs"]}
    return {"inputs": 0, "targets": sum(lengths.values())} if config.decoder_only else lengths


def _size(mesh: Mesh | AbstractMesh, *axes: str) -> int:
    return math.prod(mesh.shape[axis] for axis in axes)


def _bytes(leaves: Iterable[jax.ShapeDtypeStruct | nnx.Variable]) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def _sharded_bytes(leaves: Iterable[jax.ShapeDtypeStruct]) -> int:
    """Bytes on one device of arrays that have a sharding."""
    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)


def _local(config: T5Config, mesh: Mesh | AbstractMesh) -> T5Config:
    """The part of the model that one device computes: its share along the mesh axis `tensor`."""
    parts = _size(mesh, "tensor")
    shares = {
        name: getattr(config, name) // parts
        for name in ("num_heads", "d_ff", "adapter_dim", "vocab_size")
        if getattr(config, name) % parts == 0
    }
    return dataclasses.replace(config, **shares)


def _residual_bytes(config: T5Config, rows: int, lengths: Mapping[str, int], trainable: Patterns) -> tuple[int, int]:
    """Bytes of the residuals of some rows: (all but those in the shape of the logits, those)."""

    def sums(few: int) -> tuple[int, int]:
        shape = (few, _row_lengths(config, lengths)["targets"], config.outputs)
        leaves = _residuals(config, few, lengths["inputs"], lengths["targets"], trainable)
        logits = [leaf for leaf in leaves if leaf.shape == shape]
        return _bytes(leaves) - _bytes(logits), _bytes(logits)

    return _of_rows(sums(1)[0], sums(2)[0], rows), _of_rows(sums(1)[1], sums(2)[1], rows)


def _of_rows(one: int, two: int, rows: int) -> int:
    """The bytes of some rows from those of one and of two; a part (the position bias) does not depend on the rows."""
    return one + (rows - 1) * (two - one)


@functools.lru_cache
def _residuals(
    config: T5Config, rows: int, inputs: int, targets: int, trainable: Patterns
) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Shapes of the residuals of the loss's gradient by the parameters that train, without the parameters themselves.

    Layers are always scanned here, because tracing them one by one takes long. Unrolled layers have at most as many
    residuals; how many fewer depends on what XLA can fuse.
    """
    graphdef, abstract = parameters.abstract(dataclasses.replace(config, scan_layers=True))
    params = nnx.to_pure_dict(abstract)
    trains = freezing.choose(abstract, trainable)

    def backward(params: states.Params, batch: Mapping[str, jax.Array], key: jax.Array) -> Callable[..., Any]:
        def loss(trained: states.Params) -> jax.Array:
            return teacher_forced(nnx.merge(graphdef, trains.join(trained, params)), batch, key).loss

        return jax.vjp(loss, trains.select(params))[1]

    batch = abstract_batch(config, rows, {"inputs": inputs, "targets": targets})
    leaves = jax.tree.leaves(jax.eval_shape(backward, params, batch, jax.eval_shape(lambda: jax.random.key(0))))
    param_counts = collections.Counter((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(params))
    residuals = []
    for leaf in leaves:
        if param_counts[leaf.shape, leaf.dtype] > 0:
            param_counts[leaf.shape, leaf.dtype] -= 1
        else:
            residuals.append(leaf)
    return tuple(residuals)


def _gathered(config: T5Config) -> tuple[int, int]:
    """(bytes of the largest layer's parameters, bytes of the parameters outside the layers)."""
    layers: collections.Counter[freezing.Path] = collections.Counter()
    ends = 0
    for path, param in nnx.to_flat_state(parameters.abstract(config)[1]):
        axes = param.get_metadata()["axes"]
        size = _bytes([param])
        if axes[0] == "layers":
            layers[path[:2]] += size // param.shape[0]
        elif "layers" in path:
            layers[path[:3]] += size
        else:
            ends += size
    return max(layers.values()), ends


def _layer_work(config: T5Config, rows: int, lengths: Mapping[str, int]) -> int:
    """Bytes that a step holds at once beside the residuals: the larger of the logits' gradient and a layer's work.

    A layer's backward pass holds the gradients of its widest arrays, and what rematerialisation computes again.
    """
    row_lengths = _row_lengths(config, lengths)
    length = max(row_lengths.values())
    width = 2 if config.activations == "bfloat16" else 4
    attention = 2 * config.num_heads * length * length * 4
    feed_forward = (3 if config.gated else 2) * length * config.d_ff * width
    again = 0
    if config.remat_policy != "none":
        stored = _layer_residual_bytes(config, rows, lengths)
        again = max(_layer_residual_bytes(dataclasses.replace(config, remat_policy="none"), rows, lengths) - stored, 0)
    return max(rows * row_lengths["targets"] * config.outputs * 4, rows * max(attention, feed_forward) + again)


def _layer_residual_bytes(config: T5Config, rows: int, lengths: Mapping[str, int]) -> int:
    """Bytes of the residuals of one layer, the larger of an encoder's and a decoder's."""
    # These numbers of layers are no other dimension, so they tell the scanned arrays of encoder and decoder apart.
    encoder = 0 if config.decoder_only else 5
    decoder = 0 if config.encoder_only else 5 if config.shared_layers else 7
    few = dataclasses.replace(config, num_encoder_layers=encoder, num_decoder_layers=decoder)

    def of_layer(depth: int, rows: int) -> int:
        leaves = _residuals(few, rows, lengths["inputs"], lengths["targets"], None)
        return _bytes(leaf for leaf in leaves if leaf.shape[:1] == (depth,)) // depth

    return max(_of_rows(of_layer(depth, 1), of_layer(depth, 2), rows) for depth in {encoder, decoder} - {0})
