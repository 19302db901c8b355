"""Decoding: generating targets with a trained T5, and scoring given ones.

`generate` reads the prompts once and then loops inside one compiled program, one token a step, over caches of keys and
values (`decoding_steps`). `streaming` does the same a few tokens at a time. `score` gives the log-likelihood of given
answers, to rank labels. All compile once per shape of their arguments; sampling settings are arguments of the compiled
program, so changing them compiles nothing.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError
from t5music.model import sampling
from t5music.model.config import EOS_ID, PAD_ID
from t5music.model.decoding_steps import (
    Caches,
    Prepared,
    decode,
    longer_caches,
    next_logits,
    prepare,
    prepare_steps,
    stages,
)
from t5music.model.network import T5
from t5music.model.sampling import SamplingSettings

GrammarState = Any  # a pytree of arrays whose first dimension is the batch


class Grammar(Protocol):
    """Which ids may come next, as a state machine for any array module; hashable, and equal where its rules are.

    The state is a pytree of arrays whose first dimension is the batch; `advance` keeps their shapes and types.
    """

    def allowed(self, state: GrammarState, xp: ModuleType) -> Any:
        """bool [batch, n], n at most the model's vocab_size: the ids that may come next, always one in a row."""

    def advance(self, state: GrammarState, ids: Any, xp: ModuleType) -> GrammarState:
        """The state after one more id a row, int [batch], whatever it is."""

    def stand_ins(self, state: GrammarState, xp: ModuleType) -> tuple[Any, Any] | None:
        """Ids that are not legal and stand for another one, whose probability takes theirs in.

        Returns:
            bool [batch, n], those ids; and int [batch], the one that they stand for, -1 for none. None where no id
            ever stands for another.
        """


def generate(
    model: T5,
    encoder_input_tokens: ArrayLike,
    *,
    max_length: int,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    key: jax.Array | None = None,
    allowed: ArrayLike | None = None,
    grammar: tuple[Grammar, GrammarState] | None = None,
    prefix: ArrayLike | None = None,
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
        allowed: bool [n], n at most the model's vocab_size: the ids that may be written; ids from n on may not. It
            does not bind `prefix`.
        grammar: a grammar and its state before the first id, in place of `allowed`: only what it allows is written,
            EOS where it allows that. It reads `prefix`, but does not bind it.
        prefix: int [batch, p]: tokens to begin with; an id 0 leaves its position to the model.

    Returns:
        int32 [batch, max_length]: each row's tokens up to and including EOS, then padding.

    Raises:
        ConfigError: a setting that cannot be.
    """
    call = call_of(
        model,
        encoder_input_tokens,
        max_length=max_length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        key=key,
        allowed=allowed,
        grammar=grammar,
        prefix=prefix,
    )
    graphdef, params = nnx.split(model)
    return _generate(graphdef, params, call.inputs, mode=call.mode, rules=call.rules)


class Inputs(NamedTuple):
    """The arrays that a compiled program of decoding takes.

    Attributes:
        tokens: int [batch, source], the prompts.
        forced: int [batch, max_length], ids to write come what may, 0 where the model decides.
        allowed: bool [vocab_size], the ids that may be written where there is no grammar.
        grammar: the grammar's state before the first id; () without one.
        key: of what is drawn.
        settings: of the sampling.
    """

    tokens: Any
    forced: Any
    allowed: Any
    grammar: GrammarState
    key: jax.Array
    settings: SamplingSettings


class Call(NamedTuple):
    """What `generate` was given, checked: the arrays, and what is compiled in: the sampling's mode, and the grammar."""

    inputs: Inputs
    mode: str
    rules: Grammar | None


def call_of(
    model: T5,
    encoder_input_tokens: ArrayLike,
    *,
    max_length: int,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    key: jax.Array | None = None,
    allowed: ArrayLike | None = None,
    grammar: tuple[Grammar, GrammarState] | None = None,
    prefix: ArrayLike | None = None,
) -> Call:
    """Checks what `generate` takes, and makes arrays of it. Raises ConfigError for a setting that cannot be."""
    tokens = np.asarray(encoder_input_tokens, np.int32)
    vocab_size = model.config.vocab_size
    if max_length < 1:
        raise ConfigError(f"max_length must be at least 1, not {max_length}")
    if not temperature >= 0:
        raise ConfigError(f"temperature must be 0 (greedy) or more, not {temperature}")
    if not 0 <= top_k <= vocab_size:
        raise ConfigError(f"top_k must lie between 0 (off) and the model's {vocab_size} rows, not {top_k}")
    if not 0 < top_p <= 1:
        raise ConfigError(f"top_p must be above 0 and at most 1 (off), not {top_p}")
    if temperature == 0:
        mode, key = sampling.GREEDY, jax.random.key(0)
    elif key is None:
        raise ValueError("sampling (temperature > 0) needs a random key: pass key=")
    else:
        mode = sampling.FILTERED if top_k or top_p < 1 else sampling.SAMPLE
    rules, state = _grammar(grammar, len(tokens), allowed)
    inputs = Inputs(
        tokens,
        _forced(prefix, len(tokens), max_length),
        _allowed(allowed, vocab_size),
        state,
        key,
        SamplingSettings(np.float32(temperature or 1.0), np.int32(top_k or vocab_size), np.float32(top_p)),
    )
    return Call(inputs, mode, rules)


def _grammar(
    grammar: tuple[Grammar, GrammarState] | None, batch: int, allowed: ArrayLike | None
) -> tuple[Grammar | None, GrammarState]:
    """Returns the grammar, or None, and its state for this batch."""
    if grammar is None:
        return None, ()
    if allowed is not None:
        raise ConfigError("allowed and grammar both say what may be written: give one of them")
    batches = {len(leaf) for leaf in jax.tree.leaves(grammar[1])}
    if batches != {batch}:
        raise ConfigError(f"the grammar's state is of {sorted(batches)} rows and there are {batch} to write")
    return grammar


def _forced(prefix: ArrayLike | None, batch: int, max_length: int) -> NDArray[np.int32]:
    """Returns the tokens to write come what may, int32 [batch, max_length], 0 where the model decides."""
    forced = np.full((batch, max_length), PAD_ID, np.int32)
    if prefix is not None:
        begin = np.asarray(prefix)
        if begin.ndim != 2 or len(begin) != batch or begin.shape[1] > max_length:
            raise ConfigError(
                f"prefix of shape {begin.shape} does not fit {batch} rows of at most {max_length} tokens (max_length)"
            )
        forced[:, : begin.shape[1]] = begin
    return forced


def _allowed(allowed: ArrayLike | None, vocab_size: int) -> NDArray[np.bool_]:
    """Returns the mask over all of the model's ids, bool [vocab_size]."""
    if allowed is None:
        return np.ones(vocab_size, bool)
    mask = np.asarray(allowed, bool)
    if mask.ndim != 1 or len(mask) > vocab_size:
        raise ConfigError(f"allowed must be a mask over at most {vocab_size} ids, not of shape {mask.shape}")
    if not mask.any():
        raise ConfigError("allowed forbids every id")
    return np.pad(mask, (0, vocab_size - len(mask)))


class DecodingState(NamedTuple):
    """What one step of the loop hands to the next.

    Attributes:
        step: int32 [], tokens written so far.
        written: int32 [batch, max_length], padding from `step` on.
        last: int32 [batch], the token written last.
        finished: bool [batch], whether EOS has been written.
        caches: every layer's keys and values so far.
        grammar: the state of the grammar; () without one.
    """

    step: jax.Array | int
    written: jax.Array
    last: jax.Array
    finished: jax.Array
    caches: Caches
    grammar: GrammarState


@functools.partial(jax.jit, static_argnames=("mode", "rules"))
def _generate(
    graphdef: nnx.GraphDef, params: nnx.State, inputs: Inputs, *, mode: str, rules: Grammar | None
) -> jax.Array:
    model: T5 = nnx.merge(graphdef, params)
    batch, max_length = inputs.forced.shape
    prepared = prepare_steps(model, inputs.tokens)
    state = first_state(prepared, inputs)
    for room in stages(max_length, batch):
        state = state._replace(caches=longer_caches(state.caches, prepared.offset + room))
        state = write_until(room, model, prepared, inputs, state, mode, rules)
    return state.written


def first_state(prepared: Prepared, inputs: Inputs) -> DecodingState:
    """The state before the first token."""
    return DecodingState(
        step=0,
        written=jnp.zeros_like(inputs.forced),
        last=prepared.first,
        finished=jnp.zeros(len(inputs.forced), bool),
        caches=prepared.caches,
        grammar=inputs.grammar,
    )


def write_until(
    step: jax.Array | int,
    model: T5,
    prepared: Prepared,
    inputs: Inputs,
    state: DecodingState,
    mode: str,
    rules: Grammar | None,
) -> DecodingState:
    """Writes tokens until so many are written, or all rows are finished; the caches have room for them."""
    batch = len(inputs.forced)
    row_keys = jax.vmap(jax.random.fold_in, (None, 0))(inputs.key, jnp.arange(batch))  # [batch]

    def unfinished(state: DecodingState) -> jax.Array:
        return (state.step < step) & ~jnp.all(state.finished)

    def write(state: DecodingState) -> DecodingState:
        logits, caches = next_logits(model, prepared, state.last, state.step, state.caches)  # [batch, vocab_size]
        legal = inputs.allowed if rules is None else _legal(rules, state.grammar, logits)
        logits = logits if rules is None else _with_stand_ins(rules, state.grammar, logits)
        logits = jnp.where(legal, logits, -jnp.inf)
        chosen = sampling.next_tokens(logits, row_keys, state.step, inputs.settings, mode)  # [batch]
        prefix = jax.lax.dynamic_index_in_dim(inputs.forced, state.step, axis=1, keepdims=False)  # [batch]
        chosen = jnp.where(prefix != PAD_ID, prefix, chosen)
        chosen = jnp.where(state.finished, PAD_ID, chosen)
        return DecodingState(
            step=state.step + 1,
            written=jax.lax.dynamic_update_slice_in_dim(state.written, chosen[:, None], state.step, 1),
            last=chosen,
            finished=state.finished | (chosen == EOS_ID),
            caches=caches,
            grammar=state.grammar if rules is None else rules.advance(state.grammar, chosen, jnp),
        )

    return jax.lax.while_loop(unfinished, write, state)


def _legal(rules: Grammar, state: GrammarState, logits: jax.Array) -> jax.Array:
    """Returns what the grammar allows, bool [batch, vocab_size] as the logits."""
    mask = rules.allowed(state, jnp)  # [batch, n]
    missing = logits.shape[1] - mask.shape[1]
    if missing < 0:
        raise ConfigError(f"the grammar is over {mask.shape[1]} ids and the model has {logits.shape[1]} rows")
    return jnp.pad(mask, ((0, 0), (0, missing)))


def _with_stand_ins(rules: Grammar, state: GrammarState, logits: jax.Array) -> jax.Array:
    """Returns the logits [batch, vocab_size] with the probability of words that stand for another one given to it."""
    stand_ins = rules.stand_ins(state, jnp)
    if stand_ins is None:
        return logits
    passing, target = stand_ins  # bool [batch, n], int [batch]
    passing = jnp.pad(passing, ((0, 0), (0, logits.shape[1] - passing.shape[1])))
    is_target = jnp.arange(logits.shape[1]) == target[:, None]
    together = jax.nn.logsumexp(jnp.where(passing | is_target, logits, -jnp.inf), axis=1, keepdims=True)
    return jnp.where(is_target, together, logits)


def score(model: T5, encoder_input_tokens: ArrayLike, candidates: ArrayLike) -> jax.Array:
    """Returns the log-likelihood of every candidate answer to every row, float32 [batch, n].

    Args:
        model: the model, in either form of its layers.
        encoder_input_tokens: int [batch, source]; id 0 is padding.
        candidates: int [n, length], each usually ending with EOS, then padding, which counts nothing.

    Raises:
        ConfigError: an encoder alone, which writes nothing.
    """
    graphdef, params = nnx.split(model)
    return _score(graphdef, params, np.asarray(encoder_input_tokens, np.int32), np.asarray(candidates, np.int32))


@jax.jit
def _score(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, candidates: jax.Array) -> jax.Array:
    model: T5 = nnx.merge(graphdef, params)
    batch, length = tokens.shape[0], candidates.shape[1]
    prepared = prepare(model, tokens)
    begin, end = prepared.offset, prepared.offset + length
    bias = model.decoder.relative_bias(end, end)[:, :, begin:]  # [1, heads, length, end]
    caches = longer_caches(prepared.caches, end)

    def likelihood(candidate: jax.Array) -> jax.Array:  # [length] -> [batch]
        rest = jnp.broadcast_to(candidate[:-1], (batch, length - 1))
        inputs = jnp.concatenate([prepared.first[:, None], rest], axis=1)  # [batch, length]
        logits, _ = decode(model, prepared, inputs, begin, bias, caches)  # [batch, length, vocab_size]
        log_probabilities = jax.nn.log_softmax(logits)
        chosen = log_probabilities[:, jnp.arange(length), candidate]  # [batch, length]
        return jnp.sum(jnp.where(candidate != PAD_ID, chosen, 0.0), axis=-1)

    return jax.lax.map(likelihood, candidates).T
