"""Transpose: the augmentation that moves all notes by some semitones, by id arithmetic on the words with a pitch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example, Objective, encodings_of, tokens_of
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError


class Room(NamedTuple):
    """By how many semitones the word of each id can be moved, so that id plus semitones is the id of the new pitch.

    Attributes:
        pitched: bool [size], True at the words with a pitch.
        down, up: int32 [size], 0 where there is none.
    """

    pitched: NDArray[np.bool_]
    down: NDArray[np.int32]
    up: NDArray[np.int32]


@functools.lru_cache(maxsize=8)
def transposition_room(vocabulary: Vocabulary) -> Room:
    """The room of a vocabulary's words.

    Raises ConfigError where the ids of an encoding's words do not rise by one a semitone.
    """
    room = Room(*(np.zeros(vocabulary.size, dtype) for dtype in (bool, np.int32, np.int32)))
    for encoding in encodings_of(vocabulary):
        ids = vocabulary.event_ids(encoding.name)
        steps = np.diff(ids)[encoding.semitones_up[:-1] > 0]
        if (steps != 1).any():
            raise ConfigError(
                f"the ids of {encoding.name}'s words do not rise by one a semitone: keep families together"
            )
        room.pitched[ids], room.down[ids], room.up[ids] = (
            encoding.pitches >= 0,
            encoding.semitones_down,
            encoding.semitones_up,
        )
    return room


@dataclasses.dataclass(frozen=True)
class Transpose(Objective):
    """All token features of an example moved by the same random number of semitones.

    Uniform over the intervals from `low` to `high` that keep every note of the example within its word family, so a
    piece is never broken; no transposition is always among them. Drums and noise stay. LakhNES draws from -6 .. 6
    whatever the notes, and drops those that leave their range; otherwise this is the same. Tasks whose text names keys,
    chords or notes are not transposed (`examples.base.names_pitches`): the text would stay behind.
    """

    low: int = -6
    high: int = 6

    name: ClassVar[str] = "transpose"
    moves_pitches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.low <= 0 <= self.high:
            raise ConfigError(f"transpose needs low <= 0 <= high, not {self.low} and {self.high}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        room = transposition_room(vocabulary)
        tokens = tokens_of(example)
        notes = {name: room.pitched[ids] for name, ids in tokens.items()}  # bool [tokens] each
        low, high = self.low, self.high
        for name, ids in tokens.items():
            pitched_ids = ids[notes[name]]
            low = max(low, -int(room.down[pitched_ids].min(initial=-self.low)))
            high = min(high, int(room.up[pitched_ids].min(initial=self.high)))
        interval = rng.integers(low, high + 1, dtype=np.int32)
        return {**example, **{name: ids + interval * notes[name] for name, ids in tokens.items()}}
