"""Accompany: the task that adds parts to some parts of a piece."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Composes, Example
from t5music.errors import DataError, MidiError
from t5music.music import encodings
from t5music.music.encodings.base import Events
from t5music.music.encodings.remi.bars import bars_of, opened, replace_bars
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.score import Score


@dataclass(frozen=True)
class Accompany(Composes):
    """`accompany STYLE: <some parts>` -> other parts, in windows of whole bars.

        inputs   accompany chorale: Bar TimeSig_4/4 Pos_0 Tempo_120 Program_52 Velocity_20 Pitch_69 Duration_12 ...
        targets  Bar TimeSig_4/4 Pos_0 Tempo_120 Program_52 Velocity_20 Pitch_45 Duration_12 Pitch_57 ...

    Attributes:
        style: the music's style, named in the prompt.
        encoding: name of the encoding; it must have bars.
        part: names of the tracks in the prompt, in lower case (or one name).
        bars: bars per window.
        answer: names of the tracks to add; all that are not in the prompt if empty.
    """

    kind: ClassVar[str] = "accompany"
    extends: ClassVar[bool] = True
    accompanies: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)
    style: str
    encoding: str
    part: tuple[str, ...]
    bars: int = 8
    answer: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "part", (self.part,) if isinstance(self.part, str) else tuple(self.part))
        object.__setattr__(self, "answer", tuple(self.answer))
        self._encoding()

    def _encoding(self) -> Remi:
        return encoding_with_bars(self.encoding, f"accompany {self.style}")

    def _windows(self, score: Score, tracks: NDArray[np.bool_], bars: int) -> list[Events]:
        return windows_of(self._encoding(), score.with_notes(score.notes[tracks]), bars, self.bars)

    def _ask(self, window: Events) -> str:
        return f"accompany {self.style}: {encodings.get(self.encoding).to_text(window)}"

    def _prompt_notes(self, score: Score) -> NDArray[np.bool_]:
        return in_tracks_or_first(score, self.part)

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per window in which both sides have notes; none where no track has the names."""
        encoding, score = self._encoding(), piece.score
        prompt_notes = in_tracks(score, self.part)
        answer_notes = in_tracks(score, self.answer) if self.answer else ~prompt_notes
        bars = len(bars_of(encoding.encode(score)))
        if prompt_notes.any() and answer_notes.any():
            sides = self._windows(score, prompt_notes, bars), self._windows(score, answer_notes, bars)
            for window, answer in zip(*sides, strict=True):
                if len(window) and len(answer):
                    yield Example(self._ask(window), encoding.to_text(answer))

    def prompts(self, score: Score) -> list[str]:
        """One prompt per window in which the parts to accompany have notes."""
        prompt_notes = self._prompt_notes(score)
        if not prompt_notes.any():
            raise MidiError("no notes to accompany")
        bars = len(bars_of(self._encoding().encode(score)))
        return [self._ask(window) for window in self._windows(score, prompt_notes, bars) if len(window)]

    def windows(self, score: Score) -> list[tuple[int, list[NDArray[np.int32]]]]:
        """The bars of each window in which the parts to accompany have notes."""
        bars = bars_of(self._encoding().encode(score))
        windows = self._windows(score, self._prompt_notes(score), len(bars))
        firsts = [number * self.bars for number, window in enumerate(windows) if len(window)]
        return [(first, bars[first : first + self.bars]) for first in firsts]

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The parts of the prompt with every window's answer added, on tracks of its own, one for each program.

        However many bars the model has written, and of whatever meter, an answer has the bars of its window.
        """
        encoding = self._encoding()
        prompt_notes = self._prompt_notes(score)
        bars = bars_of(encoding.encode(score))
        rest, parts = list(answers), []
        for number, window in enumerate(self._windows(score, prompt_notes, len(bars))):
            window_bars = bars[number * self.bars : (number + 1) * self.bars]
            parts.append(replace_bars(window_bars, rest.pop(0) if len(window) else window))
        added = encoding.decode(opened(bars[0], np.concatenate(parts)))
        prompt = encoding.decode(encoding.encode(score.with_notes(score.notes[prompt_notes]))).score
        notes = added.score.notes.copy()
        notes["track"] += len(prompt.track_names)
        whole = dataclasses.replace(
            prompt,
            notes=np.concatenate([prompt.notes, notes]),
            track_names=(*prompt.track_names, *added.score.track_names),
        )
        return Answer(whole, prompt, added.repairs)


def encoding_with_bars(name: str, task: str) -> Remi:
    """The encoding of a name. Raises DataError, which names the task, for one without bars."""
    encoding = encodings.get(name)
    if not isinstance(encoding, Remi):
        raise DataError(f"{task}: {name} has no bars; use remi")
    return encoding


def windows_of(encoding: Remi, score: Score, bars: int, size: int) -> list[Events]:
    """The words of the first bars of a score in windows of `size` bars; those without notes are empty."""
    parts = bars_of(encoding.encode(score))
    windows, before = [], np.empty(0, np.int32)
    for start in range(0, bars, size):
        window = np.concatenate([before[:0], *parts[start : start + size]])
        windows.append(opened(before, window) if encoding.is_note[window].any() else window[:0])
        before = np.concatenate([before, window])
    return windows


def in_tracks_or_first(score: Score, names: Sequence[str]) -> NDArray[np.bool_]:
    """True [notes] for the part of one's own music that is asked about: tracks of these names, or the first."""
    by_name = in_tracks(score, names)
    first = score.notes["track"] == score.notes["track"].min(initial=np.iinfo(np.int16).max)
    return by_name if by_name.any() else first


def in_tracks(score: Score, names: Sequence[str]) -> NDArray[np.bool_]:
    """True [notes] for the notes of tracks with one of these names (in any case)."""
    has_name = np.array([name.strip().lower() in names for name in score.track_names] or [False])
    return has_name[score.notes["track"]]
