"""Decoding settings: what a model reads of a question, and in which form it writes the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from t5music.data import answer_formats
from t5music.data.examples import Accompany, Composes
from t5music.errors import ConfigError
from t5music.inference import sampling_settings
from t5music.inference.sampling_settings import Sampling
from t5music.inference.trained_model import TrainedModel, encode_prompts
from t5music.model.pattern_penalty import REMEMBERED, PatternPenalty
from t5music.music import encodings
from t5music.music.encodings.base import Events
from t5music.music.score import Score

# Bars that begin in a row before the next note begins: one may be empty. Of 3,766 bars with notes in continuations of
# the test sets of `commons`, 41 come after one empty bar and 6 after more.
MOST_SILENT = 2


def decoding_settings(
    trained: TrainedModel,
    task: Composes,
    score: Score,
    name: str,
    *,
    key: jax.Array,
    programs: tuple[int, ...] | None = None,
    promised: encodings.Promised | None = None,
    bounds: Sequence[Any] = (),
    begin: Events | None = None,
    **sampling: Any,
) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Returns a question's prompts, int32 [windows, source], and what `decoding.generate` takes beside them.

    Args:
        trained: the model.
        task: one of its tasks.
        score: the music.
        name: the music's name in errors.
        key: of what is drawn.
        programs: that the answer's notes may have, DRUMS for percussion; None for all. It binds encodings that say
            programs.
        promised: the grammar of what else the answer is bound to; None where it is bound to nothing else.
        bounds: what it is bound to, for each window.
        begin: events that each answer begins with; None for those that the task gives.
        sampling: how words are chosen, by the names of `sampling_settings.SETTINGS`. `words` is the length of the
            answer, of each window's, at most that of training.

    Raises:
        ConfigError: a setting that cannot be, or guidance of a task without a style.
        MidiError: music that gives nothing to ask, or more than the model was trained for.
    """
    chosen = sampling_settings.checked(sampling)
    tokens = encode_prompts(trained, task.prompts(score), name)  # [windows, source]
    longest = trained.lengths["targets"]
    length = longest if chosen.words is None else min(int(chosen.words), longest)
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
        "temperature": chosen.temperature,
        "top_k": int(chosen.top_k),
        "top_p": chosen.top_p,
        "min_p": chosen.min_p,
        "key": key,
        "beams": int(chosen.beams),
        "length_penalty": chosen.length_penalty,
        "guidance": _guidance(trained, task, score, name, chosen),
        "patterns": _patterns(trained, task, score, chosen),
        "grammar": (
            form,
            form.start(tokens, length, prompts=task.before(score), bounds=bounds, most_silent=most_silent),
        ),
        "prefix": _prefix(trained, task, task.given(score) if begin is None else [begin] * len(tokens), length),
    }


def _guidance(
    trained: TrainedModel, task: Composes, score: Score, name: str, chosen: Sampling
) -> tuple[NDArray[np.int32], float] | None:
    """The prompts without their style, int32 [windows, source], and the scale; None where nothing guides."""
    if chosen.guidance == 1:
        return None
    if not getattr(task, "style", ""):
        raise ConfigError(f"--guidance does not go with {task.kind}: its prompt names no style that could be followed")
    neutral: Composes = dataclasses.replace(task, style="")  # type: ignore[type-var]
    return encode_prompts(trained, neutral.prompts(score), name), chosen.guidance


def _patterns(trained: TrainedModel, task: Composes, score: Score, chosen: Sampling) -> PatternPenalty | None:
    """What is penalised: patterns of the music before and of the answer; None where nothing is."""
    if chosen.repetition_penalty == 0:
        return None
    ids = trained.vocabulary.event_ids(task.encoding)
    before = task.before(score)
    return PatternPenalty(
        chosen.repetition_penalty,
        int(chosen.repeats),
        int(chosen.pattern),
        trained.vocabulary.is_note,
        None if before is None else [ids[events[-REMEMBERED:]] for events in before],
    )


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


def _prefix(
    trained: TrainedModel, task: Composes, begins: Sequence[Events] | None, length: int
) -> NDArray[np.int32] | None:
    """The ids that answers begin with, int32 [windows, at most length], 0 where the model decides; None for none.

    Args:
        trained: the model.
        task: whose words they are.
        begins: of each answer, as `Composes.given` has them.
        length: of an answer.
    """
    if begins is None:
        return None
    prefix = np.zeros((len(begins), min(length, max(map(len, begins)))), np.int32)
    ids = trained.vocabulary.event_ids(task.encoding)
    for row, events in zip(prefix, begins, strict=True):
        events = events[: len(row)]
        row[: len(events)] = np.where(events < 0, 0, ids[events])
    return prefix
