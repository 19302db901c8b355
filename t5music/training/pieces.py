"""Pieces of a training: the model's graph, the optimizer, the compiled step, and the state of step 0."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from t5music.model import parameters
from t5music.model.config import T5Config
from t5music.training import freezing, train_state
from t5music.training.note_masking.masker import Masker
from t5music.training.settings import Update
from t5music.training.train_step import Step, make_train_step


class Pieces(NamedTuple):
    """What a training computes with.

    Attributes:
        config: the model.
        graphdef: of the model.
        transformation: the optimizer of the parameters that train.
        trainable: which parameters train.
        target: shapes, types and places of the state.
        step: the jitted step.
    """

    config: T5Config
    graphdef: nnx.GraphDef
    transformation: optax.GradientTransformation
    trainable: freezing.Trainable
    target: train_state.TrainState
    step: Step


def make_pieces(config: T5Config, update: Update, mesh: Mesh, masker: Masker | None) -> Pieces:
    """Returns the step and what belongs to it; nothing is allocated, compiled or run.

    Trainings of one process with equal settings have the same step, which is traced and compiled once: those of a
    study that differ in their seeds or their data, and a run that goes on.
    """
    if masker is not None or update.masking is not None:
        return _make_pieces(config, update, mesh, masker)
    trainable = None if update.trainable is None else tuple(update.trainable)
    return _shared_pieces(config, dataclasses.replace(update, trainable=trainable), mesh)


@functools.lru_cache(maxsize=8)
def _shared_pieces(config: T5Config, update: Update, mesh: Mesh) -> Pieces:
    return _make_pieces(config, update, mesh, None)


def _make_pieces(config: T5Config, update: Update, mesh: Mesh, masker: Masker | None) -> Pieces:
    graphdef, abstract = parameters.abstract(config)
    trainable = freezing.choose(abstract, update.trainable, update.unfreezing)
    transformation = update.optimizer.transformation(trainable.select(train_state.logical_axes(abstract)))
    masker_target = None if masker is None else masker.abstract()
    target = train_state.abstract_state(abstract, transformation, mesh, trainable, masker_target)
    if masker is not None:
        step = masker.make_train_step(graphdef, transformation, target, z_loss=update.z_loss)
    else:
        step = make_train_step(
            graphdef,
            transformation,
            target,
            microbatches=update.microbatches,
            z_loss=update.z_loss,
            label_smoothing=update.label_smoothing,
            trainable=trainable,
        )
    return Pieces(config, graphdef, transformation, trainable, target, step)


def first_state(
    pieces: Pieces,
    mesh: Mesh,
    seed: int,
    initial_params: Callable[[], train_state.Params] | None,
    initial_opt_state: Callable[[optax.OptState], optax.OptState] | None,
    masker: Masker | None,
) -> train_state.TrainState:
    """Returns the state of step 0; for arguments see `loop.train`."""
    return train_state.create(
        pieces.config,
        pieces.transformation,
        pieces.target,
        mesh,
        seed=seed,
        params=initial_params() if initial_params else None,  # in no variable, so that they do not stay in memory
        opt_state=initial_opt_state(pieces.target.opt_state) if initial_opt_state else None,
        trainable=pieces.trainable,
        masker=None if masker is None else masker.create(seed),
    )


def before_divergence(state: train_state.TrainState, pieces: Pieces) -> train_state.TrainState:
    """Returns the state before a diverged step, which the steps since left alone, ready to go on from."""
    no_step = jax.device_put(np.zeros((), np.int32), train_state.places(pieces.target).window.bad_step)
    return dataclasses.replace(state, window=dataclasses.replace(state.window, bad_step=no_step))


def with_empty_window(state: train_state.TrainState, pieces: Pieces) -> train_state.TrainState:
    """Returns a state whose metrics were written: with sums over no steps."""
    window = jax.device_put(train_state.empty_window(), train_state.places(pieces.target).window)
    return dataclasses.replace(state, window=window)
