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
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
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


def muon(
    rate: Schedule,
    *,
    beta: float = 0.95,
    weight_decay: float = 0.01,
    others: float = 1.0,
    queries: float = 0.125,
    clip_norm: float | None = 1.0,
) -> Optimizer:
    """Muon (Jordan 2024) for kernels; AdamW with Nesterov momentum and without decay for all others.

    A kernel's update is the Nesterov momentum of its gradient, made orthogonal by five steps of Newton and Schulz, at
    the size that an update of AdamW has (Liu et al. 2025), so rates and weight decay are those of `adamw`. Heads are
    not apart: the joined kernel of all heads is one matrix. The arithmetic is optax's.

    Args:
        rate: learning rate of kernels.
        beta: decay of the momentum.
        weight_decay: times the rate, the share by which each kernel shrinks in a step.
        others: the learning rate of all other parameters, in multiples of `rate`. The table of relative positions has
            to grow to several units before a head looks at one place alone, which takes hundreds of steps at 1.
        queries: the size of the updates of queries' kernels, in multiples of the others'; they shrink as the others do.
            T5 divides no attention logit by sqrt(d_kv), and begins with queries that are as much smaller. Adafactor's
            updates are then smaller, too; Muon's are of one size. At 1, nearly all of a decoder's heads looked at one
            key alone after 1,700 steps, and what was fine-tuned from that was worse than from random weights. 0.125 is
            for a d_kv of 64, T5's.
        clip_norm: bound of the global gradient norm; None does not clip.
    """
    return _muon(rate, others, queries, clip_norm, beta=beta, weight_decay=weight_decay)


@functools.lru_cache(maxsize=64)
def _muon(
    rate: Schedule, others: float, queries: float, clip_norm: float | None, *, beta: float, weight_decay: float
) -> Optimizer:
    def rate_of_others(step: ArrayLike) -> jax.Array:
        return others * rate(step)

    def transformation(axes: Axes) -> optax.GradientTransformation:
        is_kernel = decayed(axes)
        of_kernels = optax.chain(
            optax.trace(beta, nesterov=True),
            orthogonal(axes, queries),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(rate),
        )
        of_others = optax.adamw(rate_of_others, weight_decay=0.0, nesterov=True)
        kinds = jax.tree.map(lambda kernel: "kernels" if kernel else "others", is_kernel)
        update = optax.partition({"kernels": of_kernels, "others": of_others}, kinds)
        return optax.chain(*_clipping(clip_norm), update)

    numbers = {
        "beta": beta,
        "weight_decay": weight_decay,
        "others": others,
        "queries": queries,
        "clip_norm": clip_norm,
    }
    return Optimizer(rate, transformation, {"name": "muon", **numbers})


def orthogonal(axes: Axes, queries: float) -> optax.GradientTransformation:
    """Makes kernels orthogonal, all singular values about ADAMW_RMS times the root of the longer side.

    Kernels of one shape and the same axes, whichever comes first, are one stack of matrices. On a CPU that takes about
    half as long to compile and to run as one kernel after the other. No state is kept.

    Args:
        axes: axis names of every parameter. The updates that come in are those of kernels alone, in the same order.
        queries: what the kernels called "query" are multiplied by then.
    """
    leaves = zip(jax.tree.leaves_with_path(axes, is_leaf=_is_names), jax.tree.leaves(decayed(axes)), strict=True)
    kernels_axes = [(path, names) for (path, names), is_kernel in leaves if is_kernel]
    sides = [sorted(set(names) - {LAYERS}) for _, names in kernels_axes]
    sizes = [ADAMW_RMS * (queries if "query" in jax.tree_util.keystr(path) else 1.0) for path, _ in kernels_axes]
    matrix = contrib.MuonDimensionNumbers(reduction_axis=-2, output_axis=-1)
    of_stacks = contrib.scale_by_muon(
        beta=0.0, nesterov=False, weight_dimension_numbers=lambda stacks: jax.tree.map(lambda _: matrix, stacks)
    )

    def update(updates: Tree, state: optax.EmptyState, params: Tree | None = None) -> tuple[Tree, optax.EmptyState]:
        kernels, structure = jax.tree.flatten(updates)
        alike: dict[tuple[object, ...], list[int]] = {}  # which kernels are in a stack
        for index, kernel in enumerate(kernels):
            alike.setdefault((*sorted(kernel.shape[-2:]), *sides[index]), []).append(index)
        stacks = [jnp.concatenate([_wide(kernels[index]) for index in members]) for members in alike.values()]
        turned, _ = of_stacks.update(stacks, of_stacks.init(stacks))
        for members, stack in zip(alike.values(), turned, strict=True):
            first = 0
            for index in members:
                *leading, rows, columns = kernels[index].shape
                matrices = stack[first : first + math.prod(leading)]
                first += len(matrices)
                if rows > columns:
                    matrices = matrices.swapaxes(-1, -2)
                kernels[index] = sizes[index] * max(rows, columns) ** 0.5 * matrices.reshape(kernels[index].shape)
        return jax.tree.unflatten(structure, kernels), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def _wide(kernel: jax.Array) -> jax.Array:
    """A kernel's matrices, turned where they are higher than wide: [..., n, m] -> [matrices, shorter, longer]."""
    rows, columns = kernel.shape[-2:]
    turned = kernel if rows <= columns else kernel.swapaxes(-1, -2)
    return turned.reshape(-1, *turned.shape[-2:])


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
