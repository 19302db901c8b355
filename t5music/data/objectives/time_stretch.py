"""TimeStretch: the augmentation that makes music faster or slower, on the clock or by the tempi of each encoding."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example, Objective, encodings_of, tokens_of
from t5music.data.vocabulary import Ids, Vocabulary
from t5music.errors import ConfigError
from t5music.music.encodings.clock import ClockEncoding


class Clock(NamedTuple):
    """The words with which time passes in an encoding.

    Attributes:
        waits: int64 [size], the units that each id of the vocabulary waits, 0 for all other ids.
        nearest: the id of the word nearest to a wait of so many units (half way: the longer), up to `longest`.
        rounded: the units of that word. Both are lists, for one entry is read at a time.
        longest: units of the longest word.
        word: the id of the longest word.
    """

    waits: NDArray[np.int64]
    nearest: list[int]
    rounded: list[int]
    longest: int
    word: int


class Tempi(NamedTuple):
    """The words that set a tempo.

    Attributes:
        ids, tempi: int32 and int64 [tempi], the ids and what they set, in quarters a minute, both rising.
        place: int64 [size], each id's place among them, -1 for other ids.
    """

    ids: NDArray[np.int32]
    tempi: NDArray[np.int64]
    place: NDArray[np.int64]


def clock_of(vocabulary: Vocabulary, encoding: ClockEncoding) -> Clock:
    """The clock of one of the vocabulary's encodings."""
    ids, rounded = vocabulary.event_ids(encoding.name), encoding.waits[encoding.nearest_wait]
    return Clock(
        vocabulary.spread(encoding.name, encoding.waits, elsewhere=0),
        ids[encoding.nearest_wait].tolist(),
        rounded.tolist(),
        int(encoding.waits[encoding.longest_wait]),
        int(ids[encoding.longest_wait]),
    )


@functools.lru_cache(maxsize=8)
def clocks(vocabulary: Vocabulary) -> tuple[Clock, ...]:
    """The clocks of a vocabulary's encodings; encodings that wait with the same words have one in common."""
    distinct: dict[int, Clock] = {}
    for encoding in encodings_of(vocabulary):
        if isinstance(encoding, ClockEncoding):
            clock = clock_of(vocabulary, encoding)
            distinct.setdefault(clock.word, clock)
    return tuple(distinct.values())


@functools.lru_cache(maxsize=8)
def tempi_of(vocabulary: Vocabulary) -> list[Tempi]:
    """The tempo words of each of a vocabulary's encodings that has some."""
    every = []
    for encoding in encodings_of(vocabulary):
        words = np.flatnonzero(encoding.tempi)
        if len(words):
            words = words[np.argsort(encoding.tempi[words])]
            ids = vocabulary.event_ids(encoding.name)[words]
            place = np.full(vocabulary.size, -1)
            place[ids] = np.arange(len(ids))
            every.append(Tempi(ids, encoding.tempi[words], place))
    return every


def retime(ids: Ids, clock: Clock, factor: float = 1.0) -> Ids:
    """Ids [n] with all waits `factor` times as long, waits that meet made one: int32 [about n].

    Each wait becomes the word that takes the clock nearest to where it should be, so what one word rounds away the
    next ones make up for: no event is further from its time than half the distance between two words (500 samples of
    tx1, nothing in performance). The clock never stands still between two instants, so notes keep at least one unit
    and events their order; where every wait is a single unit already nothing gets shorter.
    """
    waits = clock.waits[ids]
    others = np.flatnonzero(waits == 0)  # [others], the places of ids that do not wait
    if len(others) == len(ids):
        return ids
    time = np.cumsum(waits)
    marks = np.append(time[others], time[-1])  # [others + 1], when each of them happens, and when all ends
    waited = np.flatnonzero(np.diff(marks, prepend=0))
    words, word_counts = _wait_words(np.rint(marks[waited] * factor).astype(np.int64).tolist(), clock)
    counts = np.zeros(len(marks), np.int64)  # how many words lead to each mark
    counts[waited] = word_counts
    retimed = np.empty(len(others) + len(words), np.int32)
    is_other = np.zeros(len(retimed), bool)
    is_other[np.arange(len(others)) + np.cumsum(counts)[:-1]] = True
    retimed[is_other] = ids[others]
    retimed[~is_other] = words
    return retimed


def _wait_words(goals: list[int], clock: Clock) -> tuple[list[int], list[int]]:
    """The ids of waits that lead from 0 to each of some rising units, one goal after the other; and how many each."""
    words: list[int] = []
    counts: list[int] = []
    now = 0
    for goal in goals:
        gap = max(goal - now, 1)
        whole = (gap - 1) // clock.longest
        words += [clock.word] * whole
        gap -= whole * clock.longest
        words.append(clock.nearest[gap])
        now += whole * clock.longest + clock.rounded[gap]
        counts.append(whole + 1)
    return words, counts


def _stretched(ids: Ids, factor: float, vocabulary: Vocabulary) -> Ids:
    for clock in clocks(vocabulary):
        ids = retime(ids, clock, factor)
    for words in tempi_of(vocabulary):
        places = np.flatnonzero(words.place[ids] >= 0)
        if len(places):
            middles = (words.tempi[1:] + words.tempi[:-1]) / 2
            tempi = words.tempi[words.place[ids[places]]] / factor
            ids = ids.copy()
            ids[places] = words.ids[np.searchsorted(middles, tempi, side="right")]
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
        stretched = dict(example)
        for name, ids in tokens_of(example).items():
            stretched[name] = _stretched(ids, factor, vocabulary)
            if len(ids) < lengths.get(name, 0) <= len(stretched[name]):  # lengths count EOS
                return dict(example)
        return stretched
