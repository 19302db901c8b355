"""Decoding kernels: a layer whose kernels lie as decoding reads them, once for each token and for few rows at a time.

A step is a matter of streaming the kernels from memory, so how they lie counts. Kernels that read the same input are
joined into one: one long stream in place of short ones. For a few rows in float32 on a CPU, a kernel is the left
factor, `kernel.T @ rows.T`, because the library behind XLA's CPU dot reads that one as it lies and first copies the
right one into blocks; in bfloat16 it reads either. Neither changes what is computed. One row is multiplied in the type
of the rows, for a product of one row is no faster in bfloat16.

The layer's computation stays that of `layers.DecoderLayer`: what is here stands in for a parameter's array, of which
`layers.linear` asks `shape`, `astype` and to be multiplied with rows from the left.
"""

from __future__ import annotations

from types import EllipsisType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from t5music.model.layers import DecoderLayer, EncoderLayer

Layer = TypeVar("Layer", DecoderLayer, EncoderLayer)


class Kernel:
    """Stands in for the parameter of a kernel [d_in, d_out]: `rows @ kernel[...].astype(dtype)`."""

    def __init__(self, array: jax.Array) -> None:
        self.array = array
        self.shape = array.shape

    def __getitem__(self, index: EllipsisType) -> Kernel:
        return self

    def astype(self, dtype: DTypeLike) -> Kernel:
        """Itself: it was made in the type of the product."""
        return self

    def __rmatmul__(self, rows: jax.Array) -> jax.Array:
        """[n, d_in] -> [n, d_out]."""
        return self._product(rows, self.array).astype(rows.dtype)

    def _product(self, left: jax.Array, right: jax.Array) -> jax.Array:
        """[n, k] times [k, m], one of which is the kernel, in its type with float32 sums."""
        left, right = left.astype(self.array.dtype), right.astype(self.array.dtype)
        return jnp.matmul(left, right, preferred_element_type=jnp.float32)


class Left(Kernel):
    """A kernel that is the left factor of its product."""

    def __init__(self, array: jax.Array) -> None:
        super().__init__(array)
        self.array = array.T

    def __rmatmul__(self, rows: jax.Array) -> jax.Array:
        """[n, d_in] -> [n, d_out]."""
        # Without the barriers the compiler turns the product round again.
        columns = jax.lax.optimization_barrier(rows.T)  # [d_in, n]
        return jax.lax.optimization_barrier(self._product(self.array, columns)).T.astype(rows.dtype)


class Part(Kernel):
    """One of several kernels side by side; the compiler sees that all multiply the same rows with the same array."""

    def __init__(self, joined: jax.Array, begin: int, array: jax.Array) -> None:
        super().__init__(joined)
        self.shape = array.shape
        self.columns = slice(begin, begin + array.shape[1])

    def __rmatmul__(self, rows: jax.Array) -> jax.Array:
        """[n, d_in] -> [n, d_out of this part]."""
        return super().__rmatmul__(rows)[:, self.columns]


def for_steps(layer: Layer, rows: int) -> Layer:
    """Returns the layer, to be run on one position of `rows` rows at a time.

    To be called where the program that loops over the steps begins. The kernels that a step reads are copied; the
    cross-attention's keys and values are computed before, so theirs are not.
    """
    prepared: Any = nnx.merge(*nnx.split(layer))
    is_decoder = isinstance(layer, DecoderLayer)
    attention, mlp = prepared.self_attention if is_decoder else prepared.attention, prepared.mlp
    dtype = attention.config.activations if rows == 1 else attention.config.products
    form = Left if rows > 1 and dtype == "float32" and jax.default_backend() == "cpu" else Kernel
    if form is Left:
        _lay(attention, ("query", "key", "value"), dtype, form)
    else:
        _join(attention, ("query", "key", "value"), dtype)
    _lay(attention, ("out",), dtype, form)
    if is_decoder:
        _lay(prepared.cross_attention, ("query", "out"), dtype, form)
    _lay(mlp, ("wi_0", "wi_1", "wo") if mlp.gated else ("wi", "wo"), dtype, form)
    if prepared.adapter is not None:
        _lay(prepared.adapter, ("wi", "wo"), dtype, form)
    return prepared


def _lay(module: Any, names: tuple[str, ...], dtype: str, form: type[Kernel]) -> None:
    """Puts kernels of a form where a module's parameters of these names are."""
    for name in names:
        setattr(module, name, form(getattr(module, name)[...].astype(dtype)))


def _join(module: Any, names: tuple[str, ...], dtype: str) -> None:
    """Puts the parts of one kernel where a module's parameters of these names are."""
    kernels = [getattr(module, name)[...].astype(dtype) for name in names]
    joined, begin = jnp.concatenate(kernels, axis=1), 0  # [d_in, sum of the d_outs]
    for name, kernel in zip(names, kernels, strict=True):
        setattr(module, name, Part(joined, begin, kernel))
        begin += kernel.shape[1]
