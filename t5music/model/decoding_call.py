"""Decoding calls: what `decoding.generate` is given, checked, as the arrays that its compiled programs take."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError
from t5music.model import pattern_penalty, sampling
from t5music.model.config import PAD_ID
from t5music.model.decoding_rules import Grammar, GrammarState, Inputs
from t5music.model.network import T5
from t5music.model.pattern_penalty import PatternPenalty
from t5music.model.sampling import Mode, SamplingSettings

MOST_BEAMS = 16
MOST_GUIDANCE = 10.0
LENGTH_PENALTY, MOST_LENGTH_PENALTY = 0.6, 5.0  # T5's and GNMT's alpha


class Call(NamedTuple):
    """What `generate` was given, checked: the arrays, and what is compiled in.

    Attributes:
        inputs: the arrays.
        mode: of the sampling.
        rules: the grammar; None without one.
        beams: of a beam search; 1 for none.
    """

    inputs: Inputs
    mode: Mode
    rules: Grammar | None
    beams: int


def call_of(
    model: T5,
    encoder_input_tokens: ArrayLike,
    *,
    max_length: int,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    key: jax.Array | None = None,
    beams: int = 1,
    length_penalty: float = LENGTH_PENALTY,
    guidance: tuple[ArrayLike, float] | None = None,
    patterns: PatternPenalty | None = None,
    allowed: ArrayLike | None = None,
    grammar: tuple[Grammar, GrammarState] | None = None,
    prefix: ArrayLike | None = None,
) -> Call:
    """Checks what `generate` takes, and makes arrays of it.

    Args:
        model: the model, in either form of its layers.
        encoder_input_tokens: int [batch, source]; id 0 is padding.
        max_length: tokens to write at most, EOS included.
        temperature: 0 takes the likeliest token at every step; otherwise logits are divided by it and sampled.
        top_k: sample among the k likeliest tokens only; 0 for all.
        top_p: sample among the likeliest tokens whose probabilities first sum to at least this; 1 for all. Applied
            after temperature and top_k, on the probabilities among what they left.
        min_p: sample among the tokens of at least this share of the greatest probability; 0 for all. Applied last,
            with the same result as anywhere after temperature.
        key: random key, needed when temperature > 0. A row's tokens depend on the key, its number in the batch and its
            logits; not on how many rows there are.
        beams: 2 to MOST_BEAMS look for the likeliest answer with so many beams (see `beam_search`); 1 for no search.
        length_penalty: alpha of a beam search, which divides an answer's log-likelihood by ((5 + length) / 6) ** alpha.
        guidance: neutral prompts, int [batch, source], and a scale s: the logits are u + s * (c - u), where c are those
            of the prompts and u those of the neutral ones (Ho & Salimans 2022). None, or a scale of 1, for c alone.
        patterns: what lowers the logits of notes that go on with a pattern written before; None for nothing.
        allowed: bool [n], n at most the model's vocab_size: the ids that may be written; ids from n on may not. It
            does not bind `prefix`.
        grammar: a grammar and its state before the first id, in place of `allowed`: only what it allows is written,
            EOS where it allows that. It reads `prefix`, but does not bind it.
        prefix: int [batch, p]: tokens to begin with; an id 0 leaves its position to the model.

    Raises:
        ConfigError: a setting that cannot be.
        ValueError: no key where tokens are drawn.
    """
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
    if not 0 <= min_p <= 1:
        raise ConfigError(f"min_p must lie between 0 (off) and 1, not {min_p}")
    if not 1 <= beams <= MOST_BEAMS:
        raise ConfigError(f"beams must lie between 1 (no search) and {MOST_BEAMS}, not {beams}")
    if not 0 <= length_penalty <= MOST_LENGTH_PENALTY:
        raise ConfigError(f"length_penalty must lie between 0 and {MOST_LENGTH_PENALTY:g}, not {length_penalty}")
    if beams > 1 and temperature > 0:
        raise ConfigError("beams look for the likeliest answer and temperature draws one: set beams to 1, or it to 0")
    if temperature == 0:
        mode, key = sampling.GREEDY, jax.random.key(0)
    elif key is None:
        raise ValueError("sampling (temperature > 0) needs a random key: pass key=")
    else:
        mode = Mode(True, bool(top_k or top_p < 1), min_p > 0)
    rules, state = _grammar(grammar, len(tokens), allowed)
    forced = _forced(prefix, len(tokens), max_length)
    tokens, scale = _guided(tokens, guidance)
    inputs = Inputs(
        tokens,
        forced,
        _allowed(allowed, vocab_size),
        state,
        key,
        SamplingSettings(
            np.float32(temperature or 1.0), np.int32(top_k or vocab_size), np.float32(top_p), np.float32(min_p)
        ),
        scale,
        None if patterns is None else pattern_penalty.start(patterns, len(forced), max_length, vocab_size),
        np.float32(length_penalty) if beams > 1 else None,
    )
    return Call(inputs, mode, rules, beams)


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


def _guided(
    tokens: NDArray[np.int32], guidance: tuple[ArrayLike, float] | None
) -> tuple[NDArray[np.int32], np.float32 | None]:
    """Returns the prompts with the neutral ones behind them, and the scale; the prompts and None without guidance."""
    if guidance is None:
        return tokens, None
    neutral, scale = np.asarray(guidance[0], np.int32), guidance[1]
    if not 0 <= scale <= MOST_GUIDANCE:
        raise ConfigError(f"guidance must lie between 0 and {MOST_GUIDANCE:g}, 1 being none, not {scale}")
    if neutral.ndim != 2 or len(neutral) != len(tokens):
        raise ConfigError(f"guidance needs a neutral prompt for each of {len(tokens)} rows, not {neutral.shape}")
    if scale == 1:
        return tokens, None
    width = max(tokens.shape[1], neutral.shape[1])
    padded = [np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in (tokens, neutral)]
    return np.concatenate(padded), np.float32(scale)
