"""Answering: a trained model writes an answer to a task's prompts. No TensorFlow, no seqio."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from t5music.data import answer_formats
from t5music.data.examples import Answer, Composes
from t5music.errors import ConfigError
from t5music.inference import bounds
from t5music.inference.promises import NOTHING, Promises
from t5music.inference.trained_model import TrainedModel, encode_prompts
from t5music.model import decoding
from t5music.music.score import Score


def answer(trained: TrainedModel, task: Composes, score: Score, name: str, *, seed: int = 0, **settings: Any) -> Answer:
    """Returns the music of a score and of the model's answer to it.

    Args:
        trained: the model.
        task: one of its tasks.
        score: the music.
        name: the music's name in errors.
        seed: of what is drawn.
        settings: see `decoding_settings`.

    Raises:
        ConfigError: a setting that cannot be.
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    tokens, settings = decoding_settings(trained, task, score, name, seed=seed, **settings)
    written = decoding.generate(trained.model, tokens, **settings)  # [windows, length]
    return answer_of(task, score, settings["grammar"][0], np.asarray(written))


def answer_of(task: Composes, score: Score, form: answer_formats.Music, written: NDArray[np.int32]) -> Answer:
    """The music of a score and of what was written for it in a form, int32 [windows, length]."""
    answers = [form.vocabulary.decode_events(task.encoding, row) for row in written]
    if form.promised is not None:
        answers = [form.promised.without_closing(events) for events in answers]
    return task.music(score, answers)


def decoding_settings(
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
) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Returns a question's prompts, int32 [windows, source], and what `decoding.generate` takes beside them.

    Args:
        trained: the model.
        task: as of `answer`, as score and name.
        score: likewise.
        name: likewise.
        words: length of the answer (of each window's), at most that of training; that of training if None.
        temperature: see `decoding.generate`, as for top_k and top_p.
        top_k: likewise.
        top_p: likewise.
        seed: of what is drawn.
        programs: that the answer's notes may have, DRUMS for percussion; None for all. It binds encodings that say
            programs.
        promises: what the answer's notes are bound to beside their programs.

    Raises:
        ConfigError: a setting that cannot be, or promises that cannot be kept.
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    if words is not None and words < 1:
        raise ConfigError(f"words must be at least 1, not {words}")
    tokens = encode_prompts(trained, task.prompts(score), name)  # [windows, source]
    longest = trained.lengths["targets"]
    length = longest if words is None else min(words, longest)
    promised, rows = None, None
    if set(promises.names) - {"instruments"}:
        promised, rows = bounds.of_answers(promises, task, score, programs)
    # Where the targets of training end where an example was cut, and not the music, answers fill the room they have.
    form = answer_formats.Music(
        trained.vocabulary,
        task.encoding,
        complete=not task.begins,
        begins=task.begins,
        fill=not task.ends,
        programs=programs,
        promised=promised,
    )
    return tokens, {
        "max_length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "key": jax.random.key(seed),
        "grammar": (form, form.start(tokens, length, prompts=task.before(score), bounds=rows)),
        "prefix": _prefix(trained, task, score, length),
    }


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
