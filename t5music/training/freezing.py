"""Freezing: which parameters train, and from which step on.

There are three ways of fine-tuning: all parameters, some of them (adapters and norms, or the embedding alone), and
gradual unfreezing. Parameters that never train have no gradient and no optimizer state: the training step
differentiates by the others alone. If only some layers of a scanned stack train, or do not train yet, the update of the
whole stack is computed and applied to the layers that train, so that scanning changes no number.

Before a layer begins to train, the optimizer's moments already follow its gradients, so that it begins with moments of
the right size. (All gradients are computed, because one compiled step serves the whole run.)
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.errors import ConfigError
from t5music.model import parameters

Path = tuple[str | int, ...]  # of a leaf in a tree: the keys from the root
Tree = dict[str, Any]  # nested dicts of arrays like the parameters: parameters, gradients, axis names

NEVER = np.iinfo(np.int32).max  # a start after the last step


@dataclasses.dataclass(frozen=True)
class GradualUnfreezing:
    """When the layers of a stack begin to train; from `gradual_unfreezing`.

    Attributes:
        steps: the number of steps over which the beginnings are spread.
    """

    steps: int

    def begin(self, layer: int, layers: int) -> int:
        """Returns the number of updates before a layer begins to train; layer 0 is the lowest of `layers`."""
        return -(-self.steps * (layers - 1 - layer) // layers)

    @property
    def settings(self) -> dict[str, Any]:
        """The name and the parameters as JSON values; a resumed run must have the same."""
        return {"name": "gradual_unfreezing", "steps": self.steps}


def gradual_unfreezing(steps: int) -> GradualUnfreezing:
    """T5's gradual unfreezing (Raffel et al. 2019, section 3.5.1, after Howard and Ruder 2018).

    `steps` are divided into as many episodes as a stack has layers: in the first, only the topmost layer of encoder and
    decoder trains; in each further one, the next layer below, too. Parameters outside the layers always train: the
    embedding (as in the paper), the head, the final norms, and the relative position biases, which all layers share.

    Args:
        steps: of the whole training, as TRAIN_STEPS.

    Raises:
        ConfigError: `steps` is below 1.
    """
    if steps < 1:
        raise ConfigError(f"gradual_unfreezing.steps is {steps}; it must be at least 1")
    return GradualUnfreezing(steps)


@dataclasses.dataclass(frozen=True)
class Trainable:
    """Which of a model's parameters train, for scanned or for unrolled layers.

    Attributes:
        starts: path of a leaf -> the number of updates before it begins to train, or NEVER: int32 [] or, for stacked
            layers, [layers]. Leaves without a start train from the first step.
    """

    starts: Mapping[Path, NDArray[np.int32]] = dataclasses.field(default_factory=dict)

    @property
    def frozen(self) -> frozenset[Path]:
        """The leaves of which no part ever trains."""
        return frozenset(path for path, starts in self.starts.items() if np.all(starts == NEVER))

    def select(self, tree: Tree) -> Tree:
        """Returns a tree's leaves that train, in the same nested dicts."""
        if not self.frozen:
            return tree
        leaves = nnx.traversals.flatten_mapping(tree)
        return nnx.traversals.unflatten_mapping({path: leaves[path] for path in leaves if path not in self.frozen})

    def join(self, selected: Tree, tree: Tree) -> Tree:
        """Returns the whole tree with the leaves of a selected one in their places."""
        if not self.frozen:
            return selected
        leaves = nnx.traversals.flatten_mapping(tree) | nnx.traversals.flatten_mapping(selected)
        return nnx.traversals.unflatten_mapping(leaves)

    def clear(self, gradient: Tree) -> Tree:
        """Returns a selected gradient with zeros in layers that never train, so that its norm is that of the others."""
        masks = {path: starts < NEVER for path, starts in self._partial().items() if np.any(starts == NEVER)}
        return _where(masks, gradient)

    def apply(self, step: jax.Array, updated: Tree, params: Tree) -> Tree:
        """Returns selected parameters: the updated ones where they train after `step` updates, elsewhere the old."""
        masks = {path: step >= starts for path, starts in self._partial().items()}  # bool [] or [layers]
        return _where(masks, updated, params)

    def _partial(self) -> dict[Path, NDArray[np.int32]]:
        """The starts of leaves that train in part or not from the first step."""
        return {path: starts for path, starts in self.starts.items() if path not in self.frozen}

    def count(self, params: nnx.State) -> int:
        """Returns how many of the numbers in (abstract or real) parameters ever train."""
        shares = {path: float(np.mean(starts < NEVER)) for path, starts in self.starts.items()}
        return sum(round(math.prod(param.shape) * shares.get(path, 1.0)) for path, param in nnx.to_flat_state(params))


EVERYTHING = Trainable()


def choose(
    params: nnx.State, patterns: Sequence[str] | None = None, unfreezing: GradualUnfreezing | None = None
) -> Trainable:
    """Returns which parameters of a model train.

    Args:
        params: abstract or real, with scanned or unrolled layers.
        patterns: regular expressions that match the whole names of parameters that train. Names are those of
            `parameters.names`, layer by layer whether or not they are scanned, as "encoder.layers.0.mlp.wo". None is
            all parameters.
        unfreezing: when layers begin to train; None is from the first step.

    Raises:
        ConfigError: there is no pattern, or one that is not a regular expression or matches nothing.
    """
    names = parameters.names(params)
    all_names = [name for leaf_names in names.values() for name in leaf_names]
    if patterns is not None and not patterns:
        raise ConfigError("Update.trainable names no parameter: nothing would train (None trains all)")
    trained = set(all_names) if patterns is None else parameters.matching(all_names, patterns, "Update.trainable")
    depths = Counter(layer[0] for layer in {_layer(name) for name in all_names} if layer is not None)

    def start(name: str) -> int:
        layer = _layer(name)
        if name not in trained:
            return NEVER
        return 0 if layer is None or unfreezing is None else unfreezing.begin(layer[1], depths[layer[0]])

    starts = {path: np.array([start(name) for name in leaf_names], np.int32) for path, leaf_names in names.items()}
    return Trainable(
        {path: leaf if parameters.is_stacked(path) else leaf.reshape(()) for path, leaf in starts.items() if leaf.any()}
    )


def describe(params: nnx.State, trainable: Trainable, unfreezing: GradualUnfreezing | None = None) -> str:
    """Returns a line that says how many parameters train, and of how many."""
    count, total = trainable.count(params), parameters.count(params)
    line = f"{count:,} of {total:,} parameters train ({count / total:.2%})"
    return line if unfreezing is None else f"{line}, the layers one after the other over {unfreezing.steps:,} steps"


def _where(masks: Mapping[Path, NDArray[np.bool_] | jax.Array], tree: Tree, other: Tree | None = None) -> Tree:
    """Returns a tree with the numbers of another, or zeros, where the masks are False.

    Args:
        masks: path of a leaf -> bool [] or, for stacked layers, [layers]. Other leaves stay as they are.
        tree: the leaves where masks are True.
        other: the leaves where masks are False; None is zeros.
    """
    if not masks:
        return tree
    leaves = nnx.traversals.flatten_mapping(tree)
    others = {} if other is None else nnx.traversals.flatten_mapping(other)
    for path, mask in masks.items():
        broadcast = jnp.reshape(mask, mask.shape + (1,) * (leaves[path].ndim - mask.ndim))  # [] or [layers, 1, ...]
        leaves[path] = jnp.where(broadcast, leaves[path], others.get(path, 0.0))
    return nnx.traversals.unflatten_mapping(leaves)


def _layer(name: str) -> tuple[str, int] | None:
    """The stack and the number of the layer that a parameter belongs to; None for one outside the layers."""
    stack, *rest = name.split(".")
    return (stack, int(rest[1])) if rest[:1] == ["layers"] else None
