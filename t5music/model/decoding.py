"""Writing and scoring targets with a trained T5.

`generate` reads the prompts once, keeps every layer's keys and values of them (of the encoder's output or, without an
encoder, of the prompts themselves), and then loops inside one compiled program, one token a step, over a cache of the
targets' keys and values. `score` gives the log-likelihood of given answers, to rank labels. Both compile once per shape
of their arguments; sampling settings are arguments of the compiled program, so changing them compiles nothing.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from t5music.errors import ConfigError
from t5music.model.config import EOS_ID, PAD_ID, PREFIX_LM
from t5music.model.decoding_kernels import for_steps
from t5music.model.layers import DecoderLayer, EncoderLayer, KeysValues
from t5music.model.network import T5, causal_mask, padding_mask


class Grammar(Protocol):
    """Which ids may come next, as a state machine for any array module; hashable, and equal where its rules are.

    The state is a pytree of arrays whose first dimension is the batch; `advance` keeps their shapes and types.
    """

    def allowed(self, state: Any, xp: Any) -> Any:
        """bool [batch, n], n at most the model's rows: the ids that may come next, always at least one in a row."""

    def advance(self, state: Any, ids: Any, xp: Any) -> Any:
        """The state after one more id a row, int [batch], whatever it is."""


STAGED_FROM = 64  # tokens to write, from which caches grow in stages
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
    rows = model.config.vocab_size
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
    """What all steps of a row share, and where they begin.

    Of a decoder-only model the prompts are laid so that all end at the same place, with what is free before them:
    positions count from one another only.
    """

    layers: list[Any]  # DecoderLayer or, in a decoder-only model, EncoderLayer
    crosses: list[KeysValues] | None  # of every layer, each [batch, heads, source, d_kv]; None: decoder-only
    cross_mask: jax.Array | None  # [batch, 1, 1, source]
    caches: list[KeysValues]  # of every layer, of what stands before `first`: each [batch * heads, offset, d_kv]
    first: jax.Array  # int [batch], the token before the first one to write
    begin: jax.Array | None = None  # int [batch, 1, 1, 1], where a decoder-only row begins; None: at 0

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
    crosses = [layer.cross_attention.project_keys_values(encoded) for layer in layers]
    batch = len(tokens)
    empty = jnp.zeros((batch * model.config.num_heads, 0, model.config.d_kv), model.config.dtype)
    first = jnp.full(batch, PAD_ID, jnp.int32)
    return Prepared(layers, crosses, padding_mask(tokens), [(empty, empty)] * len(layers), first)


def _read(model: T5, tokens: jax.Array) -> Prepared:
    """Runs a decoder-only model over the start token and the prompts."""
    source = tokens.shape[1]
    lengths = jnp.sum(tokens != PAD_ID, axis=1)
    positions = jnp.arange(source + 1)
    within = positions - (source - lengths)[:, None]  # [batch, source + 1], 0 at the start token
    aligned = jnp.where(within > 0, jnp.take_along_axis(tokens, jnp.maximum(within - 1, 0), axis=1), PAD_ID)
    mask = (within >= 0)[:, None, None, :]
    if model.config.architecture != PREFIX_LM:  # there, a prompt's tokens all see each other
        mask = mask & causal_mask(source + 1)
    bias = model.decoder.relative_bias(source + 1, source + 1)
    layers: list[EncoderLayer] = model.decoder.unstacked()
    x = model.embed(aligned)
    caches: list[KeysValues] = []
    for layer in layers:
        x, (keys, values) = layer(x, bias, mask)
        # The last token is read again, by the first step, and comes to the same.
        keys, values = (own.reshape(-1, *own.shape[2:])[:, :source] for own in (keys, values))
        caches.append((keys, values))
    return Prepared(layers, None, None, caches, aligned[:, -1], (source - lengths)[:, None, None, None])


def prepare_steps(model: T5, tokens: jax.Array) -> Prepared:
    """As `prepare`, with kernels laid out for `next_logits`, whose numbers stay the same up to rounding."""
    prepared = prepare(model, tokens)
    return prepared._replace(layers=[for_steps(layer, len(tokens)) for layer in prepared.layers])


def longer_caches(caches: list[KeysValues], length: int) -> list[KeysValues]:
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
    model: T5, prepared: Prepared, last: jax.Array, step: jax.Array | int, caches: list[KeysValues]
) -> tuple[jax.Array, list[KeysValues]]:
    """Runs the decoder over one position.

    Args:
        model: the model.
        prepared: from `prepare_steps` (or `prepare`, slower).
        last: int [batch], the token before the one to write.
        step: how many tokens are written already.
        caches: `prepared.caches`, made longer, or those of the step before.

    Returns:
        float32 [batch, rows] and the caches with this step's keys and values.
    """
    length, position = caches[0][0].shape[1], prepared.offset + step
    # All offsets are looked up, once and for all as the compiler finds, and a step cuts out its own.
    offsets = model.decoder.relative_bias.at(np.arange(1 - length, length))  # [heads, 2 * length - 1]
    bias = jax.lax.dynamic_slice_in_dim(offsets, length - 1 - position, length, axis=1)[None, :, None, :]
    logits, caches = _decode(model, prepared, last[:, None], position, bias, caches)
    return logits[:, 0], caches


def _decode(
    model: T5,
    prepared: Prepared,
    tokens: jax.Array,
    position: jax.Array | int,
    bias: jax.Array,
    caches: list[KeysValues],
) -> tuple[jax.Array, list[KeysValues]]:
    """Runs the decoder over tokens [batch, n] from `position` on: logits [batch, n, rows], and the caches with them.

    `bias` is [1, heads, n, length of the caches].
    """
    keys = jnp.arange(caches[0][0].shape[1])
    mask = (keys <= position + jnp.arange(tokens.shape[1])[:, None])[None, None]  # [1, 1, n, length]
    if prepared.begin is not None:
        mask = mask & (keys >= prepared.begin)
    x = model.embed(tokens)
    filled: list[KeysValues] = []
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
    prepared = prepare_steps(model, tokens)
    row_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch))

    def unfinished(state: tuple, room: int) -> jax.Array:
        step, _, _, done, _, _ = state
        return (step < room) & ~jnp.all(done)

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

    state = (0, jnp.zeros_like(forced), prepared.first, jnp.zeros(batch, bool), prepared.caches, grammar_state)
    for room in stages(max_length, batch):
        *others, caches, grammar = state
        state = (*others, longer_caches(caches, prepared.offset + room), grammar)
        state = jax.lax.while_loop(functools.partial(unfinished, room=room), write, state)
    return state[1]


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
    begin, end = prepared.offset, prepared.offset + length
    bias = model.decoder.relative_bias(end, end)[:, :, begin:]
    caches = longer_caches(prepared.caches, end)

    def likelihood(candidate: jax.Array) -> jax.Array:  # [length] -> [batch]
        rest = jnp.broadcast_to(candidate[:-1], (batch, length - 1))
        inputs = jnp.concatenate([prepared.first[:, None], rest], axis=1)
        log_probabilities = jax.nn.log_softmax(_decode(model, prepared, inputs, begin, bias, caches)[0])
        chosen = log_probabilities[:, jnp.arange(length), candidate]  # [batch, length]
        return jnp.sum(jnp.where(candidate != PAD_ID, chosen, 0.0), axis=-1)

    return jax.lax.map(likelihood, candidates).T
