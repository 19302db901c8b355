"""Promised performance: the grammar of performance with bounds on every new note, for NumPy and JAX alike.

How a dead end is seen ahead: a VELOCITY is legal only where a note may follow. Where the room ends before the promised
length is over, the answer ends with it, and another one has to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError
from t5music.music.encodings.grammar import Array, Promised, int32s
from t5music.music.encodings.performance.encoding import Performance
from t5music.music.encodings.performance.grammar import (
    ON,
    PITCHES,
    SHIFT,
    STATED,
    TABLE,
    PerformanceGrammar,
)
from t5music.music.encodings.performance.grammar import State as Words

UNBOUNDED_STEPS = 1 << 24
MOST_VOICES = 1 << 10
CLASSES = 12
CLASS_OF = np.arange(PITCHES) % CLASSES


@dataclass(frozen=True)
class Bounds:
    """What one answer's new notes are bound to.

    Attributes:
        pitches: bool [128], those that may be struck.
        classes: bool [12], the pitch classes of the key.
        share: of the notes that are in the key, at least, in thousandths.
        polyphony: notes that sound at once, at most; those of the prompt that sound on count.
        steps: of 10 ms that the answer lasts, at most; UNBOUNDED_STEPS for any length.
    """

    pitches: NDArray[np.bool_]
    classes: NDArray[np.bool_] = field(default_factory=lambda: np.ones(CLASSES, bool))
    share: int = 1000
    polyphony: int = MOST_VOICES
    steps: int = UNBOUNDED_STEPS


class State(NamedTuple):
    """The grammar's state, what has been written, and what is promised. int32 [batch], where nothing else is said."""

    words: Words
    steps: Array  # that are left of the length
    notes: Array  # new ones
    in_key: Array  # of these
    share: Array
    polyphony: Array
    pitches: Array  # bool [batch, 128]
    classes: Array  # bool [batch, 128], those of them that are in the key

    @property
    def room(self) -> Array:
        """int32 [batch], words that may still be written."""
        return self.words.room


@dataclass(frozen=True)
class PromisedPerformance(Promised):
    """The grammar of performance within bounds."""

    encoding = Performance()

    @property
    def _rules(self) -> PerformanceGrammar:
        return PerformanceGrammar(complete=True)

    def after(self, prompts: Sequence[ArrayLike], room: ArrayLike, rows: Sequence[Bounds]) -> State:
        words = self._rules.after(prompts, room)
        batch = len(rows)
        for bounds in rows:
            if not (bounds.pitches & bounds.classes[CLASS_OF]).any():
                raise ConfigError("--key and --range cannot both be kept: together they leave no note")
        zero = int32s(batch, 0)
        return State(
            words,
            int32s(batch, [bounds.steps for bounds in rows]),
            zero,
            zero,
            int32s(batch, [bounds.share for bounds in rows]),
            int32s(batch, [bounds.polyphony for bounds in rows]),
            np.stack([bounds.pitches for bounds in rows]),
            np.stack([bounds.classes[CLASS_OF] for bounds in rows]),
        )

    def allowed(self, state: State, xp: Any) -> Array:
        words = state.words
        kinds, values = TABLE[:-1, 0], TABLE[:-1, 1]
        note = (words.open < state.polyphony) & (state.steps > 0)
        out = (state.in_key * 1000 >= state.share * (state.notes + 1))[:, None]
        struck = state.pitches & (state.classes | out) & note[:, None]  # [batch, 128]
        shift = values <= state.steps[:, None]
        legal = xp.where(kinds == ON, struck[:, np.where(kinds == ON, values, 0)], True)
        legal = legal & xp.where(kinds == SHIFT, shift, True)
        return self._rules.allowed(words, xp) & legal & ((kinds != STATED) | xp.any(struck, axis=1)[:, None])

    def advance(self, state: State, ids: Array, xp: Any) -> State:
        rows = xp.asarray(TABLE)[ids]
        kind, value = rows[:, 0], rows[:, 1]
        on, wait = kind == ON, kind == SHIFT
        bounded = state.steps < UNBOUNDED_STEPS
        pitch = xp.where(on, value, 0)
        in_key = state.classes[xp.arange(len(ids)), pitch]
        return state._replace(
            words=self._rules.advance(state.words, ids, xp),
            steps=state.steps - value * (wait & bounded),
            notes=state.notes + on,
            in_key=state.in_key + (on & in_key),
        )

    def end(self, state: State, xp: Any) -> Array:
        return self._rules.end(state.words, xp)
