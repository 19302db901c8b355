"""Bars as they are written: an answer is given out bar by bar while the model writes the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from t5music.data.vocabulary import EOS_ID
from t5music.errors import ConfigError
from t5music.inference import bounds, sampling_settings
from t5music.inference.answers import events_of, room_of
from t5music.inference.decoding_settings import decoding_settings
from t5music.inference.likelihoods import Exchange
from t5music.inference.question import Question
from t5music.inference.result import Result
from t5music.model import streaming

WORDS_AT_ONCE = 16  # a bar of one voice, about


class Bar(NamedTuple):
    """New notes that will not change any more.

    Attributes:
        number: of the bar in the whole music, from 1.
        seconds: (begin, end).
        notes: NOTE [notes], the new notes that begin in it, in the ticks of the whole music; none in a silent bar.
    """

    number: int
    seconds: tuple[float, float]
    notes: NDArray


class Bars:
    """An iterator over the bars of an answer.

        bars = model.stream("song.mid")
        for bar in bars:
            print(bar.number, len(bar.notes))
        bars.result.save("new.mid")

    The notes of all bars together are those of the result, which is the same as without streaming. A bar is given out
    once a note of a later bar is written and all notes in it have ended; the other bars when all is written.

    Attributes:
        words: how many words are written, of those of the answer that are written first.
        words_at_most: how many there may be.
        result: the music so far, and at the end the whole; None before anything is written.
    """

    def __init__(self, question: Question, *, seed: int = 0, is_stopped: Callable[[], bool] = bool, **sampling: Any):
        """Asks a question.

        Args:
            question: what is asked.
            seed: of what is drawn.
            is_stopped: asked again and again; where it says True, writing ends where it is, without the bars left.
            sampling: as of `sampling_settings.SETTINGS`, without beams.

        Raises:
            ConfigError: a setting that cannot be, or beams, which know no bar before all are written.
            MidiError: music that gives nothing to ask.
        """
        if sampling_settings.checked(sampling).beams > 1:
            raise ConfigError(
                "--beams: a search knows no bar before all are written: write it whole, without streaming"
            )
        self._sampling = sampling
        self._question, self._seed, self._is_stopped = question, seed, is_stopped
        self.words, self.words_at_most = 0, question.trained.lengths["targets"]
        self.result: Result | None = None
        # What is written in several windows, one after the other, is given out at the end.
        if question.infill or question.promises.lock or question.promises.length:
            self._bars = self._all_at_once()
        else:
            self._bars = self._stream()

    def __iter__(self) -> Iterator[Bar]:
        return self

    def __next__(self) -> Bar:
        return next(self._bars)

    def _all_at_once(self) -> Iterator[Bar]:
        """The bars of an answer that is written before the first is given out."""
        self.result = self._question.write(seed=self._seed, **self._sampling)
        self.words = self.words_at_most
        yield from _new_bars(self.result)

    def _stream(self) -> Iterator[Bar]:
        """The bars of an answer as they are written; settings that cannot be are errors at once."""
        question, task = self._question, self._question.task
        promised, rows = bounds.of_answers(
            question.promises,
            task,
            question.score,
            question.programs,
            room=room_of(question.trained, self._sampling),
        )
        tokens, settings = decoding_settings(
            question.trained,
            task,
            question.score,
            question.name,
            key=jax.random.key(self._seed),
            programs=question.programs,
            promised=promised,
            bounds=rows,
            **self._sampling,
        )
        self.words_at_most = int(settings["max_length"])
        return self._streamed(tokens, settings)

    def _streamed(self, tokens: NDArray[np.int32], settings: dict[str, Any]) -> Iterator[Bar]:
        question = self._question
        given = 0  # bars that are given out, or have no new notes and lie before the first that has
        for written in streaming.stream(question.trained.model, tokens, tokens_at_once=WORDS_AT_ONCE, **settings):
            if self._is_stopped():
                return
            rows, finished = _in_order(written.tokens)
            whole = finished or written.step == self.words_at_most
            answers = events_of(question.task, settings["grammar"][0], written.tokens if whole else rows)
            self.words = written.step
            exchange = Exchange(tokens, written.tokens, settings["prefix"])
            self.result = question.result(question.task.music(question.score, answers), [exchange], self._seed)
            bars = _new_bars(self.result)
            settled = len(bars) if whole else _settled(self.result, bars)
            for bar in bars[:settled]:
                if bar.number > given:
                    given = bar.number
                    yield bar


def _in_order(rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], bool]:
    """The rows as far as they follow each other in time: whole ones, the first unfinished one, and then none.

    And whether all are finished.
    """
    finished = (rows == EOS_ID).any(axis=1)
    if finished.all():
        return rows, True
    following = rows.copy()
    following[int(np.argmin(finished)) + 1 :] = 0
    return following, False


def _new_bars(result: Result) -> list[Bar]:
    """The bars from the first to the last in which new notes begin."""
    notes = result.notes
    if not len(notes):
        return []
    starts, _ = result.score.bars()
    edges = np.append(starts, max(result.score.end_tick, int(starts[-1]) + 1))
    places = np.searchsorted(starts, notes["onset"], side="right") - 1  # [notes], never falling
    seconds = result.score.seconds(edges)
    return [
        Bar(bar + 1, (float(seconds[bar]), float(seconds[bar + 1])), notes[places == bar])
        for bar in range(int(places[0]), int(places[-1]) + 1)
    ]


def _settled(result: Result, bars: list[Bar]) -> int:
    """How many of the bars cannot change any more, whatever is written next.

    Words are in the order of time: what comes begins no earlier than the last note. A note that sounds until there may
    only look as if it ended, for an encoding may say the end by a word of its own.
    """
    if not bars:
        return 0
    last = int(result.notes["onset"].max())
    for place, bar in enumerate(bars):
        ends = bar.notes["onset"] + bar.notes["duration"]
        if place == len(bars) - 1 or (ends >= last).any():
            return place
    return len(bars)
