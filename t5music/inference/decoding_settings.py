"""Decoding settings: what a model reads of a question, and in which form it writes the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from t5music.data import answer_formats
from t5music.data.examples import Accompany, Composes
from t5music.errors import ConfigError
from t5music.inference.trained_model import TrainedModel, encode_prompts
from t5music.music import encodings
from t5music.music.score import Score

SAMPLING = ("words", "temperature", "top_k", "top_p")  # what a person may set of `decoding_settings`
TEMPERATURE, TOP_P = 0.9, 0.95
# Bars that begin in a row before the next note begins: one may be empty. Of 3,766 bars with notes in continuations of
# the test sets of `commons`, 41 come after one empty bar and 6 after more.
MOST_SILENT = 2


def decoding_settings(
    trained: TrainedModel,
    task: Composes,
    score: Score,
    name: str,
    *,
    words: int | None = None,
    temperature: float = TEMPERATURE,
    top_k: int = 0,
    top_p: float = TOP_P,
    key: jax.Array,
    programs: tuple[int, ...] | None = None,
    promised: encodings.Promised | None = None,
    bounds: Sequence[Any] = (),
) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Returns a question's prompts, int32 [windows, source], and what `decoding.generate` takes beside them.

    Args:
        trained: the model.
        task: one of its tasks.
        score: the music.
        name: the music's name in errors.
        words: length of the answer (of each window's), at most that of training; that of training if None.
        temperature: see `decoding.generate`, as for top_k and top_p.
        top_k: likewise.
        top_p: likewise.
        key: of what is drawn.
        programs: that the answer's notes may have, DRUMS for percussion; None for all. It binds encodings that say
            programs.
        promised: the grammar of what else the answer is bound to; None where it is bound to nothing else.
        bounds: what it is bound to, for each window.

    Raises:
        ConfigError: a setting that cannot be.
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    if words is not None and words < 1:
        raise ConfigError(f"words must be at least 1, not {words}")
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
        needs_note=promised is None and task.given(score) is None,
        promised=promised,
    )
    most_silent = answer_formats.UNBOUNDED if promised is not None else _most_silent(task, score)
    return tokens, {
        "max_length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "key": key,
        "grammar": (
            form,
            form.start(tokens, length, prompts=task.before(score), bounds=bounds, most_silent=most_silent),
        ),
        "prefix": _prefix(trained, task, score, length),
    }


def _most_silent(task: Composes, score: Score) -> list[int] | int:
    """How many bars of each answer may begin in a row before the next note begins.

    Silence is likelier after silence, and a small model that has written some empty bars may write nothing else: it
    then says a single note where its room ends. Music that is to fill some bars has a note in them; what accompanies
    may rest for all but one.
    """
    windows = task.windows(score)
    if windows is None:
        return MOST_SILENT
    return [len(bars) if isinstance(task, Accompany) else min(len(bars), MOST_SILENT) for _, bars in windows]


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
