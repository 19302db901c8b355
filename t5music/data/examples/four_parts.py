"""FourParts and Harmonise: four-part pieces in satb, whole, or as parts to add to a melody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Composes, Example
from t5music.data.objectives import GiveSoprano, Objective
from t5music.errors import DataError, MidiError
from t5music.music import encodings
from t5music.music.encodings.satb.encoding import BAR, CELLS, QUARTER, Satb
from t5music.music.encodings.satb.grid import REST, VOICES, parts, to_grid
from t5music.music.score import DRUMS, Score

SOPRANO = 0


def four_part_grid(score: Score) -> NDArray[np.int64]:
    """The grid of a score of four parts, int64 [sixteenths, 4]; no rows for one without notes.

    Raises:
        MidiError: as of `satb.grid.to_grid`, or not all four parts have notes.
    """
    if not len(score.notes):
        return to_grid(score)
    voices = np.unique(parts(score))
    count = int((voices >= 0).sum())
    if count != len(VOICES):
        raise MidiError(f"four parts are needed, and this piece has {count} with notes")
    return to_grid(score)


@dataclass(frozen=True)
class FourParts:
    """Whole pieces of four parts in satb, targets of any length; nats a cell are measured on them.

    inputs   (none)
    targets  Cell_67 Cell_62 Cell_58 Cell_43 Cell_67 Cell_62 Cell_58 Cell_43 Cell_69 ...
    """

    kind: ClassVar[str] = "four_parts"
    metrics: ClassVar[tuple[str, ...]] = ()
    encoding: ClassVar[str] = "satb"

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields the one example of a piece. Raises MidiError for a piece that has not four parts."""
        satb = _satb()
        events = satb.of_grid(four_part_grid(piece.score))
        if len(events):
            yield Example("", satb.to_text(events))


@dataclass(frozen=True)
class Harmonise(Composes):
    """`harmonise STYLE: <soprano>` -> all four voices, of which the soprano is given, in windows of bars of 4/4.

        inputs   harmonise chorale: Cell_67 Cell_67 Cell_67 Cell_67 Cell_69 ...
        targets  Cell_67 Cell_62 Cell_58 Cell_43 Cell_67 Cell_62 Cell_58 Cell_43 ...
        weights  0       1       1       1       0       1       1       1       ...

    So the decoder reads the melody beside what it adds, sixteenth by sixteenth, and knows from the inputs how it goes
    on. The soprano's words are neither learned nor chosen.

    Attributes:
        style: the music's style, named in the prompt.
        encoding: satb.
        words: the longest window, in words of all voices; below a bar's 64 it is cut at quarters.
    """

    kind: ClassVar[str] = "harmonise"
    extends: ClassVar[bool] = True
    accompanies: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ()
    objectives: ClassVar[tuple[Objective, ...]] = (GiveSoprano(),)
    style: str
    encoding: str = "satb"
    words: int = 512

    def __post_init__(self) -> None:
        if self.encoding != "satb":
            raise DataError(f"harmonise {self.style}: the words must be satb's, not {self.encoding}'s")
        if self.words < QUARTER:
            raise DataError(f"harmonise {self.style}: a window has {QUARTER} words (a quarter) or more")

    def _windows(self, grid: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The windows of a grid, int64 [sixteenths, 4] each."""
        steps = (self.words - self.words % (BAR if self.words >= BAR else QUARTER)) // CELLS
        return [grid[start : start + steps] for start in range(0, len(grid), steps)]

    def _ask(self, window: NDArray[np.int64]) -> str:
        return f"harmonise {self.style}: {_satb().to_text(_satb().of_grid(window[:, SOPRANO]))}"

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per window in which the soprano has notes, and so have the others.

        Raises MidiError for a piece that has not four parts.
        """
        satb = _satb()
        for window in self._windows(four_part_grid(piece.score)):
            melody, others = window[:, SOPRANO] != REST, window[:, SOPRANO + 1 :] != REST
            if melody.any() and others.any():
                yield Example(self._ask(window), satb.to_text(satb.of_grid(window)))

    def _melody(self, score: Score) -> NDArray[np.int64]:
        """The melody of one's own music as the soprano of a grid, int64 [sixteenths, 4], the other voices silent.

        It is the track called soprano, or the first one with notes; percussion is none.
        """
        notes = score.notes[score.notes["program"] != DRUMS]
        if not len(notes):
            raise MidiError("no notes to harmonise")
        tracks = notes["track"]
        names = [score.track_names[track].strip().lower() for track in tracks]
        named = np.array([name == VOICES[SOPRANO] for name in names])
        melody = to_grid(score.with_notes(notes[named if named.any() else tracks == tracks.min()]))
        grid = np.full_like(melody, REST)
        grid[:, SOPRANO] = melody.max(axis=1)  # whatever voice its track's name makes it
        return grid

    def prompts(self, score: Score) -> list[str]:
        """One prompt per window. Raises MidiError as `grid.to_grid` of the melody, or where there is none."""
        return [self._ask(window) for window in self._windows(self._melody(score))]

    def given(self, score: Score) -> list[NDArray[np.int32]]:
        """The soprano of each answer."""
        rows = []
        for window in self._windows(self._melody(score)):
            words = np.full(window.shape, -1, np.int32)
            words[:, SOPRANO] = _satb().of_grid(window[:, SOPRANO])
            rows.append(words.reshape(-1))
        return rows

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The melody with the other voices of each window's answer (event ids), which is cut, or ends with rests."""
        satb, melody = _satb(), self._melody(score)
        grid, repairs = melody.copy(), 0
        for window, answer in zip(self._windows(grid), answers, strict=True):
            added = satb.grid(answer)[: len(window), SOPRANO + 1 :]
            window[: len(added), SOPRANO + 1 :] = added
            repairs += max(0, window.size - len(answer))
        return Answer(satb.decode(satb.of_grid(grid)).score, satb.decode(satb.of_grid(melody)).score, repairs)


def _satb() -> Satb:
    satb = encodings.get("satb")
    assert isinstance(satb, Satb)
    return satb
