"""Decoding: generating targets with a trained T5, and scoring given ones.

`generate` reads the prompts once and then loops inside one compiled program, one token a step, over caches of keys and
values (`decoding_steps`). `streaming` does the same a few tokens at a time. `score` gives the log-likelihood of given
answers, to rank labels, and `token_scores` that of each token. All compile once per shape of their arguments; sampling
settings are arguments of the compiled program, so changing them compiles nothing.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import ArrayLike

from t5music.model import beam_search, pattern_penalty, sampling
from t5music.model.config import EOS_ID, PAD_ID
from t5music.model.decoding_call import call_of
from t5music.model.decoding_rules import Grammar, GrammarState, Inputs, patterns_after, step_logits, within_rules
from t5music.model.decoding_steps import Caches, Prepared, decode, longer_caches, prepare, prepare_steps, stages
from t5music.model.network import T5
from t5music.model.sampling import Mode


def generate(model: T5, encoder_input_tokens: ArrayLike, **settings: Any) -> jax.Array:
    """Writes a target for every row.

    Args:
        model: the model, in either form of its layers.
        encoder_input_tokens: int [batch, source]; id 0 is padding.
        settings: `max_length`, and how to write: see `decoding_call.call_of`.

    Returns:
        int32 [batch, max_length]: each row's tokens up to and including EOS, then padding.

    Raises:
        ConfigError: a setting that cannot be.
    """
    call = call_of(model, encoder_input_tokens, **settings)
    graphdef, params = nnx.split(model)
    if call.beams > 1:
        return beam_search.search(graphdef, params, call.inputs, rules=call.rules, beams=call.beams)
    return _generate(graphdef, params, call.inputs, mode=call.mode, rules=call.rules)


class DecodingState(NamedTuple):
    """What one step of the loop hands to the next.

    Attributes:
        step: int32 [], tokens written so far.
        written: int32 [batch, max_length], padding from `step` on.
        last: int32 [batch], the token written last.
        finished: bool [batch], whether EOS has been written.
        caches: every layer's keys and values so far.
        grammar: the state of the grammar; () without one.
        patterns: the state of what is penalised; None where nothing is.
    """

    step: jax.Array | int
    written: jax.Array
    last: jax.Array
    finished: jax.Array
    caches: Caches
    grammar: GrammarState
    patterns: pattern_penalty.State | None


@functools.partial(jax.jit, static_argnames=("mode", "rules"))
def _generate(
    graphdef: nnx.GraphDef, params: nnx.State, inputs: Inputs, *, mode: Mode, rules: Grammar | None
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
        last=prepared.first[: len(inputs.forced)],
        finished=jnp.zeros(len(inputs.forced), bool),
        caches=prepared.caches,
        grammar=inputs.grammar,
        patterns=None if inputs.patterns is None else inputs.patterns[1],
    )


def write_until(
    step: jax.Array | int,
    model: T5,
    prepared: Prepared,
    inputs: Inputs,
    state: DecodingState,
    mode: Mode,
    rules: Grammar | None,
) -> DecodingState:
    """Writes tokens until so many are written, or all rows are finished; the caches have room for them."""
    batch = len(inputs.forced)
    row_keys = jax.vmap(jax.random.fold_in, (None, 0))(inputs.key, jnp.arange(batch))  # [batch]

    def unfinished(state: DecodingState) -> jax.Array:
        return (state.step < step) & ~jnp.all(state.finished)

    def write(state: DecodingState) -> DecodingState:
        logits, caches = step_logits(model, prepared, inputs, state.last, state.step, state.caches)
        logits = within_rules(inputs, rules, state.grammar, state.patterns, logits)  # [batch, vocab_size]
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
            patterns=patterns_after(inputs, state.patterns, chosen),
        )

    return jax.lax.while_loop(unfinished, write, state)


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


def token_scores(model: T5, encoder_input_tokens: ArrayLike, targets: ArrayLike) -> jax.Array:
    """Returns the log-likelihood of every token of each row's own answer, float32 [batch, length]; 0 at padding.

    Args:
        model: the model, in either form of its layers.
        encoder_input_tokens: int [batch, source]; id 0 is padding.
        targets: int [batch, length], an answer for each row, then padding.

    Raises:
        ConfigError: an encoder alone, which writes nothing.
    """
    graphdef, params = nnx.split(model)
    return _token_scores(graphdef, params, np.asarray(encoder_input_tokens, np.int32), np.asarray(targets, np.int32))


@jax.jit
def _score(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, candidates: jax.Array) -> jax.Array:
    model: T5 = nnx.merge(graphdef, params)
    prepared = prepare(model, tokens)
    shape = len(tokens), candidates.shape[1]

    def likelihood(candidate: jax.Array) -> jax.Array:  # [length] -> [batch]
        return jnp.sum(_teacher_forced(model, prepared, jnp.broadcast_to(candidate, shape)), axis=-1)

    return jax.lax.map(likelihood, candidates).T


@jax.jit
def _token_scores(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, targets: jax.Array) -> jax.Array:
    model: T5 = nnx.merge(graphdef, params)
    return _teacher_forced(model, prepare(model, tokens), targets)


def _teacher_forced(model: T5, prepared: Prepared, targets: jax.Array) -> jax.Array:
    """The log-likelihood of every token of answers to prompts that have been read: [batch, length] of the same."""
    begin, end = prepared.offset, prepared.offset + targets.shape[1]
    bias = model.decoder.relative_bias(end, end)[:, :, begin:]  # [1, heads, length, end]
    inputs = jnp.concatenate([prepared.first[:, None], targets[:, :-1]], axis=1)  # [batch, length]
    caches = longer_caches(prepared.caches, end)
    logits, _ = decode(model, prepared, inputs, begin, bias, caches)  # [batch, length, vocab_size]
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    return jnp.where(targets != PAD_ID, chosen, 0.0)
