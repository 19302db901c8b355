"""Train state: everything that changes while a model trains, its shapes and its places on a mesh.

A step depends on the state and the batch alone, so a state that was saved and restored goes on bit for bit. One device
and many have the same code: states and batches are placed on a mesh, and `jax.jit` does the rest.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from t5music.training.note_masking.masker import MaskerState

Params = dict[str, Any]  # nested dict of float32 arrays, named as in network.T5


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Window:
    """Sums over the steps since metrics were last written: float32 [] each, apart from `bad_step`.

    It is part of the state so that a run that is resumed between two lines of metrics writes the next line exactly.

    Attributes:
        steps: number of steps.
        loss: over target tokens, z-loss included.
        z_loss: the z-loss in it.
        correct: target tokens that are the likeliest.
        tokens: target tokens (sum of the loss weights).
        input_tokens: tokens that are read and not predicted, without padding: those of the encoder, or those of a
            decoder-only model that have no loss weight.
        gradient_norm: the gradient's global norm, before clipping.
        bad_step: the step whose loss or gradient is not finite, int32 []; 0 for none. From it on nothing else changes.
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
    """Everything that changes in training.

    Attributes:
        step: number of updates, int32 [].
        params: parameters, float32.
        opt_state: of the optax transformation.
        key: the data of the random key of which every step's dropout key is a function, uint32 [2].
        window: sums since metrics were last written.
        masker: the state of a note masker (`note_masking.masker.MaskerState`); None where no notes are masked.
    """

    step: jax.Array
    params: Params
    opt_state: optax.OptState
    key: jax.Array
    window: Window
    masker: MaskerState | None = None


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
    masker: MaskerState | None = None,
) -> TrainState:
    """Returns a TrainState of jax.ShapeDtypeStruct: shape, type and place of each array; nothing is allocated.

    An array of the optimizer's state that has its parameter's shape also has its place; scalars and Adafactor's
    factored moments, which are small, are on every device.

    Args:
        abstract: parameters, from `parameters.abstract`.
        transformation: the optimizer of the parameters that train.
        mesh: from `model.sharding`.
        trainable: which parameters train.
        masker: shapes and types of a note masker's state, which is on every device.
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
    """Returns the key of a run's initial parameters; dropout has another key."""
    return jax.random.split(jax.random.key(seed))[0]


def create(
    config: T5Config,
    transformation: optax.GradientTransformation,
    target: TrainState,
    mesh: Mesh,
    *,
    seed: int,
    params: Params | None = None,
    opt_state: optax.OptState | None = None,
    trainable: Trainable = EVERYTHING,
    masker: MaskerState | None = None,
) -> TrainState:
    """Returns the state of step 0.

    Args:
        config: the model.
        transformation: the optimizer of the parameters that train.
        target: shapes and places, from `abstract_state`.
        mesh: from `model.sharding`.
        seed: of the initial parameters and of dropout.
        params: initial parameters instead of random ones; they are copied.
        opt_state: an earlier run's state of the optimizer instead of a new one; it is copied. The learning rate begins
            anew.
        trainable: which parameters train.
        masker: the first state of a note masker; it is copied.
    """
    shardings = places(target)
    dropout_key = jax.random.split(jax.random.key(seed))[1]
    if params is None:
        params = nnx.to_pure_dict(parameters.initialise(config, initial_key(seed), mesh)[1])
    else:
        # The training step reuses its state's buffers, so the state must not have the caller's.
        params = jax.device_put(params, shardings.params, may_alias=False)
    if opt_state is None:
        opt_state = jax.jit(transformation.init, out_shardings=shardings.opt_state)(trainable.select(params))
    else:
        opt_state = jax.device_put(_from_first_rate(opt_state), shardings.opt_state, may_alias=False)
    rest = (np.zeros((), np.int32), np.asarray(jax.random.key_data(dropout_key)), empty_window())
    step, key, window = jax.device_put(rest, (shardings.step, shardings.key, shardings.window))
    return TrainState(step, params, opt_state, key, window, jax.device_put(masker, shardings.masker, may_alias=False))


def _from_first_rate(opt_state: optax.OptState) -> optax.OptState:
    """An optimizer's state whose learning rate is that of step 0: moments go on, the schedule is the new run's."""

    def reset(node: Any) -> Any:
        is_schedule = isinstance(node, optax.ScaleByScheduleState)
        return node._replace(count=np.zeros_like(node.count)) if is_schedule else node

    return jax.tree.map(reset, opt_state, is_leaf=lambda node: isinstance(node, optax.ScaleByScheduleState))
