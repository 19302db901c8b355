"""Which parameters train, and from which step on.

Three ways of fine-tuning come of it: all parameters, some of them (adapters and norms, or the embedding alone), and
gradual unfreezing. What never trains has no gradient and no optimizer state: the training step differentiates by the
rest alone. Where only some layers of a scanned stack train, or not yet, the stack's update is computed whole and put
into those that do, so that scanning changes no number.

While a layer waits for its turn, the optimizer's moments follow its gradients (all are computed: one compiled step
serves the whole run), so that it begins with moments of the right size.
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

Path = tuple[Any, ...]  # of a leaf in the nested dict of parameters

NEVER = np.iinfo(np.int32).max


@dataclasses.dataclass(frozen=True)
class GradualUnfreezing:
    """When the layers of a stack begin to train; from `gradual_unfreezing`.

    Attributes:
        steps: over which the layers are spread.
    """

    steps: int

    def begin(self, layer: int, layers: int) -> int:
        """Returns how many updates come before `layer` (0 is the lowest) of a stack of `layers` begins to train."""
        return -(-self.steps * (layers - 1 - layer) // layers)

    @property
    def settings(self) -> dict[str, Any]:
        """Name and parameters, as JSON values; a resumed run must have the same."""
        return {"name": "gradual_unfreezing", "steps": self.steps}


def gradual_unfreezing(steps: int) -> GradualUnfreezing:
    """T5's gradual unfreezing (Raffel et al. 2019, section 3.5.1, after Howard and Ruder 2018).

    `steps` are divided into as many episodes as a stack has layers: in the first only the topmost layer of encoder and
    decoder trains, in each of the others one more, downwards. What is no layer trains throughout: the embedding (there
    as here) and the head, the final norms, and the relative position biases, which all layers share.

    Args:
        steps: of the whole training, as TRAIN_STEPS.
    """
    if steps < 1:
        raise ConfigError(f"gradual_unfreezing.steps is {steps}; it must be at least 1")
    return GradualUnfreezing(steps)


@dataclasses.dataclass(frozen=True)
class Trainable:
    """What trains of a model's parameters in one form of its layers.

    Attributes:
        starts: of what does not train from the beginning: the number of updates before it does (NEVER: none), int32
            [] or, of stacked layers, [layers]. Leaves that are not in it train throughout.
    """

    starts: Mapping[Path, NDArray[np.int32]] = dataclasses.field(default_factory=dict)

    @property
    def frozen(self) -> frozenset[Path]:
        """The leaves of which nothing ever trains."""
        return frozenset(path for path, starts in self.starts.items() if np.all(starts == NEVER))

    def select(self, tree: Any) -> Any:
        """Returns the part of a tree like the parameters (nested dicts) that belongs to what trains."""
        if not self.frozen:
            return tree
        leaves = nnx.traversals.flatten_mapping(tree)
        return nnx.traversals.unflatten_mapping({path: leaves[path] for path in leaves if path not in self.frozen})

    def join(self, selected: Any, tree: Any) -> Any:
        """Returns the tree with the leaves of `selected` in their places."""
        if not self.frozen:
            return selected
        leaves = nnx.traversals.flatten_mapping(tree) | nnx.traversals.flatten_mapping(selected)
        return nnx.traversals.unflatten_mapping(leaves)

    def clear(self, gradient: Any) -> Any:
        """Returns a selected gradient, zero in layers that never train, so that its norm is that of the others."""
        masks = {path: starts < NEVER for path, starts in self._in_part().items() if np.any(starts == NEVER)}
        return _choose(masks, gradient)

    def keep(self, step: jax.Array, updated: Any, before: Any) -> Any:
        """Returns selected parameters: updated where they train after `step` updates, elsewhere those before."""
        masks = {path: step >= starts for path, starts in self._in_part().items()}
        return _choose(masks, updated, before)

    def _in_part(self) -> dict[Path, NDArray[np.int32]]:
        return {path: starts for path, starts in self.starts.items() if path not in self.frozen}

    def count(self, params: nnx.State) -> int:
        """Returns how many numbers of the (abstract or real) parameters ever train."""
        shares = {path: float(np.mean(starts < NEVER)) for path, starts in self.starts.items()}
        return sum(round(math.prod(param.shape) * shares.get(path, 1.0)) for path, param in nnx.to_flat_state(params))


EVERYTHING = Trainable()


def choose(
    params: nnx.State, patterns: Sequence[str] | None = None, unfreezing: GradualUnfreezing | None = None
) -> Trainable:
    """Returns what trains of the (abstract or real) parameters of a model.

    Args:
        params: in either form of the layers.
        patterns: regular expressions; what they match whole trains, by the names of `parameters.names`: layer by layer,
            scanned or not, as "encoder.layers.0.mlp.wo". None is everything.
        unfreezing: when layers begin to train; None is at once.

    Raises:
        ConfigError: a pattern that is none or matches nothing, or no pattern.
    """
    names = parameters.names(params)
    every = [name for own in names.values() for name in own]
    if patterns is not None and not patterns:
        raise ConfigError("Update.trainable names no parameter: nothing would train (None trains all)")
    chosen = set(every) if patterns is None else parameters.matching(every, patterns, "Update.trainable")
    depths = Counter(layer[0] for layer in {_layer(name) for name in every} if layer is not None)

    def start(name: str) -> int:
        layer = _layer(name)
        if name not in chosen:
            return NEVER
        return 0 if layer is None or unfreezing is None else unfreezing.begin(layer[1], depths[layer[0]])

    starts = {path: np.array([start(name) for name in own], np.int32) for path, own in names.items()}
    return Trainable(
        {path: each if parameters.is_stacked(path) else each.reshape(()) for path, each in starts.items() if each.any()}
    )


def describe(params: nnx.State, trainable: Trainable, unfreezing: GradualUnfreezing | None = None) -> str:
    """Returns one line: how many parameters train, of how many."""
    some, every = trainable.count(params), parameters.count(params)
    line = f"{some:,} of {every:,} parameters train ({some / every:.2%})"
    return line if unfreezing is None else f"{line}, the layers one after the other over {unfreezing.steps:,} steps"


def _choose(masks: Mapping[Path, Any], tree: Any, other: Any = None) -> Any:
    """Returns a tree with the numbers of `other`, or zeros, where a leaf's mask (bool [] or [layers]) is False."""
    if not masks:
        return tree
    leaves = nnx.traversals.flatten_mapping(tree)
    others = {} if other is None else nnx.traversals.flatten_mapping(other)
    for path, mask in masks.items():
        broadcast = jnp.reshape(mask, mask.shape + (1,) * (leaves[path].ndim - mask.ndim))
        leaves[path] = jnp.where(broadcast, leaves[path], others.get(path, 0.0))
    return nnx.traversals.unflatten_mapping(leaves)


def _layer(name: str) -> tuple[str, int] | None:
    """The stack and the number of the layer that a parameter belongs to; None for what is in no layer."""
    stack, *rest = name.split(".")
    return (stack, int(rest[1])) if rest[:1] == ["layers"] else None
