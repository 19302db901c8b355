"""Adafactor as T5 uses it, and AdamW, as optax transformations built from the parameters' logical axes.

Both need to know what the dimensions of a parameter are: Adafactor works layer by layer on parameters that scanned
layers stack along a leading axis "layers", and AdamW decays matrices only. So an `Optimizer` is built in two stages:
hyper-parameters first (by a gin file, say), the axes of the model's parameters later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from t5music.training.schedules import Schedule

Axes = Any  # a tree like the parameters, with the tuple of each one's axis names, such as ("layers", "embed", "mlp")

LAYERS = "layers"


class Optimizer(NamedTuple):
    """An optimizer that still lacks the model.

    Attributes:
        rate: the learning rate of a step.
        transformation: axes of the parameters -> optax transformation.
        settings: name and hyper-parameters, as JSON values; a resumed run must have the same.
    """

    rate: Schedule
    transformation: Callable[[Axes], optax.GradientTransformation]
    settings: dict[str, Any]


def adafactor(rate: Schedule, *, clip_norm: float | None = None) -> Optimizer:
    """T5X's Adafactor without momentum or weight decay, with every number of NUMERICS.

    Second moments decay by 1 - (step + 1)^-0.8 and are factored where both of the two largest dimensions are >= 128;
    the update is clipped to a root mean square of 1.0 and multiplied by max(RMS(parameter), 1e-3) and the rate. All of
    that is optax's own code, which chooses the dimensions to factor as T5X does; the RMS, the clip and the factors are
    taken over each layer by itself.

    Args:
        rate: learning rate, relative to the parameter's size. Parameters grow, and longer runs need lower rates: after
            12,000 steps of micro at one that fell from 0.03 to zero they were 21 times as long, from 0.01 1.4 times.
            The former pre-trained better (loss 3.01, 3.06) and fine-tuned worse (0.504, 0.471; without it 0.480).
        clip_norm: bound of the global gradient norm, applied first; None leaves gradients as they are, as T5 does.
    """

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
    """AdamW (Loshchilov and Hutter 2019); norms, the embedding and the position bias are not decayed.

    Args:
        rate: learning rate.
        b1: decay of the mean of the gradient.
        b2: decay of the mean of its square.
        eps: added to the root of the second moment.
        weight_decay: times the rate, the share of each matrix taken away per step.
        clip_norm: bound of the global gradient norm, None for none.
    """

    def transformation(axes: Axes) -> optax.GradientTransformation:
        update = optax.adamw(rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=decayed(axes))
        return optax.chain(*_clipping(clip_norm), update)

    settings = {"b1": b1, "b2": b2, "eps": eps, "weight_decay": weight_decay, "clip_norm": clip_norm}
    return Optimizer(rate, transformation, {"name": "adamw", **settings})


def decayed(axes: Axes) -> Any:
    """Returns a tree of bools: True for the kernels, False for norms (one dimension), embedding and position bias."""

    def is_kernel(names: tuple[str, ...]) -> bool:
        own = [name for name in names if name != LAYERS]
        return len(own) > 1 and own[0] != "vocab" and "buckets" not in own

    return jax.tree.map(is_kernel, axes, is_leaf=_is_names)


def per_layer(transformation: optax.GradientTransformation, axes: Axes) -> optax.GradientTransformation:
    """Applies `transformation` to every parameter by itself and, where it is stacked, to every layer by itself.

    So layers stacked along a leading axis "layers" train exactly as the same layers side by side. The state is a tree
    like the parameters with a state of `transformation` at each leaf, stacked likewise.
    """
    names, structure = jax.tree.flatten(axes, is_leaf=_is_names)
    stacked = [own[:1] == (LAYERS,) for own in names]

    def each(function: Callable[..., Any], *trees: Any) -> list[Any]:
        leaves = zip(*(structure.flatten_up_to(tree) for tree in trees), strict=True)
        return [
            (jax.vmap(function) if layers else function)(*leaf) for layers, leaf in zip(stacked, leaves, strict=True)
        ]

    def init(params: Any) -> Any:
        return jax.tree.unflatten(structure, each(transformation.init, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        pairs = each(transformation.update, updates, state, params)
        new_updates, new_state = zip(*pairs, strict=True)
        return jax.tree.unflatten(structure, new_updates), jax.tree.unflatten(structure, new_state)

    return optax.GradientTransformation(init, update)


def _is_names(node: Any) -> bool:
    return isinstance(node, tuple)


def _clipping(clip_norm: float | None) -> list[optax.GradientTransformation]:
    return [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
