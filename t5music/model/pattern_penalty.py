"""Pattern penalty: notes that go on with a pattern which has been written often enough become less likely.

Music repeats single words by nature, so none is penalised for itself. A pattern is so many notes in a row, with all
words between them: where and how long they are counts. Where the last words are a pattern that was written before, the
note that followed it then is a repetition. When it would be written once too often, its logit is lowered.

The state is kept beside the grammar's in the compiled loop. For each place of what was written it holds how many
notes the words up to there have in common with the last words, so a step costs as much as comparing one word with all.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError
from t5music.model.config import PAD_ID

REMEMBERED = 512  # tokens before the answer that count
MOST_PENALTY, MOST_TIMES, MOST_NOTES = 100.0, 100, 64


class PatternPenalty(NamedTuple):
    """What is penalised.

    Attributes:
        penalty: nats that a logit is lowered by, for each time too many; 0 to MOST_PENALTY.
        times: how often a pattern and the note after it may be written; 1 to MOST_TIMES.
        notes: of a pattern, 1 to MOST_NOTES.
        is_note: bool [n], n at most the model's vocab_size: ids that begin a note.
        before: int [tokens] of each row: what stands before the answer, of which the last REMEMBERED count. None
            where nothing does.
    """

    penalty: float
    times: int
    notes: int
    is_note: NDArray[np.bool_]
    before: Sequence[ArrayLike] | None = None


class Settings(NamedTuple):
    """`PatternPenalty` as arrays of the compiled program.

    Attributes:
        penalty: float32 [].
        times: int32 [].
        notes: int32 [].
        is_note: bool [vocab_size].
    """

    penalty: Any
    times: Any
    notes: Any
    is_note: Any


class State(NamedTuple):
    """What was written, int32 [batch, n], and where it ends, int32 [batch].

    Attributes:
        history: the tokens, PAD_ID where there is none.
        common: up to each place, how many notes the words that end there share with the last words.
        end: the place behind the last token.
    """

    history: Any
    common: Any
    end: Any


def start(penalty: PatternPenalty, batch: int, max_length: int, vocab_size: int) -> tuple[Settings, State]:
    """Returns the settings as arrays, and the state before the first token of answers (NumPy).

    Raises:
        ConfigError: a setting outside of its limits, or tokens before the answer that are not of this batch.
    """
    limits = (
        ("penalty", penalty.penalty, 0, MOST_PENALTY),
        ("times", penalty.times, 1, MOST_TIMES),
        ("notes", penalty.notes, 1, MOST_NOTES),
    )
    for name, value, least, most in limits:
        if not least <= value <= most:
            raise ConfigError(f"patterns: {name} must be from {least} to {most:g}, not {value}")
    is_note = np.asarray(penalty.is_note, bool)
    if is_note.ndim != 1 or len(is_note) > vocab_size:
        raise ConfigError(f"patterns: is_note must be a mask over at most {vocab_size} ids, not of {is_note.shape}")
    settings = Settings(
        np.float32(penalty.penalty),
        np.int32(penalty.times),
        np.int32(penalty.notes),
        np.pad(is_note, (0, vocab_size - len(is_note))),
    )
    tokens = np.full((batch, REMEMBERED), PAD_ID, np.int32)
    if penalty.before is not None:
        if len(penalty.before) != batch:
            raise ConfigError(f"patterns: before has {len(penalty.before)} rows and there are {batch} to write")
        for row, before in zip(tokens, penalty.before, strict=True):
            last = np.asarray(before, np.int32)[-REMEMBERED:]
            row[len(row) - len(last) :] = last
    places = REMEMBERED + max_length
    empty = np.full((batch, places), PAD_ID, np.int32)
    state = State(empty, np.zeros_like(empty), np.zeros(batch, np.int32))
    for column in range(REMEMBERED):
        if tokens[:, column].any():
            state = advance(settings, state, tokens[:, column], np)
    return settings, state


def advance(settings: Settings, state: State, ids: Any, xp: ModuleType) -> State:
    """The state after one more id a row, int [batch]; PAD_ID changes nothing."""
    before = xp.concatenate([xp.zeros_like(state.common[:, :1]), state.common[:, :-1]], axis=1)
    same = (state.history == ids[:, None]) & (state.history != PAD_ID)
    common = xp.where(same, before + settings.is_note[ids][:, None], 0)
    is_end = xp.arange(state.history.shape[1]) == state.end[:, None]
    is_token = (ids != PAD_ID)[:, None]
    return State(
        xp.where(is_token & is_end, ids[:, None], state.history),
        xp.where(is_token, common, state.common),
        state.end + is_token[:, 0],
    )


def penalised(settings: Settings, state: State, logits: jax.Array) -> jax.Array:
    """Returns the logits [batch, vocab_size] less the penalties of notes that go on with a pattern."""
    repeats = state.common[:, :-1] >= settings.notes  # [batch, n - 1]
    rows = jnp.arange(len(logits))[:, None]
    counts = jnp.zeros(logits.shape, jnp.int32).at[rows, state.history[:, 1:]].add(repeats)  # [batch, vocab_size]
    too_many = jnp.maximum(counts + 1 - settings.times, 0) * settings.is_note
    return logits - settings.penalty * too_many
