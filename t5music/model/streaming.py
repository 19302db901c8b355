"""Streaming: targets a few tokens at a time, as they are written, the same ones that `decoding.generate` gives.

The prompts are read by one compiled program, and another writes some tokens and gives its state back. Between two
calls whoever waits is told, and may stop. How many tokens a call writes is an argument of the program.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError
from t5music.model import decoding
from t5music.model.decoding import DecodingState
from t5music.model.decoding_call import call_of
from t5music.model.decoding_rules import Grammar, Inputs
from t5music.model.decoding_steps import Prepared, longer_caches, prepare, stages, with_kernels
from t5music.model.network import T5
from t5music.model.sampling import Mode


class Written(NamedTuple):
    """What is written so far.

    Attributes:
        tokens: int32 [batch, max_length], padding from `step` on.
        step: how many tokens of each row are written.
    """

    tokens: NDArray[np.int32]
    step: int


def stream(
    model: T5, encoder_input_tokens: ArrayLike, *, tokens_at_once: int = 16, **settings: Any
) -> Iterator[Written]:
    """Writes a target for every row; yields what is written after every few tokens, at last the whole.

    Args:
        model: the model.
        encoder_input_tokens: as of `decoding.generate`.
        tokens_at_once: how many tokens of a row are written between two yields, at least one.
        settings: as of `decoding.generate`.

    Raises:
        ConfigError: a setting that cannot be, or a beam search, which knows no token before the last; at the first
            token.
    """
    call = call_of(model, encoder_input_tokens, **settings)
    if call.beams > 1:
        raise ConfigError("a beam search knows no token before all are written: set beams to 1 to stream")
    graphdef, params = nnx.split(model)
    batch, max_length = call.inputs.forced.shape
    prepared, state = _begin(graphdef, params, call.inputs)
    for room in stages(max_length, batch):
        state = state._replace(caches=longer_caches(state.caches, prepared.offset + room))
        finished = False
        while int(state.step) < room and not finished:
            until = min(int(state.step) + tokens_at_once, room)
            state = _advance(
                graphdef, params, prepared, call.inputs, state, np.int32(until), mode=call.mode, rules=call.rules
            )
            finished = bool(state.finished.all())
            yield Written(np.asarray(state.written), int(state.step))


@jax.jit
def _begin(graphdef: nnx.GraphDef, params: nnx.State, inputs: Inputs) -> tuple[Prepared, DecodingState]:
    """The prompts that have been read, without layers, which are the model's, and the state before the first token."""
    prepared = prepare(nnx.merge(graphdef, params), inputs.tokens)._replace(layers=[])
    return prepared, decoding.first_state(prepared, inputs)


@functools.partial(jax.jit, static_argnames=("mode", "rules"))
def _advance(
    graphdef: nnx.GraphDef,
    params: nnx.State,
    prepared: Prepared,
    inputs: Inputs,
    state: DecodingState,
    until: jax.Array,
    *,
    mode: Mode,
    rules: Grammar | None,
) -> DecodingState:
    model: T5 = nnx.merge(graphdef, params)
    return decoding.write_until(until, model, with_kernels(model, prepared), inputs, state, mode, rules)
