"""Requests: which task fits somebody's music, how much of it the model can read, which instruments may answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from t5music.corpora.base import Piece
from t5music.data.examples import Accompany, Composes, Continue, Harmonise
from t5music.data.examples.classification import evenly
from t5music.errors import ConfigError, MidiError, nearest
from t5music.inference.trained_model import PROMPT_MULTIPLE, TrainedModel, choose_task, encode_prompts, label_ids
from t5music.model import decoding
from t5music.music import encodings
from t5music.music.score import Score

# Of the music whose style is to be known: this many places, evenly spaced, and the words before and after each.
PLACES, STYLE_WORDS = 6, 120
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
    style: str | None = None,
) -> tuple[Composes, list[str]]:
    """Returns the task that fits the music, with what a person adds to it, and what must be said about that.

    What fits: a task that fills a gap where there is a region, one that composes by a description where there is a
    caption, one that needs no music where there is none; and of several the first whose prompt can be made of the
    music, a continuation before others. Of tasks of several styles, the one of the style in which the model finds the
    music itself likeliest.

    Args:
        trained: the model.
        name: of a task, or its kind; None for any.
        model_dir: what the model is called in errors.
        score: the music; None for none.
        region: (begin, end) in seconds of a gap.
        caption: a description of music.
        style: one of those of the model's tasks.

    Raises:
        ConfigError: no task of that name, or none that goes with these arguments.
        MidiError: music of which no task can make a prompt.
    """
    additions = {key: value for key, value in (("region", region), ("caption", caption)) if value is not None}
    tasks = _of_style(_candidates(trained, name, model_dir, score, list(additions)), style)
    if score is None:
        return dataclasses.replace(tasks[0], **additions), []  # type: ignore[type-var]
    styles = _styles(tasks)
    likeliest = _likeliest_style(trained, styles, score)
    tasks.sort(
        key=lambda task: (
            not task.needs_music,
            not isinstance(task, Continue),
            likeliest not in (None, getattr(task, "style", None)),
        )
    )
    errors = []
    for task in tasks:
        task = dataclasses.replace(task, **additions)  # type: ignore[type-var]
        try:
            task.prompts(score)
        except MidiError as error:
            errors.append(error)
            continue
        if likeliest is None or getattr(task, "style", None) != likeliest:
            return task, []
        others = ", ".join(other for other in styles if other != likeliest)
        return task, [f"taken for {likeliest}; --style chooses another style: {others}"]
    raise errors[0]


def _candidates(
    trained: TrainedModel, name: str | None, model_dir: str | Path, score: Score | None, additions: Sequence[str]
) -> list[Composes]:
    """The model's tasks of this name or kind that take these additions and, without music, need none.

    Raises ConfigError where there is none; it says what is in the way.
    """
    first = choose_task(trained, name, Composes, model_dir)  # where there is none at all, this says so
    tasks: list[Composes] = [task for task in trained.tasks.values() if isinstance(task, Composes)]
    if name is not None:
        tasks = [first] if name in trained.tasks else [task for task in tasks if task.kind == first.kind]
    kinds = ", ".join(dict.fromkeys(task.kind for task in tasks))
    for key in additions:
        tasks = [task for task in tasks if hasattr(task, key)]
        if not tasks:
            whose = first.kind if name is not None else f"any of this model's tasks ({kinds})"
            raise ConfigError(f"--{key} does not go with {whose}")
    if score is None:
        tasks = [task for task in tasks if not task.needs_music]
        if not tasks:
            need = f"{first.kind} needs" if name is not None else f"this model's tasks ({kinds}) need"
            raise ConfigError(f"{need} a MIDI file")
    return tasks


def _styles(tasks: Sequence[Composes]) -> list[str]:
    """The styles of tasks, each once."""
    return list(dict.fromkeys(task.style for task in tasks if hasattr(task, "style")))


def _of_style(tasks: list[Composes], style: str | None) -> list[Composes]:
    """The tasks of a style, all of them for None. Raises ConfigError where there is none."""
    styles = _styles(tasks)
    if style is not None and style not in styles:
        raise ConfigError(f"--style {style}: not one of {', '.join(styles) or 'any'}{nearest(style, styles)}")
    return [task for task in tasks if style in (None, getattr(task, "style", None))]


def _likeliest_style(trained: TrainedModel, styles: Sequence[str], score: Score) -> str | None:
    """Which of these styles explains best how the music goes on; None where the model continues fewer than two of them.

    Of PLACES in the music, what comes next is scored as a continuation in each style.
    """
    tasks = {task.style: task for task in trained.tasks.values() if isinstance(task, Continue) and task.style in styles}
    if len(tasks) < 2 or len({task.encoding for task in tasks.values()}) > 1:
        return None
    words = min(STYLE_WORDS, *(task.words for task in tasks.values()))
    piece = Piece("", score)
    examples = {
        style: list(evenly(list(dataclasses.replace(task, words=words).examples(piece)), PLACES))
        for style, task in tasks.items()
    }
    targets = [example.targets for example in next(iter(examples.values()))]
    if not targets:
        return None
    answers = label_ids(trained.vocabulary, targets)
    answers = np.pad(answers, ((0, 0), (0, -answers.shape[1] % PROMPT_MULTIPLE)))  # few lengths are compiled
    prompts = [each[place].inputs for place in range(len(targets)) for each in examples.values()]
    rows = encode_prompts(trained, prompts, "the music", trim=True).reshape(len(targets), len(tasks), -1)
    likelihoods = [
        np.asarray(decoding.score(trained.model, prompts_here, answer[None]))[:, 0]  # [styles]
        for prompts_here, answer in zip(rows, answers, strict=True)
    ]
    return list(tasks)[int(np.sum(likelihoods, axis=0).argmax())]


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


def programs(instruments: tuple[int, ...], task: Composes, score: Score) -> tuple[int, ...] | None:
    """The programs that new notes may have (DRUMS for percussion); None for all.

    Those of `instruments`, or else those of the music. Music of a single part may be accompanied by any instrument.
    """
    if instruments:
        return instruments
    parts = np.unique(score.notes[["track", "program"]])
    if not task.needs_music or not len(parts) or (isinstance(task, Accompany) and len(parts) == 1):
        return None
    return tuple(sorted(set(parts["program"].tolist())))
