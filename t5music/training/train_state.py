"""The state of a training run and the jitted step that advances it.

Everything a step depends on is in the state or the batch, so a state saved and restored goes on bit for bit. There is
one code path for one device and for many: states and batches are placed on a mesh, the rest is `jax.jit`'s.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from t5music.errors import ConfigError
from t5music.model import parameters, sharding
from t5music.model.config import PAD_ID, T5Config
from t5music.training.freezing import EVERYTHING, Trainable
from t5music.training.losses import Z_LOSS, LossSums, teacher_forced
from t5music.training.optimizers import Axes

MODEL_FEATURES = (
    "encoder_input_tokens",
    "decoder_input_tokens",
    "decoder_target_tokens",
    "decoder_loss_weights",
    "encoder_segment_ids",
    "decoder_segment_ids",
    "decoder_causal_attention",
    "chunk",
    "epoch",
)

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


Step = Callable[[TrainState, Mapping[str, jax.Array]], tuple[TrainState, jax.Array]]


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


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Places this process's rows of a batch on the mesh, and leaves out what the model does not read.

    Raises ConfigError where the devices cannot share the rows evenly.
    """
    arrays = {name: batch[name] for name in MODEL_FEATURES if name in batch}
    require_divisible(len(next(iter(arrays.values()))) * jax.process_count(), mesh)
    place = sharding.batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(place, array) for name, array in arrays.items()}


def require_divisible(rows: int, mesh: Mesh) -> None:
    """Raises ConfigError where the devices of a mesh cannot share a batch of so many rows evenly."""
    devices = math.prod(mesh.shape[axis] for axis in sharding.BATCH_AXES)
    if rows % devices:
        raise ConfigError(f"a batch of {rows} examples cannot be divided over the {devices} devices that share it")


def make_train_step(
    graphdef: nnx.GraphDef,
    transformation: optax.GradientTransformation,
    target: TrainState,
    *,
    microbatches: int = 1,
    z_loss: float = Z_LOSS,
    label_smoothing: float = 0.0,
    trainable: Trainable = EVERYTHING,
) -> Step:
    """Returns the jitted step (state, batch) -> (state, loss sum); the given state's buffers are reused.

    An update whose loss or gradient is not finite is not done, nor is any after it: the state stays the one before that
    batch, with the step's number in `window.bad_step`, and the loss sum returned is NaN.

    The gradient is that of the loss summed over target tokens, divided by the number of target positions, padding
    included: a constant, as in mesh TensorFlow, so that every token weighs the same however full its batch is. (To
    Adafactor a constant makes no difference; AdamW's eps and clipping by norm expect gradients of this size.)

    Args:
        graphdef: of the model, from `parameters.abstract`.
        transformation: the optimizer, of what trains.
        target: shapes and places, from `abstract_state`.
        microbatches: parts the batch is computed in, one after the other, to save memory; gradients and sums are
            those of the whole batch. The step raises ConfigError for a batch it cannot divide.
        z_loss: see losses.
        label_smoothing: see losses.
        trainable: what of the parameters is updated; all else stays as it is, to the last bit.
    """

    def loss(trained: Params, params: Params, batch: Mapping[str, jax.Array], key: jax.Array) -> Any:
        model = nnx.merge(graphdef, trainable.join(trained, params))
        sums = teacher_forced(model, batch, key, z_loss=z_loss, label_smoothing=label_smoothing)
        return sums.loss, sums

    def gradient_and_sums(params: Params, batch: Mapping[str, jax.Array], key: jax.Array) -> tuple[Params, LossSums]:
        gradient, sums = jax.grad(loss, has_aux=True)(trainable.select(params), params, batch, key)
        return trainable.clear(gradient), sums

    def accumulated(params: Params, batch: Mapping[str, jax.Array], key: jax.Array) -> tuple[Params, LossSums]:
        def add(total: Any, part: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, gradient_and_sums(params, *part)), None

        rows = len(batch["decoder_target_tokens"])
        if rows % microbatches:
            raise ConfigError(f"a batch of {rows} examples cannot be divided into {microbatches} microbatches")
        # Every microbatch takes each microbatches-th row, so that rows stay on their devices.
        parts = jax.tree.map(lambda x: x.reshape(-1, microbatches, *x.shape[1:]).swapaxes(0, 1), dict(batch))
        keys = jax.random.split(key, microbatches)
        zeros = (
            jax.tree.map(jnp.zeros_like, trainable.select(params)),
            LossSums(*(jnp.zeros(()) for _ in LossSums._fields)),
        )
        return jax.lax.scan(add, zeros, (parts, keys))[0]

    def step(state: TrainState, batch: Mapping[str, jax.Array]) -> tuple[TrainState, jax.Array]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        compute = gradient_and_sums if microbatches == 1 else accumulated
        gradient, sums = compute(state.params, batch, key)
        positions = batch["decoder_target_tokens"].size
        gradient = jax.tree.map(lambda g: g / positions, gradient)
        return advance(state, gradient, sums, input_tokens(batch), transformation, trainable)

    return jax.jit(step, donate_argnums=0, out_shardings=(places(target), None))


def advance(
    state: TrainState,
    gradient: Params,
    sums: LossSums,
    read: jax.Array,
    transformation: optax.GradientTransformation,
    trainable: Trainable = EVERYTHING,
    masker: Any = None,
) -> tuple[TrainState, jax.Array]:
    """Returns the state after an update, and the batch's loss sum; where either is not finite, see `make_train_step`.

    Args:
        state: before it.
        gradient: of what trains.
        sums: of the batch.
        read: how many tokens were read and not predicted.
        transformation: the optimizer, of what trains.
        trainable: what of the parameters is updated.
        masker: of the new state.
    """
    trained = trainable.select(state.params)
    updates, opt_state = transformation.update(gradient, state.opt_state, trained)
    updated = trainable.keep(state.step, optax.apply_updates(trained, updates), trained)
    params = trainable.join(updated, state.params)

    norm = optax.tree.norm(gradient)
    done = state.step + 1
    window = state.window
    good = (window.bad_step == 0) & jnp.isfinite(sums.loss) & jnp.isfinite(norm)
    summed = Window(
        steps=window.steps + 1,
        loss=window.loss + sums.loss,
        z_loss=window.z_loss + sums.z_loss,
        correct=window.correct + sums.correct,
        tokens=window.tokens + sums.weight,
        input_tokens=window.input_tokens + read,
        gradient_norm=window.gradient_norm + norm,
        bad_step=window.bad_step,
    )
    stopped = dataclasses.replace(window, bad_step=jnp.where(window.bad_step == 0, done, window.bad_step))
    # The choice is made element by element where the update is computed, and so costs next to nothing.
    state = jax.tree.map(
        functools.partial(jnp.where, good),
        TrainState(done, params, opt_state, state.key, summed, masker),
        dataclasses.replace(state, window=stopped),
    )
    return state, jnp.where(good, sums.loss, jnp.nan)


def input_tokens(batch: Mapping[str, jax.Array]) -> jax.Array:
    """Counts the tokens that are read and not predicted."""
    if "encoder_input_tokens" in batch:
        return jnp.sum(batch["encoder_input_tokens"] != PAD_ID)
    return jnp.sum((batch["decoder_target_tokens"] != PAD_ID) & (batch["decoder_loss_weights"] == 0))
