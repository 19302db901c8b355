"""Products: matrix products of float32 arrays that a processor computes in bfloat16, forward and backward.

`T5Config.dtype = "bfloat16_products"` keeps every array in float32, so that norms, softmax and residuals are exact, and
rounds nothing but what a product multiplies; sums are float32. On a CPU that is what pays: arrays in bfloat16 would be
converted again and again between the products.

A product whose left factor is turned (a kernel's gradient, rows^T gradient) is slow in XLA's CPU dot in any type: it
takes two to three times the time of one in bfloat16 whose factors lie as they are read. The compiler puts a
transposition back into the product where it can; `turned` keeps it out.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp


@functools.cache
def pay_in_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32: a CPU with AMX.

    Measured with AMX alone. AVX512-BF16 without AMX doubles a product's peak as well, but nobody has measured whether
    that outweighs the conversions.
    """
    if jax.default_backend() != "cpu":
        return False
    try:
        features = Path("/proc/cpuinfo").read_text()
    except OSError:  # no Linux
        return False
    return re.search(r"^flags\b.*\bamx_bf16\b", features, re.MULTILINE) is not None


def turned(x: jax.Array) -> jax.Array:
    """[..., n, m] -> [..., m, n], laid out so before it is multiplied."""
    *leading, n, m = x.shape
    # Transposing three dimensions and merging two of them is no transposition that the compiler knows.
    split = x.reshape(*leading, 1, n, m)
    places = range(len(leading))
    return split.transpose(*places, len(leading) + 2, len(leading), len(leading) + 1).reshape(*leading, m, n)


def multiply(left: jax.Array, right: jax.Array) -> jax.Array:
    """Multiplies rounded arrays with float32 sums: [..., n, k], [..., k, m] -> float32 [..., n, m]."""
    return jnp.einsum("...nk,...km->...nm", left, right, preferred_element_type=jnp.float32)


def multiply_by_rows(left: jax.Array, right: jax.Array) -> jax.Array:
    """Multiplies with the rows of `right`: [..., n, k], [..., m, k] -> float32 [..., n, m]."""
    return jnp.einsum("...nk,...mk->...nm", left, right, preferred_element_type=jnp.float32)


@jax.custom_vjp
def in_bfloat16(rows: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiplies rows by a kernel in bfloat16, as are both gradients: float32 [n, k], [k, m] -> [n, m]."""
    return _forward(rows, kernel)[0]


def _forward(rows: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    rows, kernel = rows.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    return multiply(rows, kernel), (rows, kernel)


def _backward(factors: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    rows, kernel = factors
    gradient = gradient.astype(jnp.bfloat16)
    return multiply_by_rows(gradient, kernel), multiply(turned(rows), gradient)


in_bfloat16.defvjp(_forward, _backward)
