"""Layers: T5's relative position bias, attention, RMSNorm, feed-forward, adapter and dropout.

Numbers and places follow the T5X reference (`t5x.examples.t5.layers`). Parameters are float32; products compute in the
config's `products`; norms and softmax compute in float32. No linear layer has a bias and attention is not scaled: the
scale is in the query's initial values.

Every parameter carries `axes`, the logical names of its dimensions, as metadata; `sharding.RULES` maps them to a mesh.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from t5music.model import attention, products
from t5music.model.config import T5Config

NORM_EPSILON = 1e-6

KeysValues = tuple[jax.Array, jax.Array]  # each [batch, heads, length, d_kv]; in caches [batch * heads, length, d_kv]


def dropout(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """Drops entries of `x` with probability `rate`, the same ones at every position of the second last axis.

    T5 broadcasts every dropout mask over the length (of the queries, for attention weights). A `key` of None means
    no dropout.
    """
    if key is None or rate == 0.0:
        return x
    shape = (*x.shape[:-2], 1, x.shape[-1])  # [..., 1, features]
    keep = jax.random.bernoulli(key, 1.0 - rate, shape)
    return x * (keep / (1.0 - rate)).astype(x.dtype)


def split_key(key: jax.Array | None, count: int) -> list[jax.Array | None]:
    """Splits a dropout key; None (no dropout) splits into Nones."""
    return [None] * count if key is None else list(jax.random.split(key, count))


def relative_position_bucket(
    relative: jax.Array | np.ndarray, *, bidirectional: bool, buckets: int, max_distance: int
) -> jax.Array:
    """Maps `relative` = key position - query position to rows of the bias table, int32, same shape.

    Half the buckets hold one distance each, the other half grow logarithmically up to `max_distance`. Bidirectional
    stacks spend half of all buckets on keys after the query; causal ones put all those keys in bucket 0
    (`t5x.examples.t5.layers.RelativePositionBiases._relative_position_bucket`).
    """
    distance = -jnp.asarray(relative, jnp.int32)
    offset = jnp.zeros_like(distance)  # the first bucket of this direction
    if bidirectional:
        buckets //= 2
        offset = jnp.where(distance < 0, buckets, 0)
        distance = jnp.abs(distance)
    else:
        distance = jnp.maximum(distance, 0)
    exact = buckets // 2
    # The first distance of every wide bucket, by exact arithmetic on the host: a float logarithm on the device would
    # put the exact powers (16, 32, 64 ...) in one bucket or the next depending on its rounding.
    growth = max_distance / exact
    edges = [math.ceil(exact * growth ** (step / (buckets - exact)) - 1e-6) for step in range(buckets - exact)]
    wide = exact - 1 + jnp.sum(distance[..., None] >= jnp.asarray(edges), axis=-1, dtype=jnp.int32)
    return offset + jnp.where(distance < exact, distance, wide)


class RelativePositionBias(nnx.Module):
    """The table of attention biases by relative position that all layers of one stack share."""

    def __init__(self, config: T5Config, *, bidirectional: bool, rngs: nnx.Rngs) -> None:
        initial = jax.nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
        shape = (config.num_heads, config.relative_attention_num_buckets)
        self.table = nnx.Param(initial(rngs.params(), shape), axes=("heads", "buckets"))
        self.max_distance = config.relative_attention_max_distance
        self.bidirectional = bidirectional

    def at(self, relative: jax.Array | np.ndarray) -> jax.Array:
        """Returns the bias of each relative position of a vector: [n] -> [heads, n], float32."""
        bucket = relative_position_bucket(
            relative,
            bidirectional=self.bidirectional,
            buckets=self.table.shape[1],
            max_distance=self.max_distance,
        )
        return self.table[...][:, bucket]

    def __call__(self, queries: int, keys: int) -> jax.Array:
        """Returns the bias of every (query, key) pair, [1, heads, queries, keys], float32.

        The bias depends on key - query alone, so only queries + keys values are looked up; they are laid out along
        the diagonals by a change of row length. That spares the backward pass a scatter over all pairs.
        """
        period = queries + keys
        offset = np.arange(period)
        by_offset = self.at(np.where(offset < keys, offset, offset - period))  # [heads, queries + keys]
        num_heads = by_offset.shape[0]
        # Cutting the periodic sequence into rows one shorter than its period moves each row on by one place.
        tiled = jnp.broadcast_to(by_offset[:, None], (num_heads, queries, period)).reshape(num_heads, queries * period)
        by_query = tiled[:, : queries * (period - 1)].reshape(num_heads, queries, period - 1)
        return by_query[None, :, :, :keys]  # [1, heads, queries, keys]


class RMSNorm(nnx.Module):
    """RMSNorm: scale only, no mean, no bias; mean square and result in float32, then cast to `dtype`."""

    def __init__(self, config: T5Config) -> None:
        self.scale = nnx.Param(jnp.ones(config.d_model), axes=("embed",))
        self.dtype = config.activations

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises the last axis: [..., d_model] -> the same shape."""
        x = x.astype(jnp.float32)
        mean_square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)  # [..., 1]
        return (x * jax.lax.rsqrt(mean_square + NORM_EPSILON) * self.scale[...]).astype(self.dtype)


def linear(x: jax.Array, kernel: jax.Array, dtype: str | None = None) -> jax.Array:
    """Multiplies by a kernel, [..., n] times [n, m] -> [..., m] of the type of `x`.

    The product is in `dtype`, by default that of `x`. Batch and length go in as one dimension: for a kernel's gradient
    over two, XLA's CPU dot copies the gradient that comes in and then multiplies at two thirds of its rate.
    """
    rows = x.reshape(-1, x.shape[-1])  # [batch * length, n]
    narrower = x.dtype == jnp.float32 and dtype == "bfloat16" and isinstance(kernel, jax.Array)
    product = products.in_bfloat16(rows, kernel) if narrower else rows @ kernel.astype(x.dtype)  # [batch * length, m]
    return product.reshape(*x.shape[:-1], kernel.shape[-1])


def _normal(stddev: float) -> Callable[..., jax.Array]:
    return jax.nn.initializers.normal(stddev)


class Attention(nnx.Module):
    """Multi-head attention whose kernels join the heads: query, key, value [d_model, heads * d_kv]; out, its transpose.

    `project_queries`, `project_keys_values` and `attend` are separate so that decoding can keep keys and values.
    """

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        d_model, joined = config.d_model, config.num_heads * config.d_kv
        into, out_of = ("embed", "joined_kv"), ("joined_kv", "embed")
        # The query's initial values carry the 1 / sqrt(d_kv) that attention logits are usually divided by.
        query, key, value = (rngs.params() for _ in range(3))
        self.query = nnx.Param(_normal((d_model * config.d_kv) ** -0.5)(query, (d_model, joined)), axes=into)
        self.key = nnx.Param(_normal(d_model**-0.5)(key, (d_model, joined)), axes=into)
        self.value = nnx.Param(_normal(d_model**-0.5)(value, (d_model, joined)), axes=into)
        self.out = nnx.Param(_normal(joined**-0.5)(rngs.params(), (joined, d_model)), axes=out_of)
        self.config = config

    def project_queries(self, x: jax.Array) -> jax.Array:
        """[batch, length, d_model] -> [batch, heads, length, d_kv]."""
        return self._split_heads(linear(x, self.query[...], self.config.products))

    def project_keys_values(self, x: jax.Array) -> KeysValues:
        """[batch, length, d_model] -> keys and values, each [batch, heads, length, d_kv]."""
        keys, values = (linear(x, kernel[...], self.config.products) for kernel in (self.key, self.value))
        return self._split_heads(keys), self._split_heads(values)

    def _split_heads(self, x: jax.Array) -> jax.Array:
        """[batch, length, heads * d_kv] -> [batch, heads, length, d_kv]."""
        # Heads before length: as XLA's CPU dot wants it, and as decoding's cache is read.
        return x.reshape(*x.shape[:-1], self.config.num_heads, self.config.d_kv).swapaxes(1, 2)

    def attend(
        self,
        queries: jax.Array,
        keys: jax.Array,
        values: jax.Array,
        *,
        bias: jax.Array | None,
        mask: jax.Array | None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Attends and projects back.

        Args:
            queries: [batch, heads, queries, d_kv].
            keys: [batch, heads, keys, d_kv] or, from a cache, [batch * heads, keys, d_kv].
            values: like `keys`.
            bias: added to the logits, broadcastable to [batch, heads, queries, keys]; None where there is none.
            mask: True where a query may look, broadcastable likewise; None where it may look everywhere.
            key: dropout key, None for none.

        Returns:
            [batch, queries, d_model].
        """
        rate = self.config.dropout_rate
        drop = None if key is None or rate == 0.0 else functools.partial(dropout, rate=rate, key=key)
        fuse = self.config.attention == "auto"
        # [batch, heads, queries, d_kv]
        mixed = attention.attend(
            queries, keys, values, bias=bias, mask=mask, drop=drop, fuse=fuse, dtype=self.config.products
        )
        mixed = mixed.swapaxes(1, 2)  # [batch, queries, heads, d_kv]
        return linear(mixed.reshape(*mixed.shape[:2], -1), self.out[...], self.config.products)


class FeedForward(nnx.Module):
    """v1.0: relu(x wi) wo; v1.1: (gelu_tanh(x wi_0) * x wi_1) wo."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        initial = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
        shape, axes = (config.d_model, config.d_ff), ("embed", "mlp")
        if config.gated:
            self.wi_0 = nnx.Param(initial(rngs.params(), shape), axes=axes)
            self.wi_1 = nnx.Param(initial(rngs.params(), shape), axes=axes)
        else:
            self.wi = nnx.Param(initial(rngs.params(), shape), axes=axes)
        self.wo = nnx.Param(initial(rngs.params(), shape[::-1]), axes=axes[::-1])
        self.gated = config.gated
        self.dropout_rate = config.dropout_rate
        self.products = config.products

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """[batch, length, d_model] -> the same shape; `key` is the dropout key, None for none."""
        if self.gated:
            gate = jax.nn.gelu(linear(x, self.wi_0[...], self.products), approximate=True)  # [batch, length, d_ff]
            hidden = gate * linear(x, self.wi_1[...], self.products)
        else:
            hidden = jax.nn.relu(linear(x, self.wi[...], self.products))
        hidden = dropout(hidden, self.dropout_rate, key)  # [batch, length, d_ff]
        return linear(hidden, self.wo[...], self.products)


class Adapter(nnx.Module):
    """A small feed-forward layer put into a trained model, to be trained in place of it: y + relu(y wi) wo.

    Houlsby et al. 2019, without biases, as all of T5 is; it stands where Raffel et al. 2019 (section 3.5.1) put it, on
    what a feed-forward layer adds to the residual. `wo` begins at zero, so that a fresh adapter changes nothing.
    """

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        initial = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
        shape, axes = (config.d_model, config.adapter_dim), ("embed", "mlp")
        self.wi = nnx.Param(initial(rngs.params(), shape), axes=axes)
        self.wo = nnx.Param(jnp.zeros(shape[::-1]), axes=axes[::-1])
        self.products = config.products

    def __call__(self, y: jax.Array) -> jax.Array:
        """[batch, length, d_model] -> the same shape."""
        hidden = jax.nn.relu(linear(y, self.wi[...], self.products))  # [batch, length, adapter_dim]
        return y + linear(hidden, self.wo[...], self.products)


class EncoderLayer(nnx.Module):
    """Self-attention and feed-forward, each as x + dropout(f(norm(x))), and the adapter, where there is one."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.attention_norm = RMSNorm(config)
        self.attention = Attention(config, rngs=rngs)
        self.mlp_norm = RMSNorm(config)
        self.mlp = FeedForward(config, rngs=rngs)
        self.adapter = Adapter(config, rngs=rngs) if config.adapter_dim else None
        self.dropout_rate = config.dropout_rate

    def __call__(
        self,
        x: jax.Array,
        bias: jax.Array,
        mask: jax.Array,
        key: jax.Array | None = None,
        *,
        cache: KeysValues | None = None,
        position: jax.Array | int = 0,
    ) -> tuple[jax.Array, KeysValues]:
        """[batch, length, d_model] -> the same shape, and keys and values; all as of `DecoderLayer`."""
        keys = split_key(key, 4)
        y, keys_values = attend_to_itself(
            self.attention, self.attention_norm(x), bias, mask, keys[0], cache=cache, position=position
        )
        x = x + dropout(y, self.dropout_rate, keys[1])
        y = self.mlp(self.mlp_norm(x), keys[2])
        y = y if self.adapter is None else self.adapter(y)
        return x + dropout(y, self.dropout_rate, keys[3]), keys_values


class DecoderLayer(nnx.Module):
    """Causal self-attention, attention to the encoder's output, feed-forward, and the adapter, where there is one."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.self_attention_norm = RMSNorm(config)
        self.self_attention = Attention(config, rngs=rngs)
        self.cross_attention_norm = RMSNorm(config)
        self.cross_attention = Attention(config, rngs=rngs)
        self.mlp_norm = RMSNorm(config)
        self.mlp = FeedForward(config, rngs=rngs)
        self.adapter = Adapter(config, rngs=rngs) if config.adapter_dim else None
        self.dropout_rate = config.dropout_rate

    def __call__(
        self,
        x: jax.Array,
        *,
        bias: jax.Array,
        mask: jax.Array,
        cross: KeysValues,
        cross_mask: jax.Array,
        key: jax.Array | None = None,
        cache: KeysValues | None = None,
        position: jax.Array | int = 0,
    ) -> tuple[jax.Array, KeysValues]:
        """Runs one layer over whole targets or, with a cache, over the target positions that follow the cached ones.

        Args:
            x: [batch, target, d_model].
            bias: broadcasts to [batch, heads, target, keys]; keys is target, or the length of the cache.
            mask: broadcasts likewise.
            cross: this layer's keys and values of the encoder's output, each [batch, heads, source, d_kv].
            cross_mask: broadcasts to [batch, heads, target, source].
            key: dropout key, None for none.
            cache: keys and values of the targets so far, each [batch * heads, cached, d_kv].
            position: where in the cache those of `x` go.

        Returns:
            [batch, target, d_model], and the keys and values attended to: those of `x`, each [batch, heads, target,
            d_kv], or the cache with those of `x` put in.
        """
        keys = split_key(key, 6)
        y, keys_values = attend_to_itself(
            self.self_attention, self.self_attention_norm(x), bias, mask, keys[0], cache=cache, position=position
        )
        x = x + dropout(y, self.dropout_rate, keys[1])
        queries = self.cross_attention.project_queries(self.cross_attention_norm(x))  # [batch, heads, target, d_kv]
        y = self.cross_attention.attend(queries, *cross, bias=None, mask=cross_mask, key=keys[2])
        x = x + dropout(y, self.dropout_rate, keys[3])
        y = self.mlp(self.mlp_norm(x), keys[4])
        y = y if self.adapter is None else self.adapter(y)
        return x + dropout(y, self.dropout_rate, keys[5]), keys_values


def attend_to_itself(
    attention: Attention,
    x: jax.Array,
    bias: jax.Array,
    mask: jax.Array,
    key: jax.Array | None,
    *,
    cache: KeysValues | None,
    position: jax.Array | int,
) -> tuple[jax.Array, KeysValues]:
    """Self-attention, as both kinds of layers have it; arguments and result are those of `DecoderLayer`."""
    queries, keys_values = attention.project_queries(x), attention.project_keys_values(x)
    if cache is not None:
        keys, values = keys_values
        keys_values = _put(cache[0], keys, position), _put(cache[1], values, position)
    return attention.attend(queries, *keys_values, bias=bias, mask=mask, key=key), keys_values


def _put(cache: jax.Array, new: jax.Array, position: jax.Array | int) -> jax.Array:
    """Puts [batch, heads, length, d_kv] into [batch * heads, cached, d_kv] from `position` on.

    Batch and heads are one dimension, here and in the attention's products, because that is what XLA's CPU dot reads:
    with two, it fuses the update with its reshape, computes it twice and copies the whole cache at every step.
    """
    return jax.lax.dynamic_update_slice_in_dim(cache, new.reshape(-1, *new.shape[2:]), position, 1)
