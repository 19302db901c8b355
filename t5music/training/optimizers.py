"""Optimizers: Adafactor as T5 uses it, AdamW and Muon: optax transformations made from the parameters' logical axes.

All need the names of a parameter's dimensions: Adafactor and Muon work layer by layer on the parameters of scanned
layers, which are stacked along a leading axis "layers"; AdamW decays matrices alone, and Muon is for them alone. So an
`Optimizer` is built in two stages: first from hyper-parameters (by a gin file, for example), then from the axes of the
model's parameters. Equal hyper-parameters give the same `Optimizer`, so that trainings with equal settings share one
compiled step.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import optax
from optax import contrib

from t5music.training.freezing import Tree
from t5music.training.schedules import Schedule

Axes = Tree  # the tuple of axis names of each parameter, such as ("layers", "embed", "mlp")

LAYERS = "layers"
ADAMW_RMS = 0.2  # of an update of AdamW, about; Muon's are scaled to it (Liu et al. 2025)


@dataclasses.dataclass(frozen=True, eq=False)
class Optimizer:
    """An optimizer for any model.

    Attributes:
        rate: step -> learning rate.
        transformation: axes of the model's parameters -> optax transformation.
        settings: the name and the hyper-parameters as JSON values; a resumed run must have the same.
    """

    rate: Schedule
    transformation: Callable[[Axes], optax.GradientTransformation]
    settings: dict[str, Any]


def adafactor(rate: Schedule, *, clip_norm: float | None = None) -> Optimizer:
    """T5X's Adafactor without momentum or weight decay, with T5's numbers.

    Second moments decay by 1 - (step + 1)^-0.8 and are factored where the two largest dimensions are both >= 128. The
    update is clipped to a root mean square of 1.0 and multiplied by max(RMS(parameter), 1e-3) and the rate. All of that
    is optax's code, which chooses the dimensions to factor as T5X does; RMS, clip and factors are of each layer by
    itself.

    Args:
        rate: learning rate, relative to the parameter's size. Parameters grow, so longer runs need lower rates: in
            12,000 steps of the size micro, their norm grew 21 times at a rate that fell from 0.03 to zero, and 1.4
            times at one that fell from 0.01. The higher rate pre-trained better (loss 3.01 against 3.06) and fine-tuned
            worse (0.504 against 0.471; without pre-training 0.480).
        clip_norm: bound of the global gradient norm, applied first; None does not clip, as in T5.
    """
    return _adafactor(rate, clip_norm)


@functools.lru_cache(maxsize=64)
def _adafactor(rate: Schedule, clip_norm: float | None) -> Optimizer:
    def transformation(axes: Axes) -> optax.GradientTransformation:
        scale = optax.chain(
            optax.scale_by_factored_rms(decay_rate=0.8, min_dim_size_to_factor=128, epsilon=1e-30),
            optax.clip_by_block_rms(1.0),
            optax.scale_by_param_block_rms(min_scale=1e-3),
        )
        return optax.chain(*_clipping(clip_norm), per_layer(scale, axes), optax.scale_by_learning_rate(rate))

    return Optimizer(rate, transformation, {"name": "adafactor", "clip_norm": clip_norm})


def adamw(
    rate: Schedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    clip_norm: float | None = 1.0,
) -> Optimizer:
    """AdamW (Loshchilov and Hutter 2019) without decay of norms, the embedding and the position bias.

    Args:
        rate: learning rate.
        b1: decay of the mean of the gradient.
        b2: decay of the mean of its square.
        eps: added to the root of the second moment.
        weight_decay: times the rate, the share by which each matrix shrinks in a step.
        clip_norm: bound of the global gradient norm; None does not clip.
    """
    return _adamw(rate, clip_norm, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)


@functools.lru_cache(maxsize=64)
def _adamw(rate: Schedule, clip_norm: float | None, **numbers: float) -> Optimizer:
    def transformation(axes: Axes) -> optax.GradientTransformation:
        update = optax.adamw(rate, **numbers, mask=decayed(axes))
        return optax.chain(*_clipping(clip_norm), update)

    return Optimizer(rate, transformation, {"name": "adamw", **numbers, "clip_norm": clip_norm})


def muon(rate: Schedule, *, beta: float = 0.95, weight_decay: float = 0.01, clip_norm: float | None = 1.0) -> Optimizer:
    """Muon (Jordan 2024) for kernels; AdamW with Nesterov momentum and without decay for all others.

    A kernel's update is the mean of its gradients, made orthogonal by five steps of Newton and Schulz, at the size that
    an update of AdamW has (Liu et al. 2025), so rates and weight decay are those of `adamw`. Heads are not apart: the
    joined kernel of all heads is one matrix. All of that is optax's code.

    Args:
        rate: learning rate of all parameters.
        beta: decay of the mean of the gradient (Nesterov's).
        weight_decay: times the rate, the share by which each kernel shrinks in a step.
        clip_norm: bound of the global gradient norm; None does not clip.
    """
    return _muon(rate, clip_norm, beta=beta, weight_decay=weight_decay)


@functools.lru_cache(maxsize=64)
def _muon(rate: Schedule, clip_norm: float | None, **numbers: float) -> Optimizer:
    def transformation(axes: Axes) -> optax.GradientTransformation:
        matrix = contrib.MuonDimensionNumbers(reduction_axis=-2, output_axis=-1)  # any other axis is that of layers
        matrices = jax.tree.map(lambda is_kernel: matrix if is_kernel else None, decayed(axes))
        update = contrib.muon(rate, **numbers, consistent_rms=ADAMW_RMS, muon_weight_dimension_numbers=matrices)
        return optax.chain(*_clipping(clip_norm), update)

    return Optimizer(rate, transformation, {"name": "muon", **numbers, "clip_norm": clip_norm})


def decayed(axes: Axes) -> Tree:
    """Returns a tree of bools: True for kernels; False for norms (one dimension), the embedding and position biases."""

    def is_kernel(names: tuple[str, ...]) -> bool:
        dimensions = [name for name in names if name != LAYERS]
        return len(dimensions) > 1 and dimensions[0] != "vocab" and "buckets" not in dimensions

    return jax.tree.map(is_kernel, axes, is_leaf=_is_names)


def per_layer(transformation: optax.GradientTransformation, axes: Axes) -> optax.GradientTransformation:
    """Applies a transformation to every parameter by itself and, where layers are stacked, to every layer by itself.

    So layers stacked along a leading axis "layers" train exactly as the same layers side by side. The state is a tree
    like the parameters, with a state of the transformation at each leaf, stacked where the parameter is.

    Args:
        transformation: for a single array.
        axes: axis names of every parameter.
    """
    names, structure = jax.tree.flatten(axes, is_leaf=_is_names)
    is_stacked = [leaf_names[:1] == (LAYERS,) for leaf_names in names]

    def each(function: Callable[..., Any], *trees: Tree) -> list[Any]:
        """Calls a function with each parameter's leaves: [...], or for each layer of [layers, ...]."""
        leaves = zip(*(structure.flatten_up_to(tree) for tree in trees), strict=True)
        return [
            (jax.vmap(function) if stacked else function)(*leaf)
            for stacked, leaf in zip(is_stacked, leaves, strict=True)
        ]

    def init(params: Tree) -> Tree:
        return jax.tree.unflatten(structure, each(transformation.init, params))

    def update(updates: Tree, state: Tree, params: Tree) -> tuple[Tree, Tree]:
        pairs = each(transformation.update, updates, state, params)
        new_updates, new_state = zip(*pairs, strict=True)
        return jax.tree.unflatten(structure, new_updates), jax.tree.unflatten(structure, new_state)

    return optax.GradientTransformation(init, update)


def _is_names(node: object) -> bool:
    return isinstance(node, tuple)


def _clipping(clip_norm: float | None) -> list[optax.GradientTransformation]:
    return [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
