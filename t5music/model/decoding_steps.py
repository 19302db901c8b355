"""Decoding, step by step: prompts are read once, then one position at a time over caches of keys and values.

Every layer's keys and values of the prompts are kept: those of the encoder's output or, without an encoder, of the
prompts themselves. A step runs the decoder over one position, adds its keys and values to the caches and gives the
logits of the next token. `decoding` loops over such steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from t5music.errors import ConfigError
from t5music.model.config import PAD_ID, PREFIX_LM
from t5music.model.decoding_kernels import for_steps
from t5music.model.layers import DecoderLayer, EncoderLayer, KeysValues
from t5music.model.network import T5, causal_mask, padding_mask

STAGED_FROM = 64  # tokens to write, from which caches grow in stages

Caches = list[KeysValues]  # of every layer, each [batch * heads, length, d_kv]


class Prepared(NamedTuple):
    """Prompts that have been read: what all steps share, and where they begin.

    Of a decoder-only model the prompts are laid so that all end at the same place, with what is free before them:
    positions count from one another only.

    Attributes:
        layers: `DecoderLayer`s or, in a decoder-only model, `EncoderLayer`s.
        crosses: every layer's keys and values of the encoder's output, each [batch, heads, source, d_kv]; None in a
            decoder-only model.
        cross_mask: bool [batch, 1, 1, source], False at padding; None likewise.
        caches: keys and values of what stands before `first`, each [batch * heads, offset, d_kv].
        first: int [batch], the token before the first one to write.
        begin: int [batch, 1, 1, 1], the position at which a row of a decoder-only model begins; None: at 0.
    """

    layers: list[Any]
    crosses: list[KeysValues] | None
    cross_mask: jax.Array | None
    caches: Caches
    first: jax.Array
    begin: jax.Array | None = None

    @property
    def offset(self) -> int:
        """The position of `first`."""
        return self.caches[0][0].shape[1]


def prepare(model: T5, tokens: jax.Array) -> Prepared:
    """Reads the prompts, int [batch, source]: with the encoder or, decoder-only, as the beginning of the sequence.

    Raises ConfigError for an encoder alone.
    """
    if model.config.encoder_only:
        raise ConfigError("a model of architecture 'encoder' has no decoder: it can neither write nor score an answer")
    if model.config.decoder_only:
        return _read(model, tokens)
    encoded = model.encode(tokens)  # [batch, source, d_model]
    layers: list[DecoderLayer] = model.decoder.unstacked()
    # Each [batch, heads, source, d_kv].
    crosses = [layer.cross_attention.project_keys_values(encoded) for layer in layers]
    batch = len(tokens)
    empty = jnp.zeros((batch * model.config.num_heads, 0, model.config.d_kv), model.config.activations)
    first = jnp.full(batch, PAD_ID, jnp.int32)
    return Prepared(layers, crosses, padding_mask(tokens), [(empty, empty)] * len(layers), first)


def _read(model: T5, tokens: jax.Array) -> Prepared:
    """Runs a decoder-only model over the start token and the prompts, int [batch, source]."""
    source = tokens.shape[1]
    lengths = jnp.sum(tokens != PAD_ID, axis=1)  # [batch]
    positions = jnp.arange(source + 1)
    within = positions - (source - lengths)[:, None]  # [batch, source + 1], 0 at the start token
    aligned = jnp.where(within > 0, jnp.take_along_axis(tokens, jnp.maximum(within - 1, 0), axis=1), PAD_ID)
    mask = (within >= 0)[:, None, None, :]  # [batch, 1, 1, source + 1]
    if model.config.architecture != PREFIX_LM:  # there, a prompt's tokens all see each other
        mask = mask & causal_mask(source + 1)  # [batch, 1, source + 1, source + 1]
    bias = model.decoder.relative_bias(source + 1, source + 1)  # [1, heads, source + 1, source + 1]
    layers: list[EncoderLayer] = model.decoder.unstacked()
    x = model.embed_at(aligned, jnp.maximum(within, 0))  # [batch, source + 1, d_model]
    caches: Caches = []
    for layer in layers:
        x, keys_values = layer(x, bias, mask)  # keys and values: [batch, heads, source + 1, d_kv]
        # The last token is read again, by the first step, and comes to the same.
        keys, values = (array.reshape(-1, *array.shape[2:])[:, :source] for array in keys_values)
        caches.append((keys, values))  # [batch * heads, source, d_kv]
    return Prepared(layers, None, None, caches, aligned[:, -1], (source - lengths)[:, None, None, None])


def prepare_steps(model: T5, tokens: jax.Array) -> Prepared:
    """As `prepare`, with kernels laid out for `next_logits`, whose numbers stay the same up to rounding."""
    return with_kernels(model, prepare(model, tokens))


def with_kernels(model: T5, prepared: Prepared) -> Prepared:
    """Prompts that have been read, with the decoder's layers as `next_logits` runs fastest on them."""
    layers: list[DecoderLayer] = model.decoder.unstacked()
    return prepared._replace(layers=[for_steps(layer, len(prepared.first)) for layer in layers])


def longer_caches(caches: Caches, length: int) -> Caches:
    """Returns caches with room for `length` tokens, no fewer than before."""
    more = ((0, 0), (0, length - caches[0][0].shape[1]), (0, 0))
    return jax.tree.map(lambda cache: jnp.pad(cache, more), caches)


def stages(max_length: int, batch: int) -> list[int]:
    """Returns the lengths of the caches that a loop over `max_length` tokens goes through.

    A step reads the whole cache, used or not; with half of it for the first half of the tokens, a quarter less is
    read. Each stage is compiled on its own, so there are two at most, and one where caches are little beside kernels.
    """
    return [max_length // 2, max_length] if batch > 1 and max_length >= STAGED_FROM else [max_length]


def next_logits(
    model: T5, prepared: Prepared, last: jax.Array, step: jax.Array | int, caches: Caches
) -> tuple[jax.Array, Caches]:
    """Runs the decoder over one position.

    Args:
        model: the model.
        prepared: from `prepare_steps` (or `prepare`, slower).
        last: int [batch], the token before the one to write.
        step: how many tokens are written already.
        caches: `prepared.caches`, made longer, or those of the step before.

    Returns:
        float32 [batch, vocab_size], and the caches with this step's keys and values.
    """
    length, position = caches[0][0].shape[1], prepared.offset + step
    # All offsets are looked up, once and for all as the compiler finds, and a step cuts out its own.
    offsets = model.decoder.relative_bias.at(np.arange(1 - length, length))  # [heads, 2 * length - 1]
    bias = jax.lax.dynamic_slice_in_dim(offsets, length - 1 - position, length, axis=1)  # [heads, length]
    logits, caches = decode(model, prepared, last[:, None], position, bias[None, :, None, :], caches)
    return logits[:, 0], caches


def decode(
    model: T5,
    prepared: Prepared,
    tokens: jax.Array,
    position: jax.Array | int,
    bias: jax.Array,
    caches: Caches,
) -> tuple[jax.Array, Caches]:
    """Runs the decoder over consecutive positions.

    Args:
        model: the model.
        prepared: the prompts.
        tokens: int [batch, n], read at the n positions from `position` on.
        position: of the first of them, counted from where the caches begin.
        bias: of relative positions, [1, heads, n, length of the caches].
        caches: with room for these positions.

    Returns:
        float32 [batch, n, vocab_size], and the caches with these positions' keys and values.
    """
    keys = jnp.arange(caches[0][0].shape[1])
    mask = (keys <= position + jnp.arange(tokens.shape[1])[:, None])[None, None]  # [1, 1, n, length]
    if prepared.begin is not None:
        mask = mask & (keys >= prepared.begin)  # [batch, 1, n, length]
    begin = 0 if prepared.begin is None else prepared.begin[:, 0, 0]  # [batch, 1]
    places = position + jnp.arange(tokens.shape[1])[None] - begin  # [1 or batch, n]
    x = model.embed_at(tokens, places)  # [batch, n, d_model]
    filled: Caches = []
    for i, (layer, cache) in enumerate(zip(prepared.layers, caches, strict=True)):
        if prepared.crosses is None:
            x, cache = layer(x, bias, mask, cache=cache, position=position)
        else:
            cross, cross_mask = prepared.crosses[i], prepared.cross_mask
            x, cache = layer(
                x, bias=bias, mask=mask, cross=cross, cross_mask=cross_mask, cache=cache, position=position
            )
        filled.append(cache)
    return model.logits(model.decoder.norm(x)), filled
