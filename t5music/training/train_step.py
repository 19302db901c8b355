"""The training step: jitted, from a state and a batch to the next state."""

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
from jax.sharding import Mesh

from t5music.errors import ConfigError
from t5music.model import sharding
from t5music.model.config import PAD_ID
from t5music.training.freezing import EVERYTHING, Trainable
from t5music.training.losses import Z_LOSS, LossSums, teacher_forced
from t5music.training.train_state import Params, TrainState, Window, places

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

Step = Callable[[TrainState, Mapping[str, jax.Array]], tuple[TrainState, jax.Array]]


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
