"""Training step: the jitted function from a state and a batch to the next state, and a batch's place on a mesh."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from t5music.training.note_masking.masker import MaskerState

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
    """Places this process's rows of a batch on a mesh, without the features that the model does not read.

    Args:
        batch: feature -> [rows of this process, ...].
        mesh: from `model.sharding`.

    Returns:
        Feature -> [rows of all processes, ...].

    Raises:
        ConfigError: the devices cannot share the rows evenly.
    """
    arrays = {name: batch[name] for name in MODEL_FEATURES if name in batch}
    require_divisible(len(next(iter(arrays.values()))) * jax.process_count(), mesh)
    place = sharding.batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(place, array) for name, array in arrays.items()}


def require_divisible(rows: int, mesh: Mesh) -> None:
    """Refuses a batch of `rows` rows that the devices of a mesh cannot share evenly.

    Raises:
        ConfigError: the number of devices does not divide the rows.
    """
    devices = sharding.batch_parts(mesh)
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
    """Returns the jitted step (state, batch) -> (state, loss sum), which reuses the buffers of its state.

    An update whose loss or gradient is not finite is not applied, nor is any after it: the state stays the one before
    that batch, apart from the step's number in `window.bad_step`, and the returned loss sum is NaN.

    The gradient is that of the loss summed over target tokens, divided by the number of target positions, padding
    included. This number is constant, as in Mesh TensorFlow, so every token weighs the same, however full its batch is.
    (Adafactor does not depend on it; AdamW's eps and clipping by norm expect gradients of this size.)

    Args:
        graphdef: of the model, from `parameters.abstract`.
        transformation: the optimizer of the parameters that train.
        target: shapes and places, from `train_state.abstract_state`.
        microbatches: number of parts of a batch, computed one after the other to save memory; gradients and sums are
            those of the whole batch. The step raises ConfigError for a batch that cannot be divided evenly.
        z_loss: see `losses`.
        label_smoothing: see `losses`.
        trainable: which parameters train; all others stay as they are, to the last bit.
    """

    def loss(
        trained: Params, params: Params, batch: Mapping[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, LossSums]:
        model = nnx.merge(graphdef, trainable.join(trained, params))
        sums = teacher_forced(model, batch, key, z_loss=z_loss, label_smoothing=label_smoothing)
        return sums.loss, sums

    def gradient_and_sums(params: Params, batch: Mapping[str, jax.Array], key: jax.Array) -> tuple[Params, LossSums]:
        gradient, sums = jax.grad(loss, has_aux=True)(trainable.select(params), params, batch, key)
        return trainable.clear(gradient), sums

    compute = gradient_and_sums if microbatches == 1 else _accumulated(gradient_and_sums, trainable, microbatches)

    def step(state: TrainState, batch: Mapping[str, jax.Array]) -> tuple[TrainState, jax.Array]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        gradient, sums = compute(state.params, batch, key)
        positions = batch["decoder_target_tokens"].size
        gradient = jax.tree.map(lambda g: g / positions, gradient)
        return advance(state, gradient, sums, input_tokens(batch), transformation, trainable)

    return jax.jit(step, donate_argnums=0, out_shardings=(places(target), None))


_GradientAndSums = Callable[[Params, Mapping[str, jax.Array], jax.Array], tuple[Params, LossSums]]


def _accumulated(gradient_and_sums: _GradientAndSums, trainable: Trainable, microbatches: int) -> _GradientAndSums:
    """Returns a function that adds up gradients and sums over the microbatches of a batch."""

    def compute(params: Params, batch: Mapping[str, jax.Array], key: jax.Array) -> tuple[Params, LossSums]:
        def add(
            total: tuple[Params, LossSums], part: tuple[dict[str, jax.Array], jax.Array]
        ) -> tuple[tuple[Params, LossSums], None]:
            return jax.tree.map(jnp.add, total, gradient_and_sums(params, *part)), None

        rows = len(batch["decoder_target_tokens"])
        if rows % microbatches:
            raise ConfigError(f"a batch of {rows} examples cannot be divided into {microbatches} microbatches")
        # A microbatch has every `microbatches`-th row, so that rows stay on their devices.
        parts = jax.tree.map(
            lambda array: array.reshape(-1, microbatches, *array.shape[1:]).swapaxes(0, 1), dict(batch)
        )  # [microbatches, batch / microbatches, length]
        keys = jax.random.split(key, microbatches)  # [microbatches]
        zeros = (
            jax.tree.map(jnp.zeros_like, trainable.select(params)),
            LossSums(*(jnp.zeros(()) for _ in LossSums._fields)),
        )
        return jax.lax.scan(add, zeros, (parts, keys))[0]

    return compute


def advance(
    state: TrainState,
    gradient: Params,
    sums: LossSums,
    tokens_read: jax.Array,
    transformation: optax.GradientTransformation,
    trainable: Trainable = EVERYTHING,
    masker: MaskerState | None = None,
) -> tuple[TrainState, jax.Array]:
    """Returns the state after an update, and the batch's loss sum.

    If the loss or the gradient is not finite, both are as `make_train_step` says.

    Args:
        state: before the update.
        gradient: of the parameters that train, in their shapes.
        sums: of the batch.
        tokens_read: number of tokens that were read and not predicted, [].
        transformation: the optimizer of the parameters that train.
        trainable: which parameters train.
        masker: the note masker's state after the update.
    """
    trained = trainable.select(state.params)
    updates, opt_state = transformation.update(gradient, state.opt_state, trained)
    updated = trainable.apply(state.step, optax.apply_updates(trained, updates), trained)
    params = trainable.join(updated, state.params)

    norm = optax.tree.norm(gradient)  # []
    step = state.step + 1  # []
    window = state.window
    finite = (window.bad_step == 0) & jnp.isfinite(sums.loss) & jnp.isfinite(norm)  # []
    next_window = Window(
        steps=window.steps + 1,
        loss=window.loss + sums.loss,
        z_loss=window.z_loss + sums.z_loss,
        correct=window.correct + sums.correct,
        tokens=window.tokens + sums.weight,
        input_tokens=window.input_tokens + tokens_read,
        gradient_norm=window.gradient_norm + norm,
        bad_step=window.bad_step,
    )
    bad_window = dataclasses.replace(window, bad_step=jnp.where(window.bad_step == 0, step, window.bad_step))
    # XLA fuses this choice between the two states with the update, so that it takes almost no time.
    state = jax.tree.map(
        functools.partial(jnp.where, finite),
        TrainState(step, params, opt_state, state.key, next_window, masker),
        dataclasses.replace(state, window=bad_window),
    )
    return state, jnp.where(finite, sums.loss, jnp.nan)


def input_tokens(batch: Mapping[str, jax.Array]) -> jax.Array:
    """Counts the tokens of a batch that are read and not predicted, []."""
    if "encoder_input_tokens" in batch:
        return jnp.sum(batch["encoder_input_tokens"] != PAD_ID)
    return jnp.sum((batch["decoder_target_tokens"] != PAD_ID) & (batch["decoder_loss_weights"] == 0))
