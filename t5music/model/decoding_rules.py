"""Decoding rules: the logits of the next token, with guidance, within a grammar, less the penalties of patterns."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from t5music.errors import ConfigError
from t5music.model import pattern_penalty
from t5music.model.decoding_steps import Caches, Prepared, next_logits
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


class Inputs(NamedTuple):
    """The arrays that a compiled program of decoding takes. What is None has no part in the program.

    Attributes:
        tokens: int [batch, source], the prompts; with guidance, [2 * batch, source]: behind them the neutral ones.
        forced: int [batch, max_length], ids to write come what may, 0 where the model decides.
        allowed: bool [vocab_size], the ids that may be written where there is no grammar.
        grammar: the grammar's state before the first id; () without one.
        key: of what is drawn.
        settings: of the sampling.
        guidance: float32 [], how far the logits are moved away from those of the neutral prompts.
        patterns: what is penalised, and its state before the first id.
        length_penalty: float32 [], alpha of a beam search.
    """

    tokens: Any
    forced: Any
    allowed: Any
    grammar: GrammarState
    key: jax.Array
    settings: SamplingSettings
    guidance: Any = None
    patterns: tuple[pattern_penalty.Settings, pattern_penalty.State] | None = None
    length_penalty: Any = None


def step_logits(
    model: T5, prepared: Prepared, inputs: Inputs, last: jax.Array, step: jax.Array | int, caches: Caches
) -> tuple[jax.Array, Caches]:
    """Runs the decoder over one position, with guidance where it is asked for.

    Args:
        model: the model.
        prepared: the prompts and, behind them, the neutral ones.
        inputs: of the call.
        last: int [rows], the tokens written last; once for prompts and neutral ones.
        step: how many tokens are written already.
        caches: of all prompts.

    Returns:
        float32 [rows, vocab_size], and the caches with this step's keys and values.
    """
    if inputs.guidance is None:
        return next_logits(model, prepared, last, step, caches)
    logits, caches = next_logits(model, prepared, jnp.tile(last, 2), step, caches)
    conditional, neutral = jnp.split(logits, 2)
    return neutral + inputs.guidance * (conditional - neutral), caches


def within_rules(
    inputs: Inputs,
    rules: Grammar | None,
    grammar: GrammarState,
    patterns: pattern_penalty.State | None,
    logits: jax.Array,
) -> jax.Array:
    """Returns the logits, or log-probabilities, [rows, vocab_size] with -inf for what may not be written.

    Args:
        inputs: of the call.
        rules: the grammar; None without one.
        grammar: its state.
        patterns: what was written; None where no pattern is penalised.
        logits: of the next token.
    """
    allowed = inputs.allowed if rules is None else _legal(rules, grammar, logits)
    logits = logits if rules is None else _with_stand_ins(rules, grammar, logits)
    if inputs.patterns is not None and patterns is not None:
        logits = pattern_penalty.penalised(inputs.patterns[0], patterns, logits)
    return jnp.where(allowed, logits, -jnp.inf)


def patterns_after(
    inputs: Inputs, patterns: pattern_penalty.State | None, ids: jax.Array
) -> pattern_penalty.State | None:
    """The state of what is penalised after one more id a row, int [rows]; None where nothing is."""
    if inputs.patterns is None or patterns is None:
        return None
    return pattern_penalty.advance(inputs.patterns[0], patterns, ids, jnp)


def _legal(rules: Grammar, state: GrammarState, logits: jax.Array) -> jax.Array:
    """Returns what the grammar allows, bool [batch, vocab_size] as the logits.

    Raises:
        ConfigError: a grammar over more ids than the logits have.
    """
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
