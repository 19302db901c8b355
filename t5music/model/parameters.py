"""Parameters: a model's made, counted, named, chosen by name and restacked."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from t5music.errors import ConfigError, nearest
from t5music.model.config import T5Config
from t5music.model.network import T5
from t5music.model.sharding import shardings

_STACKS = (("encoder", "layers"), ("decoder", "layers"))


def initialise(config: T5Config, key: jax.Array, mesh: Mesh | None = None) -> tuple[nnx.GraphDef, nnx.State]:
    """Returns (graphdef, params) of a fresh model, made under jit and, with a mesh, directly where they belong.

    The numbers depend on `config` and `key` alone, not on the mesh and not on `scan_layers`.
    """
    make, unstack = _programs(
        dataclasses.replace(config, dropout_rate=0.0, remat_policy="none", scan_layers=True), mesh
    )
    params = make(key)
    return abstract(config)[0], params if config.scan_layers else unstack(params)


@functools.lru_cache(maxsize=8)
def _programs(
    stacked: T5Config, mesh: Mesh | None
) -> tuple[Callable[[jax.Array], nnx.State], Callable[..., nnx.State]]:
    """Returns the jitted makers of stacked parameters from a key, and of unrolled ones from stacked ones.

    Stacked first in either form: unrolled, the compiler spends its time on a random generator for every slice.
    """

    def make(key: jax.Array) -> nnx.State:
        return nnx.state(T5(stacked, rngs=nnx.Rngs(key)))

    def placed(config: T5Config) -> Any:
        return None if mesh is None else shardings(abstract(config)[1], mesh)

    unrolled = dataclasses.replace(stacked, scan_layers=False)
    return (
        jax.jit(make, out_shardings=placed(stacked)),
        jax.jit(unstack_layers, out_shardings=placed(unrolled)),
    )


def abstract(config: T5Config) -> tuple[nnx.GraphDef, nnx.State]:
    """Returns (graphdef, params) with shapes in place of arrays: nothing is allocated, whatever the size."""
    graphdef, params = _abstract(config)
    return graphdef, jax.tree.map(lambda shape: shape, params)  # a copy, which the caller may change


@functools.lru_cache(maxsize=64)
def _abstract(config: T5Config) -> tuple[nnx.GraphDef, nnx.State]:
    return nnx.split(nnx.eval_shape(lambda: T5(config, rngs=nnx.Rngs(0))))


def count(params: nnx.State) -> int:
    """Returns how many numbers the (abstract or real) parameters hold."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def is_stacked(path: tuple[Any, ...]) -> bool:
    """Whether the leaf at a path stacks the layers of its stack (`scan_layers`)."""
    return path[:2] in _STACKS and not isinstance(path[2], int)


def names(params: nnx.State) -> dict[tuple[Any, ...], list[str]]:
    """Returns the dotted names of every leaf, the same ones scanned or not: of a leaf that stacks layers one for each.

    ("encoder", "layers", "mlp", "wo") -> ["encoder.layers.0.mlp.wo", "encoder.layers.1.mlp.wo"].
    """

    def of_leaf(path: tuple[Any, ...], layers: int) -> list[str]:
        paths = [(*path[:2], i, *path[2:]) for i in range(layers)] if is_stacked(path) else [path]
        return [".".join(map(str, each)) for each in paths]

    return {path: of_leaf(path, (*param.shape, 0)[0]) for path, param in nnx.to_flat_state(params)}


def matching(names: Iterable[str], patterns: Sequence[str], setting: str) -> set[str]:
    """Returns the names of parameters that one of the regular expressions matches whole.

    Raises ConfigError, which names the `setting` they come from, for one that is none or matches nothing.
    """
    names, matches = list(names), set[str]()
    for pattern in patterns:
        try:
            of_pattern = {name for name in names if re.fullmatch(pattern, name)}
        except re.error as error:
            raise ConfigError(f"{setting}: {pattern!r} is no regular expression: {error}") from error
        if not of_pattern:
            raise ConfigError(f"{setting}: {pattern!r} matches no parameter{nearest(pattern, names)}")
        matches |= of_pattern
    return matches


def stack_layers(params: nnx.State) -> nnx.State:
    """Returns parameters in the form of `scan_layers=True`; what already has it stays as it is."""
    flat: dict[tuple, nnx.Variable] = {}
    layers: dict[tuple, dict[int, nnx.Variable]] = {}
    for path, param in nnx.to_flat_state(params):
        if path[:2] in _STACKS and not is_stacked(path):
            layers.setdefault((*path[:2], *path[3:]), {})[path[2]] = param
        else:
            flat[path] = param
    for path, by_layer in layers.items():
        first = by_layer[0]
        values = jnp.stack([by_layer[i][...] for i in range(len(by_layer))])
        flat[path] = first.replace(values, axes=("layers", *first.get_metadata()["axes"]))
    return nnx.from_flat_state(flat)


def unstack_layers(params: nnx.State) -> nnx.State:
    """Returns parameters in the form of `scan_layers=False`; what already has it stays as it is."""
    flat: dict[tuple, nnx.Variable] = {}
    for path, param in nnx.to_flat_state(params):
        if is_stacked(path):
            axes = param.get_metadata()["axes"][1:]
            for i, value in enumerate(jnp.unstack(param[...])):
                flat[(*path[:2], i, *path[2:])] = param.replace(value, axes=axes)
        else:
            flat[path] = param
    return nnx.from_flat_state(flat)
