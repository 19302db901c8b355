"""KeepVoices and SwapPulses: LakhNES's augmentations of the NES's voices (tx1, tx2): fewer voices, pulses exchanged."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example, Objective, encodings_of, tokens_of
from t5music.data.objectives.time_stretch import Clock, clock_of, retime
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.music.encodings.tx1.encoding import TX1, VOICES


class Voices(NamedTuple):
    """The words of the NES's voices in a vocabulary.

    Attributes:
        voice: int64 [size], index into VOICES of the voice whose word each id is; -1 for all others.
        begins: bool [size], True where the word begins a note of its voice.
        other_pulse: int32 [size], the id of the same word of the other pulse; the id itself where there is none.
        clock: the words that wait; None for a vocabulary without words of these voices.
    """

    voice: NDArray[np.int64]
    begins: NDArray[np.bool_]
    other_pulse: NDArray[np.int32]
    clock: Clock | None


@functools.lru_cache(maxsize=8)
def voices_of(vocabulary: Vocabulary) -> Voices:
    """The words of the NES's voices among those of a vocabulary."""
    voice = np.full(vocabulary.size, -1)
    begins = np.zeros(vocabulary.size, bool)
    other_pulse = np.arange(vocabulary.size, dtype=np.int32)
    clock = None
    for encoding in encodings_of(vocabulary):
        if isinstance(encoding, TX1):
            ids = vocabulary.event_ids(encoding.name)
            voice[ids], begins[ids], other_pulse[ids] = encoding.voices, encoding.is_note, ids[encoding.other_pulse]
            clock = clock or clock_of(vocabulary, encoding)
    return Voices(voice, begins, other_pulse, clock)


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} needs a probability from 0 to 1, not {value}")


@dataclasses.dataclass(frozen=True)
class KeepVoices(Objective):
    """With this probability only 1, 2 or 3 of the four voices stay, in every feature the same ones.

    As LakhNES: the number is uniform, then so are the voices. Waits that meet become one (`time_stretch.retime`, which
    never makes more words). An example is left as it is where one of its features has notes and would lose them all.
    Other words stay, so examples with one label for each note cannot be augmented like this.
    """

    probability: float = 0.5

    name: ClassVar[str] = "keep_voices"

    def __post_init__(self) -> None:
        _check_probability(self.name, self.probability)

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        applies = rng.random() < self.probability
        count, order = rng.integers(1, len(VOICES)), rng.permutation(len(VOICES))
        words = voices_of(vocabulary)
        if not applies or words.clock is None:
            return dict(example)
        dropped = np.zeros(len(VOICES) + 1, bool)  # the last one is that of no voice, -1
        dropped[order[count:]] = True
        augmented = dict(example)
        for name, ids in tokens_of(example).items():
            stays = ~dropped[words.voice[ids]]  # bool [tokens]
            if stays.all():
                continue
            if words.begins[ids].any() and not words.begins[ids[stays]].any():
                return dict(example)
            augmented[name] = retime(ids[stays], words.clock)
        return augmented


@dataclasses.dataclass(frozen=True)
class SwapPulses(Objective):
    """With this probability the two pulses change their parts, in every feature.

    As LakhNES, and the words of an instant are put in order again: P1 before P2, TR and NO.
    """

    probability: float = 0.5

    name: ClassVar[str] = "swap_pulses"

    def __post_init__(self) -> None:
        _check_probability(self.name, self.probability)

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        if rng.random() >= self.probability:
            return dict(example)
        words = voices_of(vocabulary)
        augmented = dict(example)
        for name, ids in tokens_of(example).items():
            swapped = words.other_pulse[ids]  # int32 [tokens]
            voice = words.voice[swapped]
            instant = np.cumsum(voice < 0)  # whatever is no word of a voice begins an instant, and stays first in it
            augmented[name] = swapped[np.argsort(instant * (len(VOICES) + 1) + voice, kind="stable")]
        return augmented
