"""Requests: which task fits somebody's music, how much of it the model can read, which instruments may answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from t5music.data.examples import Accompany, Composes, Continue, Harmonise
from t5music.errors import ConfigError, MidiError
from t5music.inference.trained_model import TrainedModel, choose_task
from t5music.music import encodings
from t5music.music.instruments import programs_named
from t5music.music.score import Score

# What says how much of the music a prompt shows, and the least that is tried.
SIZES = {"bars": 1, "context": 1, "words": 2 * encodings.base.MIN_SEGMENT}


def choose(
    trained: TrainedModel,
    name: str | None,
    model_dir: str | Path,
    score: Score | None,
    *,
    region: tuple[float, float] | None = None,
    caption: str | None = None,
) -> Composes:
    """Returns the task called `name`, or the one that fits the music, with what a person adds to it.

    What fits: a task that fills a gap where there is a region, one that composes by a description where there is a
    caption, one that needs no music where there is none; and of several the first whose prompt can be made of the
    music, a continuation before others.

    Raises:
        ConfigError: no task of that name, or none that goes with these arguments.
        MidiError: music of which no task can make a prompt.
    """
    request = {key: value for key, value in (("region", region), ("caption", caption)) if value is not None}
    if name is not None:
        task = choose_task(trained, name, Composes, model_dir)
        for key in request:
            if not hasattr(task, key):
                raise ConfigError(f"--{key} does not go with {task.kind}")
        if task.needs_music and score is None:
            raise ConfigError(f"{task.kind} needs a MIDI file")
        return dataclasses.replace(task, **request)
    choose_task(trained, None, Composes, model_dir)  # where there is none at all, this says so
    tasks = [task for task in trained.tasks.values() if isinstance(task, Composes)]
    kinds = ", ".join(dict.fromkeys(task.kind for task in tasks))
    for key in request:
        tasks = [task for task in tasks if hasattr(task, key)]
        if not tasks:
            raise ConfigError(f"--{key} does not go with any of this model's tasks ({kinds})")
    if score is None:
        tasks = [task for task in tasks if not task.needs_music]
        if not tasks:
            raise ConfigError(f"this model's tasks need a MIDI file ({kinds})")
        return dataclasses.replace(tasks[0], **request)  # type: ignore[type-var]
    tasks.sort(key=lambda task: (not task.needs_music, not isinstance(task, Continue)))
    errors = []
    for task in tasks:
        task = dataclasses.replace(task, **request)  # type: ignore[type-var]
        try:
            task.prompts(score)
        except MidiError as error:
            errors.append(error)
        else:
            return task
    raise errors[0]


def fitted(trained: TrainedModel, task: Composes, score: Score, name: str) -> tuple[Composes, list[str]]:
    """Returns the task with prompts that the model can read whole, and what must be said about that.

    A continuation's prompt loses its beginning, the surroundings of a gap become shorter, windows hold fewer bars.

    Raises:
        MidiError: music of which even the shortest prompt is too long.
    """
    room = trained.lengths["inputs"] - 1

    def longest(task: Composes) -> int:
        return max(len(trained.vocabulary.encode(prompt)) for prompt in task.prompts(score))

    if isinstance(task, Harmonise):  # whose answers are as long as their windows
        task = dataclasses.replace(task, words=min(task.words, trained.lengths["targets"] - 1))
    tokens = longest(task)
    size_name = next((size for size in SIZES if hasattr(task, size)), None)
    while tokens > room and size_name is not None:
        size = getattr(task, size_name)
        size = tokens if size is None else size
        if size <= SIZES[size_name]:
            break
        size = max(SIZES[size_name], min(size - 1, size * room // tokens))
        task = dataclasses.replace(task, **{size_name: size})  # type: ignore[type-var]
        tokens = longest(task)
    if tokens > room:
        raise MidiError(
            f"{name}: its shortest prompt has {tokens} tokens, and the model reads {room} at most: give it less music, "
            "or music with fewer notes a bar"
        )
    remarks = []
    if isinstance(task, Continue):
        seconds, whole = task.prompt_seconds(score)
        if whole > seconds:
            remarks.append(f"{name}: the model reads the last {seconds:.1f} of its {whole:.1f} s")
    elif isinstance(task, Accompany):
        windows = len(task.prompts(score))
        if windows > 1:
            remarks.append(f"{name}: accompanied in {windows} windows of up to {task.bars} bars")
    return task, remarks


def programs(instruments: Sequence[str] | None, task: Composes, score: Score) -> tuple[int, ...] | None:
    """The programs that new notes may have (DRUMS for percussion); None for all.

    Those of `instruments` (names or numbers), or else those of the music. Music of a single part may be accompanied by
    any instrument.

    Raises:
        ConfigError: an instrument that does not exist.
    """
    if instruments is not None:
        return tuple(sorted({program for name in instruments for program in programs_named(name)}))
    parts = np.unique(score.notes[["track", "program"]])
    if not task.needs_music or not len(parts) or (isinstance(task, Accompany) and len(parts) == 1):
        return None
    return tuple(sorted(set(parts["program"].tolist())))
