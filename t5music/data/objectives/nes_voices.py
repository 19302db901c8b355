"""Augmentation of stored tokens of the NES's voices (tx1): fewer voices, pulses exchanged, as LakhNES does."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example, Objective, tokens_of
from t5music.data.objectives.time_stretch import clocks, retime
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError

VOICES = ("P1", "P2", "TR", "NO")
_WORD = re.compile(rf"({'|'.join(VOICES)})_(NOTEON_\d+|NOTEOFF|VELOCITY_\d+|TIMBRE_\d+)")  # tx1's, and tx2's


class Table(NamedTuple):
    """What each id of a vocabulary says: of which voice ([size], index into VOICES, -1 for none), whether it begins a
    note of it (bool [size]), and the id of the same word of the other pulse ([size], itself where there is none)."""

    voice: NDArray[np.int64]
    begins: NDArray[np.bool_]
    other: NDArray[np.int32]


@functools.lru_cache(maxsize=8)
def table(vocabulary: Vocabulary) -> Table:
    voice = np.full(vocabulary.size, -1)
    begins = np.zeros(vocabulary.size, bool)
    other = np.arange(vocabulary.size, dtype=np.int32)
    ids = {}
    for word_id, word in enumerate(vocabulary.words):
        if match := _WORD.fullmatch(word):
            voice[word_id] = VOICES.index(match[1])
            begins[word_id] = match[2].startswith("NOTEON")
            ids[match[1], match[2]] = word_id
    for (name, says), word_id in ids.items():
        if name in ("P1", "P2"):
            other[word_id] = ids["P2" if name == "P1" else "P1", says]
    return Table(voice, begins, other)


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} needs a probability from 0 to 1, not {value}")


@dataclasses.dataclass(frozen=True)
class KeepVoices(Objective):
    """With the given probability only 1, 2 or 3 of the four voices are kept, in every feature the same ones.

    As LakhNES: the number is uniform, then so are the voices. Waits that meet become one (`augment_time.retime`, which
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
        chosen, count, order = (
            rng.random() < self.probability,
            rng.integers(1, len(VOICES)),
            rng.permutation(len(VOICES)),
        )
        clock = clocks(vocabulary).get("WT")
        if not chosen or clock is None:
            return dict(example)
        voice, begins, _ = table(vocabulary)
        dropped = np.zeros(len(VOICES) + 1, bool)  # the last one is that of no voice, -1
        dropped[order[count:]] = True
        made = dict(example)
        for name, ids in tokens_of(example).items():
            stays = ~dropped[voice[ids]]
            if stays.all():
                continue
            kept = ids[stays]
            if begins[ids].any() and not begins[kept].any():
                return dict(example)
            made[name] = retime(kept, clock)
        return made


@dataclasses.dataclass(frozen=True)
class SwapPulses(Objective):
    """With the given probability the two pulses change their parts, in every feature.

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
        voice, _, other = table(vocabulary)
        made = dict(example)
        for name, ids in tokens_of(example).items():
            swapped = other[ids]
            speaker = voice[swapped]
            instant = np.cumsum(speaker < 0)  # whatever is no word of a voice begins an instant, and stays first in it
            made[name] = swapped[np.argsort(instant * (len(VOICES) + 1) + speaker, kind="stable")]
        return made
