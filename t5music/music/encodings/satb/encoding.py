"""satb: four voices on a grid of sixteenths, a word a cell, as the JSB chorales are modelled in the literature.

    Cell_67 Cell_62 Cell_58 Cell_43 Cell_67 Cell_62 Cell_58 Cell_43 Cell_69 Cell_62 Cell_rest Cell_42 ...

Each word is one voice at one sixteenth, in the order soprano, alto, tenor, bass, then the next sixteenth: `Cell_36` to
`Cell_81`, or `Cell_rest`. Which voice and which sixteenth a word is follows from its place alone. So a piece of n
sixteenths is 4 n words, and nats a word are the unit in which models of these chorales are compared.

What is lost: a note that is held cannot be told from one that is repeated, so equal pitches in a row are one note;
onsets and ends move to sixteenths; double stops, and what lies outside the range, are reduced (`grid.to_grid` says
how). Tempo (decoded music has 120 quarters a minute), meters, keys, velocities and programs are left out, and so is
silence at the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.music.encodings.base import Decoded, Encoding, Events, inside
from t5music.music.encodings.satb.grid import (
    HIGHEST,
    LOWEST,
    MAX_STEPS,
    REST,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
    STEPS_PER_SECOND,
    VOICES,
    to_grid,
    to_score,
)
from t5music.music.score import Score

CELLS = len(VOICES)  # of a sixteenth
QUARTER, BAR = CELLS * STEPS_PER_QUARTER, CELLS * STEPS_PER_BAR  # cells
WORDS = (*(f"Cell_{pitch}" for pitch in range(LOWEST, HIGHEST + 1)), "Cell_rest")
REST_WORD = len(WORDS) - 1
PITCHES = np.append(np.arange(LOWEST, HIGHEST + 1), REST)  # of each word


class Satb(Encoding):
    """Four voices on a grid."""

    says_onsets = False

    def __init__(self) -> None:
        super().__init__("satb", WORDS, PITCHES != REST, pitches=PITCHES)

    def encode(self, score: Score) -> Events:
        """Event ids of a score of at most four parts. Raises MidiError as `grid.to_grid`."""
        return self.of_grid(to_grid(score))

    def of_grid(self, grid: NDArray[np.int64]) -> Events:
        """Event ids of a grid, int [sixteenths, 4] of LOWEST..HIGHEST and REST."""
        cells = grid.reshape(-1)
        return np.where(cells == REST, REST_WORD, cells - LOWEST).astype(np.int32)

    def grid(self, events: ArrayLike) -> NDArray[np.int64]:
        """The grid of events, int64 [sixteenths, 4]; what the last sixteenth lacks are rests."""
        pitches = PITCHES[self._checked(events)]
        return np.append(pitches, [REST] * (-len(pitches) % CELLS)).reshape(-1, CELLS)

    def _decode(self, events: Events) -> Decoded:
        """The score at 480 ticks a quarter, a track for each voice.

        Repairs: cells that the last sixteenth lacks become rests; those after 90 minutes are dropped.
        """
        grid = self.grid(events)
        dropped = max(0, len(events) - CELLS * MAX_STEPS)
        missing = -len(events) % CELLS if not dropped else 0
        return Decoded(to_score(grid[:MAX_STEPS]), dropped + missing)

    def times(self, events: ArrayLike) -> NDArray[np.float64]:
        """Seconds at the beginning of each cell, and at the end of the last one; of the first 90 minutes."""
        count = len(self._checked(events))
        steps = np.append(np.arange(count) // CELLS, -(-count // CELLS))
        return np.minimum(steps, MAX_STEPS) / STEPS_PER_SECOND

    def times_in(self, score: Score, events: ArrayLike) -> NDArray[np.float64]:
        steps = np.rint(self.times(events) * STEPS_PER_SECOND).astype(np.int64)
        return score.seconds(steps * score.ticks_per_quarter // STEPS_PER_QUARTER)

    # -------------------------------------------------------------------------------------------------------- cuts

    def segments(self, events: ArrayLike, length: int) -> list[Events]:
        """Cuts at bars of 4/4, or at quarters where `length` is less than a bar, both counted from the beginning."""
        return self.chunks(events, length)

    def chunks(self, events: ArrayLike, length: int) -> list[Events]:
        """See `segments`: each chunk can be read by itself."""
        events, length = self._checked(events), self._checked_length(length)
        size = length - length % (BAR if length >= BAR else QUARTER)
        return [events[start : start + size] for start in range(0, len(events), size)]

    def split_seconds(self, events: ArrayLike, seconds: float) -> tuple[Events, Events]:
        """Cuts at the sixteenth nearest to `seconds`."""
        events = self._checked(events)
        cut = CELLS * int(np.clip(round(seconds * STEPS_PER_SECOND), 0, -(-len(events) // CELLS)))
        return events[:cut], events[cut:]

    def cuts(self, events: ArrayLike) -> NDArray[np.int64]:
        """The beginnings of the quarters; see `Encoding.cuts`."""
        count = len(self._checked(events))
        return inside(np.arange(0, count, QUARTER), count)

    def replace(self, events: ArrayLike, first: int, last: int, answer: ArrayLike) -> Events:
        """See `Encoding.replace`. The answer gets as many cells as there were: it is cut, or followed by rests."""
        events, answer = self._checked(events), self._checked(answer)
        middle = np.full(last - first, REST_WORD, np.int32)
        middle[: len(answer)] = answer[: last - first]
        return np.concatenate([events[:first], middle, events[last:]])
