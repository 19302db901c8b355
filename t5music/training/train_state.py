"""The state of a training run and the jitted step that advances it.

Everything a step depends on is in the state or the batch, so a state saved and restored goes on bit for bit. There is
one code path for one device and for many: states and batches are placed on a mesh, the rest is `jax.jit`'s.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from t5music.model import parameters, sharding
from t5music.model.config import T5Config
from t5music.training.freezing import EVERYTHING, Trainable
from t5music.training.optimizers import Axes

Params = dict[str, Any]  # nested dict of float32 arrays, named as in network.T5


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Window:
    """Sums over the steps since metrics were last written: float32 scalars, but for `bad_step`.

    It is part of the state so that a run resumed between two lines of metrics writes the next line exactly.

    Attributes:
        steps: steps summed.
        loss: sum of the loss over target tokens, z-loss included.
        z_loss: the z-loss in it.
        correct: target tokens that were the likeliest ones.
        tokens: target tokens (sum of the loss weights).
        input_tokens: tokens read and not predicted: those of the encoder, or those of a decoder-only model that have no
            loss weight; padding does not count.
        gradient_norm: sum over steps of the gradient's global norm, before clipping.
        bad_step: int32, the step whose loss or gradient was not finite, 0 for none: from it on nothing else changes.
    """

    steps: jax.Array
    loss: jax.Array
    z_loss: jax.Array
    correct: jax.Array
    tokens: jax.Array
    input_tokens: jax.Array
    gradient_norm: jax.Array
    bad_step: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that changes while training.

    Attributes:
        step: int32 scalar, updates done.
        params: parameters, float32.
        opt_state: of the optax transformation.
        key: uint32 data of the random key from which every step's dropout key is folded.
        window: sums since metrics were last written.
        masker: what chooses the notes to mask (`masking`), None where nothing does.
    """

    step: jax.Array
    params: Params
    opt_state: Any
    key: jax.Array
    window: Window
    masker: Any = None


def empty_window() -> Window:
    """Returns sums over no steps."""
    zeros = {field.name: np.zeros((), np.float32) for field in dataclasses.fields(Window)}
    return Window(**{**zeros, "bad_step": np.zeros((), np.int32)})


def logical_axes(abstract: nnx.State) -> Axes:
    """Returns the axis names of every parameter, as a nested dict like `TrainState.params`."""
    axes = {path: param.get_metadata()["axes"] for path, param in nnx.to_flat_state(abstract)}
    return nnx.traversals.unflatten_mapping(axes)


def abstract_state(
    abstract: nnx.State,
    transformation: optax.GradientTransformation,
    mesh: Mesh,
    trainable: Trainable = EVERYTHING,
    masker: Any = None,
) -> TrainState:
    """Returns a TrainState of jax.ShapeDtypeStruct: shape, type and place of each array; nothing is allocated.

    What the optimizer keeps at a parameter in the parameter's shape lies where the parameter lies; scalars and
    Adafactor's factored moments, which are small, are on every device.

    Args:
        abstract: parameters, from `parameters.abstract`.
        transformation: the optimizer, of what trains.
        mesh: of `model.sharding`.
        trainable: which parameters it keeps a state of.
        masker: shapes and types of what chooses notes to mask; it is on every device.
    """
    whole = NamedSharding(mesh, PartitionSpec())
    params = nnx.to_pure_dict(abstract)
    places = nnx.traversals.flatten_mapping(nnx.to_pure_dict(sharding.shardings(abstract, mesh)))
    shapes = {path: leaf.shape for path, leaf in nnx.traversals.flatten_mapping(params).items()}

    def place(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        name = tuple(entry.key for entry in path if isinstance(entry, jax.tree_util.DictKey))
        return leaf.update(sharding=places[name] if shapes.get(name) == leaf.shape else whole)

    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    state = TrainState(
        step=jax.ShapeDtypeStruct((), jnp.int32),
        params=params,
        opt_state=jax.eval_shape(transformation.init, trainable.select(params)),
        key=key,
        window=jax.eval_shape(empty_window),
        masker=masker,
    )
    return jax.tree_util.tree_map_with_path(place, state)


def places(target: TrainState) -> TrainState:
    """Returns the shardings of an abstract state."""
    return jax.tree.map(lambda leaf: leaf.sharding, target)


def initial_key(seed: int) -> jax.Array:
    """Returns the key of a run's initial parameters; its dropout has another."""
    return jax.random.split(jax.random.key(seed))[0]


def create(
    config: T5Config,
    transformation: optax.GradientTransformation,
    target: TrainState,
    mesh: Mesh,
    *,
    seed: int,
    params: Params | None = None,
    trainable: Trainable = EVERYTHING,
    masker: Any = None,
) -> TrainState:
    """Returns the state of step 0, placed as `target` (`abstract_state`) says.

    Args:
        config: the model.
        transformation: the optimizer, of what trains.
        target: shapes and places.
        mesh: of `model.sharding`.
        seed: of the initial parameters and of dropout.
        params: initial parameters instead of random ones; they are copied.
        trainable: as of `abstract_state`.
        masker: the first state of what chooses notes to mask; it is copied.
    """
    at = places(target)
    dropout_key = jax.random.split(jax.random.key(seed))[1]
    if params is None:
        params = nnx.to_pure_dict(parameters.initialise(config, initial_key(seed), mesh)[1])
    else:
        # The training step overwrites its state in place: it must not get the caller's own buffers.
        params = jax.device_put(params, at.params, may_alias=False)
    opt_state = jax.jit(transformation.init, out_shardings=at.opt_state)(trainable.select(params))
    rest = (np.zeros((), np.int32), np.asarray(jax.random.key_data(dropout_key)), empty_window())
    step, key, window = jax.device_put(rest, (at.step, at.key, at.window))
    return TrainState(step, params, opt_state, key, window, jax.device_put(masker, at.masker, may_alias=False))
