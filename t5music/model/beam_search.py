"""Beam search: the likeliest answer, looked for with a few beams, as T5 and GNMT have it.

An answer's score is its log-likelihood divided by ((5 + length) / 6) ** alpha, EOS counted (Wu et al., "Google's neural
machine translation system", 2016; T5's `beam_search.gin`: 4 beams, alpha 0.6). The log-likelihood is the model's own,
over all ids: a grammar leaves answers out, and does not make what is forced on the model any likelier. Penalties of
patterns are taken off it.

At each step the `beams` likeliest answers that have not ended go on, and as many that have ended are remembered; the
search ends when none that goes on can still be better than all of these. Where no answer ends in the room there is, the
likeliest one that was cut is given.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from t5music.model import pattern_penalty
from t5music.model.config import EOS_ID, PAD_ID
from t5music.model.decoding_rules import Grammar, GrammarState, Inputs, patterns_after, step_logits, within_rules
from t5music.model.decoding_steps import Caches, Prepared, longer_caches, prepare, stages, with_kernels
from t5music.model.network import T5


class SearchState(NamedTuple):
    """What one step of the search hands to the next; rows are `beams` for each answer to write.

    Attributes:
        step: int32 [], tokens written so far.
        scores: float32 [batch, beams], log-likelihoods of the answers that go on, -inf where there is none.
        written: int32 [batch, beams, max_length], their tokens.
        last: int32 [rows], the token written last.
        caches: every layer's keys and values so far.
        grammar: the state of the grammar; () without one.
        patterns: the state of what is penalised; None where nothing is.
        ended_scores: float32 [batch, beams], scores of the best answers that have ended, best first.
        ended: int32 [batch, beams, max_length], their tokens.
    """

    step: jax.Array | int
    scores: jax.Array
    written: jax.Array
    last: jax.Array
    caches: Caches
    grammar: GrammarState
    patterns: pattern_penalty.State | None
    ended_scores: jax.Array
    ended: jax.Array


@functools.partial(jax.jit, static_argnames=("rules", "beams"))
def search(
    graphdef: nnx.GraphDef, params: nnx.State, inputs: Inputs, *, rules: Grammar | None, beams: int
) -> jax.Array:
    """Returns the best answer to each prompt, int32 [batch, max_length]; see `decoding.generate`."""
    model: T5 = nnx.merge(graphdef, params)
    batch, max_length = inputs.forced.shape
    prepared = with_kernels(model, _repeated(prepare(model, inputs.tokens), beams))
    state = _first_state(prepared, inputs, beams)
    for room in stages(max_length, batch * beams):
        state = state._replace(caches=longer_caches(state.caches, prepared.offset + room))
        state = _search_until(room, model, prepared, inputs, state, rules)
    has_ended = state.ended_scores[:, :1] > -jnp.inf  # [batch, 1]
    return jnp.where(has_ended, state.ended[:, 0], state.written[:, 0])


def length_divisor(length: jax.Array | int, alpha: Any) -> jax.Array:
    """What the log-likelihood of an answer of so many tokens is divided by."""
    return ((5.0 + length) / 6.0) ** alpha


def _repeated(prepared: Prepared, beams: int) -> Prepared:
    """Prompts that have been read, each `beams` times, one after the other."""

    def rows(array: jax.Array | None) -> jax.Array | None:
        return None if array is None else jnp.repeat(array, beams, axis=0)

    count = len(prepared.first)
    return prepared._replace(
        crosses=jax.tree.map(rows, prepared.crosses),
        cross_mask=rows(prepared.cross_mask),
        caches=_of_rows(prepared.caches, jnp.repeat(jnp.arange(count), beams), count),
        first=rows(prepared.first),
        begin=rows(prepared.begin),
    )


def _of_rows(caches: Caches, places: jax.Array, count: int) -> Caches:
    """The caches [count * heads, length, d_kv] of other rows, int [n]: [n * heads, length, d_kv]."""

    def taken(cache: jax.Array) -> jax.Array:
        heads, (length, width) = len(cache) // count, cache.shape[1:]
        by_row = cache.reshape(count, heads, length, width)
        return by_row[places].reshape(len(places) * heads, length, width)

    return jax.tree.map(taken, caches)


def _first_state(prepared: Prepared, inputs: Inputs, beams: int) -> SearchState:
    """The state before the first token: of each answer's beams, which are equal, the first alone goes on."""
    batch, max_length = inputs.forced.shape
    none = jnp.full((batch, beams), -jnp.inf)
    written = jnp.zeros((batch, beams, max_length), jnp.int32)
    repeated = functools.partial(jax.tree.map, lambda array: jnp.repeat(array, beams, axis=0))
    return SearchState(
        step=0,
        scores=none.at[:, 0].set(0.0),
        written=written,
        last=prepared.first[: batch * beams],
        caches=prepared.caches,
        grammar=repeated(inputs.grammar),
        patterns=None if inputs.patterns is None else repeated(inputs.patterns[1]),
        ended_scores=none,
        ended=written,
    )


def _search_until(
    step: int, model: T5, prepared: Prepared, inputs: Inputs, state: SearchState, rules: Grammar | None
) -> SearchState:
    """Goes on until so many tokens are written, or no answer can become better."""
    batch, beams, max_length = state.written.shape
    row_count = len(prepared.first)  # with guidance, those of the neutral prompts as well
    # Scores are below 0, so that one of the greatest length is the best that an answer can still come to.
    most_divided = length_divisor(max_length, inputs.length_penalty)

    def unfinished(state: SearchState) -> jax.Array:
        can_win = state.scores[:, 0] / most_divided > state.ended_scores[:, -1]
        return (state.step < step) & jnp.any(can_win)

    def go_on(state: SearchState) -> SearchState:
        logits, caches = step_logits(model, prepared, inputs, state.last, state.step, state.caches)
        likelihoods = jax.nn.log_softmax(logits)  # [rows, vocab_size]
        legal = within_rules(inputs, rules, state.grammar, state.patterns, likelihoods)
        prefix = jax.lax.dynamic_index_in_dim(inputs.forced, state.step, axis=1)  # [batch, 1]
        prefix = jnp.repeat(prefix, beams, axis=0)  # [rows, 1]
        forced = jnp.where(jnp.arange(logits.shape[1]) == prefix, likelihoods, -jnp.inf)
        likelihoods = jnp.where(prefix != PAD_ID, forced, legal)
        totals = state.scores[:, :, None] + likelihoods.reshape(batch, beams, -1)  # [batch, beams, vocab_size]
        # Twice as many as beams, for as many as beams may end.
        totals, places = jax.lax.top_k(totals.reshape(batch, -1), 2 * beams)  # [batch, 2 beams]
        parents, tokens = places // logits.shape[1], (places % logits.shape[1]).astype(jnp.int32)
        written = jnp.take_along_axis(state.written, parents[:, :, None], axis=1)
        written = jax.lax.dynamic_update_slice_in_dim(written, tokens[:, :, None], state.step, axis=2)
        ends = tokens == EOS_ID

        ended_scores = jnp.where(ends, totals / length_divisor(state.step + 1, inputs.length_penalty), -jnp.inf)
        ended_scores = jnp.concatenate([state.ended_scores, ended_scores], axis=1)  # [batch, 3 beams]
        ended_scores, best = jax.lax.top_k(ended_scores, beams)
        ended = jnp.concatenate([state.ended, written], axis=1)

        scores, chosen = jax.lax.top_k(jnp.where(ends, -jnp.inf, totals), beams)  # [batch, beams]
        last = jnp.take_along_axis(tokens, chosen, axis=1).reshape(-1)  # [rows]
        parents = jnp.take_along_axis(parents, chosen, axis=1)
        rows = (parents + beams * jnp.arange(batch)[:, None]).reshape(-1)
        both = rows if inputs.guidance is None else jnp.concatenate([rows, rows + batch * beams])
        of_parents = functools.partial(jax.tree.map, lambda array: array[rows])
        grammar = of_parents(state.grammar)
        return SearchState(
            step=state.step + 1,
            scores=scores,
            written=jnp.take_along_axis(written, chosen[:, :, None], axis=1),
            last=last,
            caches=_of_rows(caches, both, row_count),
            grammar=grammar if rules is None else rules.advance(grammar, last, jnp),
            patterns=patterns_after(inputs, of_parents(state.patterns), last),
            ended_scores=ended_scores,
            ended=jnp.take_along_axis(ended, best[:, :, None], axis=1),
        )

    return jax.lax.while_loop(unfinished, go_on, state)
