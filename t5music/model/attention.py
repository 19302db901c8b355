"""Attention: T5's, with a position bias, by the platform's fused kernel where it has a fitting one, plainly elsewhere.

The same numbers in either way, up to rounding: softmax(queries keys^T + bias, where the mask lets it) values, with no
scale. Fused, the weights never leave the chip; the sum of bias and mask does, one number for every weight.

- NVIDIA GPUs: cuDNN's, through `jax.nn.dot_product_attention`, in bfloat16.
- TPUs: the Pallas flash attention that comes with JAX.

A query that sees no key at all gets the mean of the values in every way; a gradient that comes back to it (in the model
none does: such a query is padding) reaches queries and keys only when fused.

T5 draws its attention dropout once for all queries, which neither kernel can do: under attention dropout the plain way
is taken. v1.1's pre-training (dropout 0) and all evaluation are fused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from t5music.model import products
from t5music.model.sharding import batch_axes, batch_parts, is_ours

MASKED = -1e10  # logit of a masked position: exp() is 0 beside any other, and a row that is all masked stays finite
CUDNN_MASKED = -(2.0**41)  # the same for cuDNN in bfloat16: jax.nn's own number
FLASH_BLOCK = 128  # queries and keys that JAX's flash attention takes at a time
HEADS_AXIS = "tensor"

PLAIN, CUDNN, FLASH = "plain", "cudnn", "flash"

Array: TypeAlias = jax.Array | jax.ShapeDtypeStruct
Attend = Callable[..., jax.Array]


def attend(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    *,
    bias: jax.Array | None,
    mask: jax.Array | None,
    drop: Callable[[jax.Array], jax.Array] | None = None,
    fuse: bool = True,
    dtype: str | None = None,
) -> jax.Array:
    """Returns the weighted values of every query.

    Args:
        queries: [batch, heads, queries, d_kv].
        keys: [batch, heads, keys, d_kv] or, from a cache, [batch * heads, keys, d_kv].
        values: like `keys`.
        bias: added to the logits, broadcastable to [batch, heads, queries, keys]; None where there is none.
        mask: True where a query may look, broadcastable likewise; None where it may look everywhere.
        drop: dropout of the weights [batch, heads, queries, keys], None for none.
        fuse: by a fused kernel where one fits.
        dtype: what products are computed in, by default the type of the arrays; the fused kernels take that.

    Returns:
        [batch, heads, queries, d_kv].
    """
    kernel = choose(queries, keys, dropping=drop is not None, device=jax.devices()[0]) if fuse else PLAIN
    if kernel == PLAIN:
        return plain(queries, keys, values, bias=bias, mask=mask, drop=drop, dtype=dtype)
    fused = {CUDNN: cudnn, FLASH: flash}[kernel]
    return over_mesh(fused, queries, keys, values, bias=bias, mask=mask)


def choose(queries: Array, keys: Array, *, dropping: bool, device: jax.Device) -> str:
    """Returns which way `attend` takes, by shapes and type, mesh and device: PLAIN, CUDNN or FLASH.

    cuDNN takes bfloat16, heads of up to 128 in eights, and even lengths, from compute capability 8.0 on
    (`jax._src.cudnn.fused_attention_stablehlo`); the flash kernel takes lengths in blocks of 128, and heads below 128
    or multiples of it. Both need the mesh to divide batch and heads evenly. One query at a time, and keys from a
    cache, are decoding's: plain.
    """
    if dropping or len(keys.shape) != 4 or queries.shape[2] == 1 or not _divisible(queries):
        return PLAIN
    (*_, length, d_kv), source = queries.shape, keys.shape[2]
    if device.platform == "tpu":
        fits = length % FLASH_BLOCK == source % FLASH_BLOCK == 0 and (d_kv < 128 or d_kv % 128 == 0)
        return FLASH if fits else PLAIN
    if device.platform in ("gpu", "cuda") and queries.dtype == jnp.bfloat16:
        capability = str(getattr(device, "compute_capability", ""))  # "9.0"; "gfx942" where it is not NVIDIA's
        recent = capability.split(".")[0].isdigit() and int(capability.split(".")[0]) >= 8
        fits = d_kv % 8 == 0 and d_kv <= 128 and length % 2 == source % 2 == 0
        return CUDNN if recent and fits else PLAIN
    return PLAIN


def _divisible(queries: Array) -> bool:
    """Whether each device can attend for its own examples and heads."""
    mesh = jax.sharding.get_abstract_mesh()
    if not is_ours(mesh):
        return jax.device_count() == 1  # where arrays lie is unknown, and a kernel is not divided by itself
    batch, heads = queries.shape[:2]
    return batch % batch_parts(mesh) == 0 and heads % mesh.shape[HEADS_AXIS] == 0


@jax.custom_vjp
def softmax(logits: jax.Array) -> jax.Array:
    """Softmax over the last axis that keeps its result, and nothing else, for the backward pass."""
    weights = jnp.exp(logits - jnp.max(logits, axis=-1, keepdims=True))
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def _softmax_forward(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    weights = softmax(logits)
    return weights, weights


def _softmax_backward(weights: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    return (weights * (gradient - jnp.sum(weights * gradient, axis=-1, keepdims=True)),)


softmax.defvjp(_softmax_forward, _softmax_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product_with_keys(queries: jax.Array, keys: jax.Array, dtype: str) -> jax.Array:
    """Multiplies every query with every key: [..., queries, d_kv], [..., keys, d_kv] -> float32 [..., queries, keys].

    The gradient of the keys is computed turned round: XLA's CPU dot takes half the time where the long operand, that of
    the logits, is not the one it has to turn.
    """
    return products.multiply_by_rows(queries.astype(dtype), keys.astype(dtype))


def _keys_forward(queries: jax.Array, keys: jax.Array, dtype: str) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return product_with_keys(queries, keys, dtype), (queries, keys)


def _keys_backward(
    dtype: str, factors: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    queries, keys = factors
    gradient = gradient.astype(dtype)  # [..., queries, keys]
    of_queries = products.multiply(gradient, keys.astype(dtype))
    of_keys = products.multiply(products.turned(queries.astype(dtype)), gradient)  # [..., d_kv, keys]
    return of_queries.astype(queries.dtype), of_keys.swapaxes(-1, -2).astype(keys.dtype)


product_with_keys.defvjp(_keys_forward, _keys_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product_with_values(weights: jax.Array, values: jax.Array, dtype: str) -> jax.Array:
    """Mixes the values: [..., queries, keys], [..., keys, d_kv] -> [..., queries, d_kv].

    The gradient of the values is turned round like that of the keys.
    """
    return products.multiply(weights.astype(dtype), values.astype(dtype)).astype(values.dtype)


def _values_forward(weights: jax.Array, values: jax.Array, dtype: str) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return product_with_values(weights, values, dtype), (weights, values)


def _values_backward(
    dtype: str, factors: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    weights, values = factors
    gradient = gradient.astype(dtype)  # [..., queries, d_kv]
    of_weights = products.multiply_by_rows(gradient, values.astype(dtype))
    of_values = products.multiply(products.turned(gradient), weights.astype(dtype))  # [..., d_kv, keys]
    return of_weights.astype(weights.dtype), of_values.swapaxes(-1, -2).astype(values.dtype)


product_with_values.defvjp(_values_forward, _values_backward)


def _by_keys(queries: jax.Array, keys: jax.Array, dtype: str) -> jax.Array:
    """As `product_with_keys`, with the gradients as JAX writes them."""
    return jnp.einsum("...qd,...kd->...qk", queries.astype(dtype), keys, preferred_element_type=jnp.float32)


def _by_values(weights: jax.Array, values: jax.Array, dtype: str) -> jax.Array:
    """As `product_with_values`, with the gradients as JAX writes them."""
    return jnp.einsum("...qk,...kd->...qd", weights.astype(dtype), values)


@jax.custom_vjp
def add_bias(logits: jax.Array, bias: jax.Array) -> jax.Array:
    """Adds a position bias, broadcastable to the logits, float32 [batch, heads, queries, keys].

    The gradient's sum over the batch is a product with ones: XLA's own sum over a leading axis takes 30 times as long
    on a CPU.
    """
    return logits + bias


def _add_forward(logits: jax.Array, bias: jax.Array) -> tuple[jax.Array, jax.Array]:
    return logits + bias, bias


def _add_backward(bias: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    shape = (1,) * (gradient.ndim - bias.ndim) + bias.shape
    of_bias = gradient
    if shape[0] == 1:
        of_bias = jnp.einsum("b,b...->...", jnp.ones(len(gradient)), gradient, precision=jax.lax.Precision.HIGHEST)[
            None
        ]
    shared = tuple(axis for axis in range(1, gradient.ndim) if shape[axis] == 1)
    return gradient, jnp.sum(of_bias, axis=shared, keepdims=True).reshape(bias.shape).astype(bias.dtype)


add_bias.defvjp(_add_forward, _add_backward)


def plain(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    *,
    bias: jax.Array | None,
    mask: jax.Array | None,
    drop: Callable[[jax.Array], jax.Array] | None = None,
    dtype: str | None = None,
) -> jax.Array:
    """Attends by two products and a softmax in float32; arguments and result are those of `attend`."""
    batch, heads, length, d_kv = queries.shape
    leading = keys.shape[:-2]  # (batch, heads) or (batch * heads,)
    # NOTE: T5 does not divide the logits by sqrt(d_kv).
    queries = queries.reshape(*leading, length, d_kv)
    if dtype is None or length == 1:  # to round the keys of a cache takes longer than to multiply them by one query
        dtype = str(queries.dtype)
    is_half = queries.dtype == jnp.bfloat16  # whose turned products XLA's CPU cannot multiply
    times_keys, times_values = (_by_keys, _by_values) if is_half else (product_with_keys, product_with_values)
    logits = times_keys(queries, keys, dtype)  # [*leading, queries, keys]
    logits = logits.reshape(batch, heads, length, -1)  # [batch, heads, queries, keys]
    if bias is not None:
        logits = add_bias(logits, bias)
    if mask is not None:
        logits = jnp.where(mask, logits, MASKED)
    weights = softmax(logits).astype(values.dtype)  # [batch, heads, queries, keys]
    if drop is not None:
        weights = drop(weights)
    weights = weights.reshape(*leading, length, -1)  # [*leading, queries, keys]
    return times_values(weights, values, dtype).reshape(batch, heads, length, d_kv)


def cudnn(
    queries: jax.Array, keys: jax.Array, values: jax.Array, *, bias: jax.Array | None, mask: jax.Array | None
) -> jax.Array:
    """Attends by cuDNN's fused kernel; arguments and result are those of `attend`."""
    summand = _summand(bias, mask, (*queries.shape[:3], keys.shape[2]), CUDNN_MASKED)
    by_length = (x.swapaxes(1, 2) for x in (queries, keys, values))  # [batch, length, heads, d_kv]
    summand = None if summand is None else summand.astype(queries.dtype)
    return jax.nn.dot_product_attention(*by_length, bias=summand, scale=1.0, implementation="cudnn").swapaxes(1, 2)


def flash(
    queries: jax.Array, keys: jax.Array, values: jax.Array, *, bias: jax.Array | None, mask: jax.Array | None
) -> jax.Array:
    """Attends by JAX's flash attention for TPUs; arguments and result are those of `attend`."""
    from jax.experimental.pallas.ops.tpu.flash_attention import flash_attention  # slow to import, and for TPUs only

    summand = _summand(bias, mask, (*queries.shape[:3], keys.shape[2]), MASKED)
    return flash_attention(queries, keys, values, summand, sm_scale=1.0)


def _summand(bias: jax.Array | None, mask: jax.Array | None, shape: tuple[int, ...], masked: float) -> jax.Array | None:
    """Returns what is added to the logits for bias and mask, float32 [batch, heads, queries, keys]; None for neither.

    The gradient comes back through it, so that it is summed over the batch, down to the bias, in float32.
    """
    if bias is None and mask is None:
        return None
    summand = jnp.zeros((), jnp.float32) if bias is None else bias.astype(jnp.float32)
    if mask is not None:
        summand = jnp.where(mask, summand, masked)
    return jnp.broadcast_to(summand, shape)


def over_mesh(
    kernel: Attend,
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    *,
    bias: jax.Array | None,
    mask: jax.Array | None,
) -> jax.Array:
    """Applies a kernel that XLA cannot divide to each device's own examples and heads; `choose` knows it may."""
    mesh = jax.sharding.get_abstract_mesh()
    if not is_ours(mesh) or mesh.size == 1:
        return kernel(queries, keys, values, bias=bias, mask=mask)

    def spec(x: jax.Array | None) -> PartitionSpec:
        if x is None:
            return PartitionSpec()
        batch, heads = ((1,) * (4 - x.ndim) + x.shape)[:2]  # 1: the same for all
        axes = (batch_axes(mesh) if batch > 1 else None, HEADS_AXIS if heads > 1 else None, None, None)
        return PartitionSpec(*axes[4 - x.ndim :])

    def on_one_device(
        queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array | None, mask: jax.Array | None
    ) -> jax.Array:
        return kernel(queries, keys, values, bias=bias, mask=mask)

    arrays = (queries, keys, values, bias, mask)
    divided = jax.shard_map(
        on_one_device,
        in_specs=tuple(spec(x) for x in arrays),
        out_specs=PartitionSpec(batch_axes(mesh), HEADS_AXIS),
        check_vma=False,  # a kernel says nothing of it
    )
    return divided(*arrays)
