"""Answers: the music that a model writes for a piece, within promises; a long one by windows, one after the other."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from t5music.data import answer_formats
from t5music.data.examples import Answer, Composes, Continue, Infill
from t5music.errors import ConfigError
from t5music.inference import bounds, requests
from t5music.inference.decoding_settings import decoding_settings
from t5music.inference.likelihoods import Exchange
from t5music.inference.promises import NOTHING, Promises
from t5music.inference.trained_model import TrainedModel
from t5music.model import decoding
from t5music.music import encodings
from t5music.music.encodings.base import Events
from t5music.music.encodings.remi.words import BAR, FIRST
from t5music.music.score import Score

SHARE_OF_ROOM = 4  # of an answer's room, the part that a bar may take that is given of it


def answer(trained: TrainedModel, task: Composes, score: Score, name: str, **settings: Any) -> Answer:
    """Returns the music of a score and of the model's answer to it; arguments and errors as of `answer_in_words`."""
    return answer_in_words(trained, task, score, name, **settings)[0]


def answer_in_words(
    trained: TrainedModel,
    task: Composes,
    score: Score,
    name: str,
    *,
    seed: int = 0,
    programs: tuple[int, ...] | None = None,
    promises: Promises = NOTHING,
    locked: NDArray[np.bool_] | None = None,
    **sampling: Any,
) -> tuple[Answer, list[Exchange]]:
    """Returns the music of a score and of the model's answer to it, and what the model was asked and wrote for that.

    Where a length is promised that one answer has no room for, others go on from it, each with as much of the music
    before it as the model reads.

    Args:
        trained: the model.
        task: one of its tasks.
        score: the music.
        name: the music's name in errors.
        seed: of what is drawn.
        programs: that the answer's notes may have, DRUMS for percussion; None for all. It binds encodings that say
            programs.
        promises: what the answer's notes are bound to beside their programs.
        locked: True [notes] for the score's notes that stay where music is filled in; None for none.
        sampling: see `decoding_settings`.

    Raises:
        ConfigError: a setting that cannot be, or promises that cannot be kept.
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    key = jax.random.key(seed)
    promised, rows = bounds.of_answers(promises, task, score, programs, room=room_of(trained, sampling), locked=locked)
    answers, exchange = _write(trained, task, score, name, key, programs, promised, rows, **sampling)
    exchanges = [exchange]
    if promises.length is not None:
        answers, more = _going_on(trained, task, score, name, key, programs, promises, rows, answers, sampling)
        exchanges += more
    music = task.music(score, answers)
    if locked is not None and isinstance(task, Infill):
        music = music._replace(prompt=task.without_gap(score, locked))
    return music, exchanges


def _going_on(
    trained: TrainedModel,
    task: Composes,
    score: Score,
    name: str,
    key: jax.Array,
    programs: tuple[int, ...] | None,
    promises: Promises,
    rows: list[Any],
    answers: list[Events],
    sampling: dict[str, Any],
) -> tuple[list[Events], list[Exchange]]:
    """The first answer and those that go on from it, until the promised length is there; and how those came about.

    Each begins with the last bar of the answer before, which is given: a model that has just begun to write finds the
    next bar harder than one that has written a bar (`tests/benchmarks/joints.py`).
    """
    first_task, last, begin = task, answers[0], answers[0][:0]
    exchanges: list[Exchange] = []
    whole = last[:0]  # what is written, up to where the last answer begins
    while not bounds.is_over(rows[0], promises, last):
        ending = _to_last_note(task.encoding, last)
        if len(ending) <= len(begin):
            return [np.concatenate([whole, ending])], exchanges  # silence: there is nothing to go on from
        whole, begin = _last_bar(task.encoding, np.concatenate([whole, ending]), room_of(trained, sampling))
        current = first_task.music(score, [whole]).score
        task, _ = requests.fitted(trained, _continuing(trained, first_task), current, name)
        promised, rows = bounds.of_answers(
            promises, task, current, programs, room=room_of(trained, sampling), answers=[whole]
        )
        here = jax.random.fold_in(key, len(exchanges) + 1)
        (last,), exchange = _write(trained, task, current, name, here, programs, promised, rows, begin, **sampling)
        exchanges.append(exchange)
    return [np.concatenate([whole, last])], exchanges


def room_of(trained: TrainedModel, sampling: dict[str, Any]) -> int:
    """The words of an answer."""
    return min(trained.lengths["targets"], sampling.get("words") or trained.lengths["targets"])


def _last_bar(encoding_name: str, events: Events, room: int) -> tuple[Events, Events]:
    """The events before the last bar, and that bar with the Bar of the next one; all and none without a last bar.

    The bar is none where there are no notes before it, or where it would take too much of an answer's room.
    """
    bars = np.flatnonzero(events == FIRST[BAR]) if encoding_name == "remi" else np.empty(0, int)
    before = events[: bars[-1]] if len(bars) else events[:0]
    begin = np.append(events[len(before) :], FIRST[BAR]).astype(events.dtype)
    if not encodings.get(encoding_name).is_note[before].any() or len(begin) > room // SHARE_OF_ROOM:
        return events, events[:0]
    return before, begin


def _continuing(trained: TrainedModel, task: Composes) -> Composes:
    """The task that goes on from a task's answers. Raises ConfigError where the model has none."""
    if isinstance(task, Continue):
        return task
    style = getattr(task, "style", None)
    for other in trained.tasks.values():
        if isinstance(other, Continue) and other.encoding == task.encoding and style in (None, other.style):
            return other
    raise ConfigError(f"--length: an answer of this model is shorter, and it has no task that continues {task.kind}")


def _to_last_note(encoding_name: str, events: Events) -> Events:
    """The events up to the end of the last note; of a clock, all of them."""
    encoding = encodings.get(encoding_name)
    if encoding.waits.any():
        return events if encoding.is_note[events].any() else events[:0]
    notes = np.flatnonzero(encoding.is_note[events])
    if not len(notes):
        return events[:0]
    stop = int(notes[-1]) + 1
    return events[: stop + (stop < len(events) and encoding.words[events[stop]].startswith("Duration"))]


def _write(
    trained: TrainedModel,
    task: Composes,
    score: Score,
    name: str,
    key: jax.Array,
    programs: tuple[int, ...] | None,
    promised: encodings.Promised | None,
    rows: list[Any],
    begin: Events | None = None,
    **sampling: Any,
) -> tuple[list[Events], Exchange]:
    """What the model writes to each of a task's prompts, as event ids; and the same as the model has it.

    The events of `begin` are given of each answer.
    """
    tokens, settings = decoding_settings(
        trained, task, score, name, key=key, programs=programs, promised=promised, bounds=rows, begin=begin, **sampling
    )
    written = np.asarray(decoding.generate(trained.model, tokens, **settings))
    return events_of(task, settings["grammar"][0], written), Exchange(tokens, written, settings["prefix"])


def events_of(task: Composes, form: answer_formats.Music, written: NDArray[np.int32]) -> list[Events]:
    """The event ids of what was written in a form, int32 [windows, length]."""
    answers = [form.vocabulary.decode_events(task.encoding, row) for row in written]
    return answers if form.promised is None else [form.promised.without_closing(events) for events in answers]
