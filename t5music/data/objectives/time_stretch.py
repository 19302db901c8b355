"""Augmentation of stored tokens in time: faster and slower, on the clock of each encoding.

tx1 (and what adds to it) waits with WT words, performance with TIME_SHIFT words, remi has Tempo words.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example, Objective, tokens_of
from t5music.data.vocabulary import Ids, Vocabulary
from t5music.errors import ConfigError

_WAITS = ("WT", "TIME_SHIFT")


class Clock(NamedTuple):
    """The words with which time passes in an encoding.

    waits: int64 [size], the units that each id of the vocabulary waits, 0 for all other ids.
    nearest: the id of the word nearest to a wait of so many units (half way: the longer), up to `longest`; `rounded`:
      the units of that word. Lists, for one entry is read at a time.
    longest: units of the longest word; `word`: its id.
    """

    waits: NDArray[np.int64]
    nearest: list[int]
    rounded: list[int]
    longest: int
    word: int


class Tempi(NamedTuple):
    """remi's Tempo words: their ids and tempi, both rising, and each id's place among them ([size], -1 for others)."""

    ids: NDArray[np.int32]
    tempi: NDArray[np.int64]
    place: NDArray[np.int64]


def _family(vocabulary: Vocabulary, name: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The ids and the numbers of the words NAME_<number>, by number."""
    found = [
        (int(match[1]), i) for i, word in enumerate(vocabulary.words) if (match := re.fullmatch(rf"{name}_(\d+)", word))
    ]
    numbers, ids = np.array(sorted(found)).reshape(-1, 2).T
    return ids.astype(np.int32), numbers.astype(np.int64)


@functools.lru_cache(maxsize=8)
def clocks(vocabulary: Vocabulary) -> dict[str, Clock]:
    """The clocks of a vocabulary by the name of their words, WT and TIME_SHIFT, as far as it has such words."""
    made = {}
    for name in _WAITS:
        ids, units = _family(vocabulary, name)
        if len(ids):
            waits = np.zeros(vocabulary.size, np.int64)
            waits[ids] = units
            middles = (units[1:] + units[:-1]) / 2
            nearest = ids[np.searchsorted(middles, np.arange(units[-1] + 1), side="right")]
            made[name] = Clock(waits, nearest.tolist(), waits[nearest].tolist(), int(units[-1]), int(ids[-1]))
    return made


@functools.lru_cache(maxsize=8)
def tempi(vocabulary: Vocabulary) -> Tempi:
    ids, numbers = _family(vocabulary, "Tempo")
    place = np.full(vocabulary.size, -1)
    place[ids] = np.arange(len(ids))
    return Tempi(ids, numbers, place)


def retime(ids: Ids, clock: Clock, factor: float = 1.0) -> Ids:
    """Ids [n] with all waits `factor` times as long, waits that meet made one: int32 [about n].

    Each wait becomes the word that takes the clock nearest to where it should be, so what one word rounds away the
    next ones make up for: no event is further from its time than half the distance between two words (500 samples of
    tx1, nothing in performance). The clock never stands still between two instants, so notes keep at least one unit
    and events their order; where every wait is a single unit already nothing gets shorter.
    """
    waits = clock.waits[ids]
    rest = np.flatnonzero(waits == 0)
    if len(rest) == len(ids):
        return ids
    time = np.cumsum(waits)
    marks = np.append(time[rest], time[-1])  # where each other id stands, and where all ends
    waited = np.flatnonzero(np.diff(marks, prepend=0))
    counts = np.zeros(len(marks), np.int64)  # how many words lead to each mark
    counts[waited] = 1
    words: list[int] = []
    now = 0
    for mark, goal in enumerate(np.rint(marks[waited] * factor).astype(np.int64).tolist()):
        gap = goal - now
        if gap < 1:
            gap = 1
        elif gap > clock.longest:
            extra = (gap - 1) // clock.longest
            words += [clock.word] * extra
            counts[waited[mark]] += extra
            now += extra * clock.longest
            gap -= extra * clock.longest
        words.append(clock.nearest[gap])
        now += clock.rounded[gap]
    stops = np.cumsum(counts)
    made = np.empty(len(rest) + len(words), np.int32)
    kept = np.zeros(len(made), bool)
    kept[np.arange(len(rest)) + stops[:-1]] = True
    made[kept] = ids[rest]
    made[~kept] = words
    return made


def _stretched(ids: Ids, factor: float, vocabulary: Vocabulary) -> Ids:
    for clock in clocks(vocabulary).values():
        ids = retime(ids, clock, factor)
    words = tempi(vocabulary)
    places = np.flatnonzero(words.place[ids] >= 0)
    if len(places):
        middles = (words.tempi[1:] + words.tempi[:-1]) / 2
        ids = ids.copy()
        ids[places] = words.ids[np.searchsorted(middles, words.tempi[words.place[ids[places]]] / factor, side="right")]
    return ids


@dataclasses.dataclass(frozen=True)
class TimeStretch(Objective):
    """All durations of an example multiplied by one random factor: uniform over low .. high, or over `steps` values.

    The same factor for every feature, each on a clock of its own. Five steps are Music Transformer's 0.95, 0.975, 1,
    1.025, 1.05. LakhNES draws the speed from 0.95 .. 1.05, so its durations are multiplied by 0.952 .. 1.053; its waits
    round one by one, ours on the clock (see `retime`). remi's music keeps its words but for each Tempo, which becomes
    the nearest one there is: between 42 and 160 a minute they lie 2 apart, so small factors may do nothing.

    A longer wait may need one word more (beyond WT_100000, or TIME_SHIFT_100). An example with a feature that fits its
    length as it is and would not any more is left as it is, so nothing is cut off for being stretched. Music of more
    than 85 minutes may get longer than tx1 and performance can say.
    """

    low: float = 0.95
    high: float = 1.05
    steps: int | None = None

    name: ClassVar[str] = "time_stretch"

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise ConfigError(f"time_stretch needs 0 < low <= high, not {self.low} and {self.high}")
        if self.steps is not None and self.steps < 2:
            raise ConfigError(f"time_stretch needs steps of at least 2, or None for any factor, not {self.steps}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        if self.steps is None:
            factor = rng.uniform(self.low, self.high)
        else:
            factor = self.low + (self.high - self.low) * rng.integers(self.steps) / (self.steps - 1)
        made = dict(example)
        for name, ids in tokens_of(example).items():
            made[name] = _stretched(ids, factor, vocabulary)
            if len(ids) < lengths.get(name, 0) <= len(made[name]):  # lengths count EOS
                return dict(example)
        return made
