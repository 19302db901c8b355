"""The grammar of satb: whole sixteenths of four cells, the last one with a note.

Legal is exactly what Satb.encode writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.music.encodings.base import Encoding
from t5music.music.encodings.grammar import UNBOUNDED, Array, Grammar, columns, fits, int32s
from t5music.music.encodings.satb.encoding import CELLS, REST_WORD, WORDS, Satb
from t5music.music.encodings.satb.grid import MAX_STEPS

LIMIT = CELLS * MAX_STEPS
PITCH, SILENT, NONE = range(3)  # kinds of words, and what stands behind the last word
TABLE = np.append(np.where(np.arange(len(WORDS)) == REST_WORD, SILENT, PITCH), NONE).astype(np.int32)[:, None]


class State(NamedTuple):
    """int32 [batch] each."""

    room: Array  # words that may still be written
    cells: Array  # written so far, up to one more than LIMIT
    sounding: Array  # 1 where the sixteenth that is begun, or else the last one, has a note


@dataclass(frozen=True)
class SatbGrammar(Grammar):
    """The grammar of satb; see the module and `Grammar`.

    Pieces that are not `complete` may end with silence. `inside` makes no difference: cuts are before a soprano.
    """

    encoding: ClassVar[Encoding] = Satb()
    KIND: ClassVar[NDArray[np.int32]] = TABLE[:, 0]
    RULES: ClassVar[Mapping[str, str]] = {
        "limit": "music lasts at most 90 minutes, and its last sixteenth has a note",
        "room": "a sixteenth that is begun, and a last one with a note, must end in the room that is left",
    }

    def start(self, batch: int, room: ArrayLike = UNBOUNDED) -> State:
        zero = int32s(batch, 0)
        return State(int32s(batch, room), zero, zero)

    def advance(self, state: State, ids: Array, xp: Any) -> State:
        (kind,) = columns(TABLE, ids, xp)
        none = kind == NONE
        sounding = (kind == PITCH) | ((state.cells % CELLS > 0) & (state.sounding == 1))
        return State(
            state.room - ~none,
            xp.minimum(state.cells + ~none, LIMIT + 1),
            xp.where(none, state.sounding, sounding * np.int32(1)),
        )

    def needed(self, state: State, xp: Any) -> Array:
        """The rest of a sixteenth that is begun, or a whole one after a silent one."""
        return self._to_end(state.cells, state.sounding)

    def _to_end(self, cells: Array, sounding: Array) -> Array:
        """Words to an end after so many cells."""
        silent = (cells > 0) & (sounding == 0) if self.complete else 0
        whole = cells % CELLS == 0
        return -cells % CELLS + CELLS * (whole & silent)

    def judge_kinds(self, state: State, kinds: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        sounding = (kinds == PITCH) | ((state.cells % CELLS > 0) & (state.sounding == 1))
        cells = state.cells + 1
        after = self._to_end(cells, sounding)
        return {
            "limit": after <= LIMIT - cells,
            "room": fits(after, self.needed(state, xp), state.room, xp),
        }

    def judge_words(self, state: State, entries: Array, ids: NDArray[np.int32], xp: Any) -> dict[str, Array]:
        return {}
