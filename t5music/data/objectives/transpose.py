"""Augmentation of stored tokens: transposition by id arithmetic on the note words of every encoding."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example, Objective, tokens_of
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError

# Words that carry a pitch: tx1's three tonal voices, performance, remi. Drums and the NES's noise have none.
_PITCHED = re.compile(r"(P1_NOTEON|P2_NOTEON|TR_NOTEON|NOTE_ON|NOTE_OFF|Pitch)_(\d+)")


@functools.lru_cache(maxsize=8)
def pitch_room(vocabulary: Vocabulary) -> tuple[NDArray[np.bool_], NDArray[np.int32], NDArray[np.int32]]:
    """(is pitched bool [size], semitones down int32 [size], semitones up int32 [size]) that a word can be moved by.

    The ids of a family (such as all P1_NOTEON words) must rise by one a semitone; ConfigError otherwise.
    """
    families: dict[str, list[tuple[int, int]]] = {}
    for word_id, word in enumerate(vocabulary.words):
        if match := _PITCHED.fullmatch(word):
            families.setdefault(match[1], []).append((word_id, int(match[2])))
    pitched = np.zeros(vocabulary.size, bool)
    down, up = np.zeros(vocabulary.size, np.int32), np.zeros(vocabulary.size, np.int32)
    for family, members in families.items():
        ids, pitches = np.array(members).T
        if (np.diff(ids) != 1).any() or (np.diff(pitches) != 1).any():
            raise ConfigError(f"the {family} words do not rise by one id a semitone: they cannot be transposed")
        pitched[ids] = True
        down[ids] = pitches - pitches[0]
        up[ids] = pitches[-1] - pitches
    return pitched, down, up


@dataclasses.dataclass(frozen=True)
class Transpose(Objective):
    """All token features of an example moved by the same random number of semitones.

    Uniform over the intervals from `low` to `high` that keep every note of the example within its word family, so a
    piece is never broken; no transposition is always among them. Drums and noise stay. LakhNES draws from -6 .. 6
    whatever the notes, and drops those that leave their range; otherwise this is the same.
    """

    low: int = -6
    high: int = 6

    name: ClassVar[str] = "transpose"

    def __post_init__(self) -> None:
        if not self.low <= 0 <= self.high:
            raise ConfigError(f"transpose needs low <= 0 <= high, not {self.low} and {self.high}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        pitched, down, up = pitch_room(vocabulary)
        tokens = tokens_of(example)
        notes = {name: pitched[ids] for name, ids in tokens.items()}
        low, high = self.low, self.high
        for name, ids in tokens.items():
            moved = ids[notes[name]]
            low = max(low, -int(down[moved].min(initial=-self.low)))
            high = min(high, int(up[moved].min(initial=self.high)))
        interval = rng.integers(low, high + 1, dtype=np.int32)
        return {**example, **{name: ids + interval * notes[name] for name, ids in tokens.items()}}
