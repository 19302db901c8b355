"""Infill: the task that fills a gap in a piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.corpora.base import Piece
from t5music.data.examples.base import Answer, Composes, Example
from t5music.data.examples.cutting import nearest
from t5music.errors import ConfigError, MidiError
from t5music.music import encodings
from t5music.music.encodings import Encoding
from t5music.music.encodings.remi.bars import bars_of
from t5music.music.encodings.remi.encoding import Remi
from t5music.music.score import Score

GAP = "<extra_id_0>"
TOLERANCE = 0.06  # seconds: regions are said, and bars printed, with one decimal


@dataclass(frozen=True)
class Infill(Composes):
    """`infill STYLE: <past> <extra_id_0> <future>` -> the words between, in T5's form for a gap.

        inputs   infill folk: Bar TimeSig_4/4 Pos_0 Tempo_120 ... <extra_id_0> Bar TimeSig_4/4 Pos_0 Program_40 ...
        targets  <extra_id_0> Bar TimeSig_4/4 Pos_0 Program_40 Velocity_20 Pitch_69 Duration_6 ...

    The gap is the middle third: whole bars in remi, from instant to instant in encodings that run by a clock.

    Attributes:
        style: the music's style, named in the prompt.
        encoding: name of the encoding.
        words: past, gap and future together, at most, in event words.
        region: (begin, end) in seconds of what a model is to fill in one's own file; its middle if None.
        context: past and future of a prompt for one's own file together, at most, in event words; what `words` leaves
            if None.
    """

    kind: ClassVar[str] = "infill"
    extends: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy",)
    begins: ClassVar[str] = GAP
    ends: ClassVar[bool] = True  # with the gap
    style: str
    encoding: str
    words: int = 384
    region: tuple[float, float] | None = None
    context: int | None = None

    def __post_init__(self) -> None:
        if self.region is not None and not 0 <= self.region[0] < self.region[1]:
            raise ConfigError(f"infill: a region is (begin, end) in seconds, begin before end, not {self.region}")

    def _ask(self, encoding: Encoding, past: NDArray, future: NDArray) -> str:
        parts = (f"infill {self.style}:", encoding.to_text(past), GAP, encoding.to_text(future))
        return " ".join(part for part in parts if part)

    def examples(self, piece: Piece) -> Iterator[Example]:
        """Yields one example per chunk of `words`; none of a chunk without two cuts, or without a note in the gap."""
        encoding = encodings.get(self.encoding)
        for chunk in encoding.chunks(encoding.encode(piece.score), self.words):
            first, last = _middle(encoding.cuts(chunk), len(chunk), len(chunk) / 3)
            if last > first and encoding.is_note[chunk[first:last]].any():
                prompt = self._ask(encoding, chunk[:first], chunk[last:])
                yield Example(prompt, f"{GAP} {encoding.to_text(chunk[first:last])}")

    def _gap(self, score: Score) -> tuple[NDArray[np.int32], int, int]:
        """A score's events, and where the gap begins and ends in them."""
        encoding = encodings.get(self.encoding)
        events = encoding.encode(score)
        if not len(events):
            raise MidiError("no music to fill in")
        cuts = encoding.cuts(events)
        if self.region is None:
            first, last = _middle(cuts, len(events), min(self.words, len(events)) / 3)
            if first == last:
                raise MidiError("too short to have a middle: say which region to fill in, or continue it instead")
            fitting = cuts[(cuts > first) & (cuts <= first + self.words // 2)]
            last = min(last, int(fitting[-1])) if len(fitting) else last
        else:
            self._check_region(score)
            edges = np.concatenate([[0], cuts, [len(events)]])
            seconds = encoding.times_in(score, events)[edges]
            place = nearest(seconds[:-1], self.region[0])
            first, last = int(edges[place]), int(edges[place + 1 + nearest(seconds[place + 1 :], self.region[1])])
        if last - first > self.words // 2:
            times = encoding.times_in(score, events)
            stops = np.append(cuts, len(events))
            fitting = stops[(stops > first) & (stops <= first + self.words // 2)]
            region = _named(score, times[first], times[last])
            if not len(fitting):
                raise MidiError(f"the region {region} has too many notes to be filled in, even in its first part alone")
            raise MidiError(
                f"the region {region} has too many notes to be filled in at once: choose a shorter one, for example "
                f"from {times[first]:.1f} to {times[fitting[-1]]:.1f} s"
            )
        return events, first, last

    def _check_region(self, score: Score) -> None:
        """Raises MidiError where the region is not in the music, or narrower than a bar where music is cut at bars."""
        assert self.region is not None
        begin, end = self.region
        if begin >= score.duration_seconds:
            raise MidiError(
                f"the region from {begin:.1f} to {end:.1f} s is outside the music, which has {len(score.bars()[0])} "
                f"bars and ends at {score.duration_seconds:.1f} s"
            )
        if isinstance(encodings.get(self.encoding), Remi):
            edges = _bar_seconds(score)
            bar = int(np.clip(np.searchsorted(edges, begin + TOLERANCE, side="right") - 1, 0, len(edges) - 2))
            if end - begin < (edges[bar + 1] - edges[bar]) - TOLERANCE:
                raise MidiError(
                    f"the region from {begin:.1f} to {end:.1f} s is narrower than a bar: bar {bar + 1} lasts from "
                    f"{edges[bar]:.1f} to {edges[bar + 1]:.1f} s, and whole bars are filled in"
                )

    def prompts(self, score: Score) -> list[str]:
        """One prompt: as much past and future of the region as `words` and `context` hold, half of it each."""
        encoding = encodings.get(self.encoding)
        events, first, last = self._gap(score)
        edges = np.concatenate([[0], encoding.cuts(events), [len(events)]])
        room = self.words - (last - first)
        room = (room if self.context is None else min(room, self.context)) // 2
        past = edges[(edges >= first - room) & (edges <= first)][0]
        future = edges[(edges >= last) & (edges <= last + room)][-1]
        return [self._ask(encoding, events[past:first], events[last:future])]

    def before(self, score: Score) -> list[NDArray[np.int32]]:
        """The score up to the gap."""
        events, first, _ = self._gap(score)
        return [events[:first]]

    def without_gap(self, score: Score, stays: NDArray[np.bool_]) -> Score:
        """The score with those of its notes alone in the gap that stay (True [notes]), as `music` has its prompt."""
        encoding = encodings.get(self.encoding)
        events, first, last = self._gap(score)
        begin, end = (len(bars_of(events[:edge])) for edge in (first, last))
        staying = bars_of(encoding.encode(score.with_notes(score.notes[stays])))[begin:end]
        return encoding.decode(encoding.replace(events, first, last, np.concatenate([events[:0], *staying]))).score

    def windows(self, score: Score) -> list[tuple[int, list[NDArray[np.int32]]]] | None:
        """The bars of the gap; None in an encoding without bars."""
        if not isinstance(encodings.get(self.encoding), Remi):
            return None
        events, first, last = self._gap(score)
        return [(len(bars_of(events[:first])), bars_of(events[first:last]))]

    def music(self, score: Score, answers: Sequence[NDArray[np.int32]]) -> Answer:
        """The whole score with the one answer (event ids of the encoding) in the gap.

        Whatever the answer is, what follows it stays where it was: see `Encoding.replace`.
        """
        encoding = encodings.get(self.encoding)
        events, first, last = self._gap(score)
        whole = encoding.decode(encoding.replace(events, first, last, np.concatenate(answers)))
        empty = encoding.replace(events, first, last, np.empty(0, np.int32))
        begin, end = encoding.decode(events).score.ticks(encoding.times(events)[[first, last]]).tolist()
        return Answer(whole.score, encoding.decode(empty).score, whole.repairs, gap=(begin, end))


def _bar_seconds(score: Score) -> NDArray[np.float64]:
    """Where the bars begin and the last one ends, in seconds: [bars + 1]."""
    starts, meters = score.bars()
    numerator, denominator = map(int, meters[-1])
    return score.seconds(np.append(starts, starts[-1] + 4 * score.ticks_per_quarter * numerator // denominator))


def _named(score: Score, begin: float, end: float) -> str:
    """A region in seconds and bars."""
    edges = _bar_seconds(score)
    first = np.clip(np.searchsorted(edges, begin + TOLERANCE, side="right"), 1, len(edges) - 1)
    last = np.clip(np.searchsorted(edges, end - TOLERANCE, side="left"), first, len(edges) - 1)
    bars = f"bar {first}" if first == last else f"bars {first} to {last}"
    return f"from {begin:.1f} to {end:.1f} s ({bars})"


def _middle(cuts: NDArray[np.int64], length: int, width: float) -> tuple[int, int]:
    """The two cuts nearest to a gap of `width` in the middle of `length` words; (0, 0) with fewer than two cuts."""
    if len(cuts) < 2:
        return 0, 0
    first = min(nearest(cuts, (length - width) / 2), len(cuts) - 2)
    last = first + 1 + nearest(cuts[first + 1 :], (length + width) / 2)
    return int(cuts[first]), int(cuts[last])
