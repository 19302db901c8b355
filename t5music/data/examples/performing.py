"""Perform: the task that plays a written score as a person would."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Composes, Example
from t5music.data.examples.cutting import bar_windows
from t5music.errors import DataError, MidiError
from t5music.music import encodings
from t5music.music.encodings.clock import ClockEncoding
from t5music.music.score import NOTE, Score

EARLY = 0.05  # seconds before a bar's first beat at which a note is still taken to be on it
NEAR = 0.1  # seconds by which a bar line may lie outside the annotated beats


@dataclass(frozen=True)
class Perform(Composes):
    """`perform: <written bars>` -> the same bars as somebody played them.

        inputs   perform: Bar TimeSig_3/4 Pos_0 Tempo_100 Program_0 Velocity_16 Pitch_60 Duration_12 ...
        targets  TIME_SHIFT_5 VELOCITY_14 NOTE_ON_60 TIME_SHIFT_71 NOTE_OFF_60 ... TIME_SHIFT_3

    The piece is the performance; its other score, "score", is what is written, and the label "alignment" says when
    their common beats are: JSON of [[seconds in the score, ...], [seconds in the performance, ...]]. A target lasts
    exactly as long as its bars did, so that windows follow one another without a gap; notes sound on only to its end.

    Attributes:
        written: name of the encoding of the prompt; it must have bars.
        encoding: name of the encoding of the answer; it must run by a clock.
        bars: bars per window.
    """

    kind: ClassVar[str] = "perform"
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)
    ends: ClassVar[bool] = True  # an answer ends where its bars do
    written: str = "remi"
    encoding: str = "performance"
    bars: int = 2

    def __post_init__(self) -> None:
        self._clock()

    def _clock(self) -> ClockEncoding:
        encoding = encodings.get(self.encoding)
        if not isinstance(encoding, ClockEncoding):
            raise DataError(f"perform: time in {self.encoding} does not pass in waits; use performance")
        return encoding

    def _ask(self, window: Score) -> str:
        encoding = encodings.get(self.written)
        return f"perform: {encoding.to_text(encoding.encode(window))}"

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per window whose bar lines lie within the aligned beats, where both sides have notes."""
        encoding = self._clock()
        score = piece.others.get("score")
        beats = None if score is None else _alignment(piece, score)
        if score is None or beats is None:
            return
        for start, end in bar_windows(score, self.bars):
            seconds = score.seconds(np.array([start, min(end, score.end_tick)]))
            if seconds[0] < beats[0][0] - NEAR or seconds[1] > beats[0][-1] + NEAR:
                continue
            begin, end_seconds = np.maximum(np.interp(seconds, *beats) - EARLY, 0)
            window = score.crop(start, end)
            played = piece.score.crop(*(int(tick) for tick in piece.score.ticks(np.array([begin, end_seconds]))))
            events = encoding.encode(played)
            if len(events) and len(encodings.get(self.written).encode(window)):
                rest = encoding.units(end_seconds - begin) - int(encoding.waits[events].sum())
                yield Example(self._ask(window), encoding.to_text(np.append(events, encoding.silence(rest))))

    def prompts(self, score: Score) -> list[str]:
        """One prompt per window of bars that have notes."""
        windows = [score.crop(start, end) for start, end in bar_windows(score, self.bars)]
        prompts = [self._ask(window) for window in windows if len(window.notes)]
        if not prompts:
            raise MidiError("no notes to perform")
        return prompts

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The windows as performed, one after the other (event ids of the answer's encoding); the score is all new."""
        del score
        whole = encodings.get(self.encoding).decode(np.concatenate(answers))
        return Answer(whole.score, dataclasses.replace(whole.score, notes=np.empty(0, NOTE)), whole.repairs)


def _alignment(piece: Piece, score: Score) -> NDArray[np.float64] | None:
    """Seconds [2, beats] of the beats in the score and in the performance; None where there are none.

    Where the music ends is one more. Raises DataError for an alignment that is not what Perform says.
    """
    text = piece.labels.get("alignment", "")
    if not text:
        return None
    try:
        beats = np.array(json.loads(text), np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{piece.id}: its alignment must be JSON of two lists of seconds of equal length") from error
    if beats.ndim != 2 or len(beats) != 2:
        raise DataError(f"{piece.id}: its alignment must be JSON of two lists of seconds of equal length")
    if beats.shape[1] < 2 or (np.diff(beats) <= 0).any():
        return None  # repeats played otherwise than written: beats that go back
    ends = np.array([[score.duration_seconds], [piece.score.duration_seconds + EARLY]])
    return np.append(beats, ends, axis=1) if (ends[:, 0] > beats[:, -1]).all() else beats
