"""Writing and scoring targets with a trained T5.

`generate` runs the encoder once, computes each decoder layer's keys and values of the encoder's output once, and then
loops inside one compiled program, one token a step, over a cache of the targets' keys and values. `score` gives the
log-likelihood of given answers, to rank labels. Both compile once per shape of their arguments; sampling settings are
arguments of the compiled program, so changing them compiles nothing.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from t5music.errors import ConfigError
from t5music.model.config import EOS_ID, PAD_ID
from t5music.model.layers import DecoderLayer, KeysValues
from t5music.model.network import T5, causal_mask, padding_mask


class Grammar(Protocol):
    """Which ids may come next, as a state machine for any array module; hashable, and equal where its rules are.

    The state is a pytree of arrays whose first dimension is the batch; `advance` keeps their shapes and types.
    """

    def allowed(self, state: Any, xp: Any) -> Any:
        """bool [batch, n], n at most the model's rows: the ids that may come next, always at least one in a row."""

    def advance(self, state: Any, ids: Any, xp: Any) -> Any:
        """The state after one more id a row, int [batch], whatever it is."""


GREEDY, SAMPLE, FILTERED = "greedy", "sample", "filtered"  # static: each leaves the work of the next out of the loop


def generate(
    model: T5,
    encoder_input_tokens: Any,
    *,
    max_length: int,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    key: jax.Array | None = None,
    allowed: Any = None,
    grammar: tuple[Grammar, Any] | None = None,
    prefix: Any = None,
) -> jax.Array:
    """Writes a target for every row.

    Args:
        model: the model, in either form of its layers.
        encoder_input_tokens: int [batch, source]; id 0 is padding.
        max_length: tokens to write at most, EOS included.
        temperature: 0 takes the likeliest token at every step; otherwise logits are divided by it and sampled.
        top_k: sample among the k likeliest tokens only; 0 for all.
        top_p: sample among the likeliest tokens whose probabilities first sum to at least this; 1 for all. Applied
            after temperature and top_k, on the probabilities among what they left.
        key: random key, needed when temperature > 0. A row's tokens depend on the key, its number in the batch and its
            logits; not on how many rows there are.
        allowed: bool [n], n at most the model's rows: the ids that may be written; ids from n on may not. It does not
            bind `prefix`.
        grammar: a grammar and its state before the first id, in place of `allowed`: only what it allows is written,
            EOS where it allows that. It reads `prefix`, but does not bind it.
        prefix: int [batch, p]: tokens to begin with; an id 0 leaves its position to the model.

    Returns:
        int32 [batch, max_length]: each row's tokens up to and including EOS, then padding.

    Raises:
        ConfigError: a setting that cannot be.
    """
    tokens = np.asarray(encoder_input_tokens, np.int32)
    rows = model.config.rows
    if max_length < 1:
        raise ConfigError(f"max_length must be at least 1, not {max_length}")
    if not temperature >= 0:
        raise ConfigError(f"temperature must be 0 (greedy) or more, not {temperature}")
    if not 0 <= top_k <= rows:
        raise ConfigError(f"top_k must lie between 0 (off) and the model's {rows} rows, not {top_k}")
    if not 0 < top_p <= 1:
        raise ConfigError(f"top_p must be above 0 and at most 1 (off), not {top_p}")
    if temperature == 0:
        mode, key = GREEDY, jax.random.key(0)
    elif key is None:
        raise ValueError("sampling (temperature > 0) needs a random key: pass key=")
    else:
        mode = FILTERED if top_k or top_p < 1 else SAMPLE
    rules, state = _grammar(grammar, len(tokens), allowed)
    graphdef, params = nnx.split(model)
    return _generate(
        graphdef,
        params,
        tokens,
        _forced(prefix, len(tokens), max_length),
        _allowed(allowed, rows),
        state,
        key,
        Settings(np.float32(temperature or 1.0), np.int32(top_k or rows), np.float32(top_p)),
        mode=mode,
        rules=rules,
    )


def _grammar(grammar: tuple[Grammar, Any] | None, batch: int, allowed: Any) -> tuple[Grammar | None, Any]:
    """Returns the grammar, or None, and its state for this batch."""
    if grammar is None:
        return None, ()
    if allowed is not None:
        raise ConfigError("allowed and grammar both say what may be written: give one of them")
    rows = {len(leaf) for leaf in jax.tree.leaves(grammar[1])}
    if rows != {batch}:
        raise ConfigError(f"the grammar's state is of {sorted(rows)} rows and there are {batch} to write")
    return grammar


def _forced(prefix: Any, batch: int, max_length: int) -> np.ndarray:
    """Returns the tokens to write come what may, int32 [batch, max_length], 0 where the model decides."""
    forced = np.full((batch, max_length), PAD_ID, np.int32)
    if prefix is not None:
        prefix = np.asarray(prefix)
        if prefix.ndim != 2 or len(prefix) != batch or prefix.shape[1] > max_length:
            raise ConfigError(
                f"prefix of shape {prefix.shape} does not fit {batch} rows of at most {max_length} tokens (max_length)"
            )
        forced[:, : prefix.shape[1]] = prefix
    return forced


def _allowed(allowed: Any, rows: int) -> np.ndarray:
    """Returns the mask over all of the model's ids, bool [rows]."""
    if allowed is None:
        return np.ones(rows, bool)
    mask = np.asarray(allowed, bool)
    if mask.ndim != 1 or len(mask) > rows:
        raise ConfigError(f"allowed must be a mask over at most {rows} ids, not of shape {mask.shape}")
    if not mask.any():
        raise ConfigError("allowed forbids every id")
    return np.pad(mask, (0, rows - len(mask)))


class Settings(NamedTuple):
    """How to sample, as scalars of the compiled program."""

    temperature: np.float32 | jax.Array
    top_k: np.int32 | jax.Array
    top_p: np.float32 | jax.Array


class Prepared(NamedTuple):
    """What all steps of a row share."""

    layers: list[DecoderLayer]
    crosses: list[KeysValues]  # of every layer, each [batch, heads, source, d_kv]
    cross_mask: jax.Array  # [batch, 1, 1, source]


def prepare(model: T5, tokens: jax.Array) -> Prepared:
    """Runs the encoder over int [batch, source] and every decoder layer's key and value kernels over its output."""
    encoded = model.encode(tokens)  # [batch, source, d_model]
    layers: list[DecoderLayer] = model.decoder.unstacked()
    crosses = [layer.cross_attention.project_keys_values(encoded) for layer in layers]
    return Prepared(layers, crosses, padding_mask(tokens))


def empty_caches(model: T5, batch: int, length: int) -> list[KeysValues]:
    """Returns every decoder layer's cache for `length` tokens, keys and values each [batch * heads, length, d_kv]."""
    config = model.config
    empty = jnp.zeros((batch * config.heads, length, config.d_kv), config.dtype)
    return [(empty, empty)] * config.decoder_layers


def next_logits(
    model: T5, prepared: Prepared, last: jax.Array, step: jax.Array | int, caches: list[KeysValues]
) -> tuple[jax.Array, list[KeysValues]]:
    """Runs the decoder over one position.

    Args:
        model: the model.
        prepared: from `prepare`.
        last: int [batch], the token before the one to write.
        step: how many tokens are written already.
        caches: from `empty_caches` or the step before.

    Returns:
        float32 [batch, rows] and the caches with this step's keys and values.
    """
    length = caches[0][0].shape[1]
    positions = jnp.arange(length)
    # All offsets are looked up, once and for all as the compiler finds, and a step cuts out its own.
    offsets = model.decoder.relative_bias.at(np.arange(1 - length, length))  # [heads, 2 * length - 1]
    bias = jax.lax.dynamic_slice_in_dim(offsets, length - 1 - step, length, axis=1)[None, :, None, :]
    mask = (positions <= step)[None, None, None, :]
    x = model.embed(last[:, None])  # [batch, 1, d_model]
    filled: list[KeysValues] = []
    for layer, cross, cache in zip(prepared.layers, prepared.crosses, caches, strict=True):
        x, cache = layer(
            x, bias=bias, mask=mask, cross=cross, cross_mask=prepared.cross_mask, cache=cache, position=step
        )
        filled.append(cache)
    return model.logits(model.decoder.norm(x))[:, 0], filled


@functools.partial(jax.jit, static_argnames=("mode", "rules"))
def _generate(
    graphdef: nnx.GraphDef,
    params: nnx.State,
    tokens: jax.Array,  # [batch, source]
    forced: jax.Array,  # [batch, max_length]
    allowed: jax.Array,  # [rows]
    grammar_state: Any,
    key: jax.Array,
    settings: Settings,
    *,
    mode: str,
    rules: Grammar | None,
) -> jax.Array:
    model: T5 = nnx.merge(graphdef, params)
    batch, max_length = forced.shape
    prepared = prepare(model, tokens)
    row_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch))

    def unfinished(state: tuple) -> jax.Array:
        step, _, _, done, _, _ = state
        return (step < max_length) & ~jnp.all(done)

    def write(state: tuple) -> tuple:
        step, written, last, done, caches, grammar = state
        logits, caches = next_logits(model, prepared, last, step, caches)
        logits = jnp.where(allowed if rules is None else _legal(rules, grammar, logits), logits, -jnp.inf)
        if mode == GREEDY:
            chosen = jnp.argmax(logits, axis=-1)
        else:
            logits = logits / settings.temperature
            if mode == FILTERED:
                logits = keep_likeliest(logits, settings.top_k, settings.top_p)
            step_keys = jax.vmap(jax.random.fold_in, (0, None))(row_keys, step)
            chosen = jax.vmap(jax.random.categorical)(step_keys, logits)
        begin = jax.lax.dynamic_index_in_dim(forced, step, axis=1, keepdims=False)  # [batch]
        chosen = jnp.where(begin != PAD_ID, begin, chosen.astype(jnp.int32))
        chosen = jnp.where(done, PAD_ID, chosen)
        written = jax.lax.dynamic_update_slice_in_dim(written, chosen[:, None], step, 1)
        if rules is not None:
            grammar = rules.advance(grammar, chosen, jnp)
        return step + 1, written, chosen, done | (chosen == EOS_ID), caches, grammar

    start = jnp.full(batch, PAD_ID, jnp.int32)
    caches = empty_caches(model, batch, max_length)
    initial = (0, jnp.zeros_like(forced), start, jnp.zeros(batch, bool), caches, grammar_state)
    return jax.lax.while_loop(unfinished, write, initial)[1]


def _legal(rules: Grammar, state: Any, logits: jax.Array) -> jax.Array:
    """What the grammar allows, bool [batch, rows] as the logits."""
    mask = rules.allowed(state, jnp)
    missing = logits.shape[1] - mask.shape[1]
    if missing < 0:
        raise ConfigError(f"the grammar is over {mask.shape[1]} ids and the model has {logits.shape[1]} rows")
    return jnp.pad(mask, ((0, 0), (0, missing)))


def keep_likeliest(logits: jax.Array, top_k: Any, top_p: Any) -> jax.Array:
    """Sets to -inf what is not among the `top_k` likeliest, or not needed to reach probability `top_p` among them.

    What is exactly as likely as the last one kept is kept too; at least one stays. [batch, rows] -> the same shape.
    """
    ordered = -jnp.sort(-logits, axis=-1)  # likeliest first
    ranks = jnp.arange(logits.shape[-1])
    among = jnp.where(ranks < top_k, ordered, -jnp.inf)
    probabilities = jax.nn.softmax(among, axis=-1)
    likelier = jnp.cumsum(probabilities, axis=-1) - probabilities  # probability of all that come before
    kept = (likelier < top_p) & (ranks < top_k)
    least = jnp.min(jnp.where(kept, ordered, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits >= least, logits, -jnp.inf)


def score(model: T5, encoder_input_tokens: Any, candidates: Any) -> jax.Array:
    """Returns the log-likelihood of every candidate answer to every row, float32 [batch, n].

    Args:
        model: the model, in either form of its layers.
        encoder_input_tokens: int [batch, source]; id 0 is padding.
        candidates: int [n, length], each usually ending with EOS, then padding, which counts nothing.
    """
    graphdef, params = nnx.split(model)
    return _score(graphdef, params, np.asarray(encoder_input_tokens, np.int32), np.asarray(candidates, np.int32))


@jax.jit
def _score(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, candidates: jax.Array) -> jax.Array:
    model: T5 = nnx.merge(graphdef, params)
    batch, length = tokens.shape[0], candidates.shape[1]
    prepared = prepare(model, tokens)
    bias, mask = model.decoder.relative_bias(length, length), causal_mask(length)

    def likelihood(candidate: jax.Array) -> jax.Array:  # [length] -> [batch]
        inputs = jnp.pad(candidate[:-1], (1, 0), constant_values=PAD_ID)
        x = jnp.broadcast_to(model.embed(inputs[None]), (batch, length, model.config.d_model))
        for layer, cross in zip(prepared.layers, prepared.crosses, strict=True):
            x, _ = layer(x, bias=bias, mask=mask, cross=cross, cross_mask=prepared.cross_mask)
        log_probabilities = jax.nn.log_softmax(model.logits(model.decoder.norm(x)))  # [batch, length, rows]
        chosen = log_probabilities[:, jnp.arange(length), candidate]  # [batch, length]
        return jnp.sum(jnp.where(candidate != PAD_ID, chosen, 0.0), axis=-1)

    return jax.lax.map(likelihood, candidates).T
