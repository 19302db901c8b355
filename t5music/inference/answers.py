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
from t5music.inference.promises import NOTHING, Promises
from t5music.inference.trained_model import TrainedModel, encode_prompts
from t5music.model import decoding
from t5music.music import encodings
from t5music.music.encodings.base import Events
from t5music.music.score import Score


def answer(
    trained: TrainedModel,
    task: Composes,
    score: Score,
    name: str,
    *,
    words: int | None = None,
    temperature: float = 0.9,
    top_k: int = 0,
    top_p: float = 0.95,
    seed: int = 0,
    programs: tuple[int, ...] | None = None,
    promises: Promises = NOTHING,
    locked: NDArray[np.bool_] | None = None,
) -> Answer:
    """Returns the music of a score and of the model's answer to it.

    Where a length is promised that one answer has no room for, others go on from it, each with as much of the music
    before it as the model reads.

    Args:
        trained: the model.
        task: one of its tasks.
        score: the music.
        name: the music's name in errors.
        words: length of the answer (of each window's), at most that of training; that of training if None.
        temperature: see `decoding.generate`, as for top_k and top_p.
        top_k: likewise.
        top_p: likewise.
        seed: of what is drawn.
        programs: that the answer's notes may have, DRUMS for percussion; None for all. It binds encodings that say
            programs.
        promises: what the answer's notes are bound to beside their programs.
        locked: True [notes] for the score's notes that stay where music is filled in; None for none.

    Raises:
        ConfigError: a setting that cannot be, or promises that cannot be kept.
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    if words is not None and words < 1:
        raise ConfigError(f"words must be at least 1, not {words}")
    sampling: dict[str, Any] = {"words": words, "temperature": temperature, "top_k": top_k, "top_p": top_p}
    key = jax.random.key(seed)
    if locked is None and not set(promises.names) - {"instruments"}:
        return task.music(score, _write(trained, task, score, name, key, programs, None, [], **sampling))
    promised, rows = bounds.of_answers(promises, task, score, programs, locked=locked)
    answers = _write(trained, task, score, name, key, programs, promised, rows, **sampling)
    if promises.length is not None:
        answers = [*_going_on(trained, task, score, name, key, programs, promises, rows, answers, sampling)]
    if not isinstance(task, Continue):
        answers = [np.concatenate(answers)] if promises.length is not None else answers
    music = task.music(score, answers)
    if locked is not None and isinstance(task, Infill):
        music = music._replace(prompt=task.without_gap(score, locked))
    return music


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
) -> list[Events]:
    """The first answer and those that go on from it, until the promised length is there."""
    first_task, last = task, answers[0]
    answers = []
    while not bounds.is_over(rows[0], promises, last):
        answers.append(_to_last_note(task.encoding, last))
        if not len(answers[-1]):
            return answers[:-1]  # silence: there is nothing to go on from
        written = answers if isinstance(first_task, Continue) else [np.concatenate(answers)]
        current = first_task.music(score, written).score
        task, _ = requests.fitted(trained, _continuing(trained, first_task), current, name)
        promised, rows = bounds.of_answers(promises, task, current, programs, answers=answers)
        here = jax.random.fold_in(key, len(answers))
        (last,) = _write(trained, task, current, name, here, programs, promised, rows, **sampling)
    return [*answers, last]


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
    *,
    words: int | None,
    **sampling: Any,
) -> list[Events]:
    """What the model writes to each of a task's prompts, as event ids."""
    tokens = encode_prompts(trained, task.prompts(score), name)  # [windows, source]
    longest = trained.lengths["targets"]
    length = longest if words is None else min(words, longest)
    # Where the targets of training end where an example was cut, and not the music, answers fill the room they have.
    form = answer_formats.Music(
        trained.vocabulary,
        task.encoding,
        complete=not task.begins,
        begins=task.begins,
        fill=not task.ends,
        programs=programs if promised is None else None,
        promised=promised,
    )
    written = decoding.generate(
        trained.model,
        tokens,
        max_length=length,
        key=key,
        grammar=(form, form.start(tokens, length, prompts=task.before(score), bounds=rows)),
        prefix=_prefix(trained, task, score, length),
        **sampling,
    )  # [windows, length]
    answers = [trained.vocabulary.decode_events(task.encoding, row) for row in np.asarray(written)]
    return answers if promised is None else [promised.without_closing(events) for events in answers]


def _prefix(trained: TrainedModel, task: Composes, score: Score, length: int) -> NDArray[np.int32] | None:
    """The ids that are given of the answers, int32 [windows, at most length], 0 where the model decides."""
    given = task.given(score)
    if given is None:
        return None
    prefix = np.zeros((len(given), min(length, max(map(len, given)))), np.int32)
    ids = trained.vocabulary.event_ids(task.encoding)
    for row, events in zip(prefix, given, strict=True):
        events = events[: len(row)]
        row[: len(events)] = np.where(events < 0, 0, ids[events])
    return prefix
