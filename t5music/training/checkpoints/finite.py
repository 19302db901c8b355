"""Weights that are not finite, refused by name: a model with one of them answers nothing but nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from t5music.errors import CheckpointError


def require_finite(params: Any, path: Path) -> None:
    """Raises CheckpointError naming the first array of a tree that holds an infinity or no number."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    # All of a device's are under way before one is waited for.
    finite = [np.isfinite(leaf).all() if isinstance(leaf, np.ndarray) else _is_finite(leaf) for _, leaf in leaves]
    for (keys, _), is_finite in zip(leaves, finite, strict=True):
        if not is_finite:
            name = jax.tree_util.keystr(keys, simple=True, separator=".")
            raise CheckpointError(f"{path} cannot be used: {name} has weights that are not finite numbers")


@jax.jit
def _is_finite(array: jax.Array) -> jax.Array:
    return jnp.isfinite(array).all()
