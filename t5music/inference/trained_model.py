"""Trained models: a model loaded with its tasks, a task chosen by name, prompts encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.data import examples, vocabulary
from t5music.data.examples import Classify, Composes, Examples, LabelNotes
from t5music.data.vocabulary import Vocabulary
from t5music.errors import CheckpointError, ConfigError, DataError, MidiError, nearest
from t5music.inference.model_folder import ModelFolder, open_model
from t5music.model import network, parameters
from t5music.music import encodings
from t5music.training.checkpoints import selection
from t5music.training.checkpoints.metadata import MAX_LENGTH

# Prompts are padded to a multiple of this, so that few lengths are compiled.
PROMPT_MULTIPLE = 64

_PURPOSES = {Classify: "classify", LabelNotes: "label notes", Composes: "write music"}


@dataclass(frozen=True)
class TrainedModel:
    """A model with its weights, and what it can be asked.

    Attributes:
        model: in the form that decodes fastest.
        vocabulary: the one it was trained with.
        tasks: task name -> what that task asks.
        lengths: the feature lengths it was trained with, {"inputs": n, "targets": n}.
        step: of its run.
        programs: of the instruments that it has learned; None where that is not known.
    """

    model: network.T5
    vocabulary: Vocabulary
    tasks: Mapping[str, Examples]
    lengths: Mapping[str, int]
    step: int | None = None
    programs: tuple[int, ...] | None = None


def load(model_dir: str | Path, checkpoint: str | int = selection.LATEST) -> TrainedModel:
    """Loads the model of a run ("latest", "best" or a step), or of a folder that `t5music export` wrote.

    Raises CheckpointError for a missing or damaged one, or one of another vocabulary.
    """
    vocab = vocabulary.default()
    return of_folder(open_model(model_dir, vocab, checkpoint), vocab)


def of_folder(folder: ModelFolder, vocab: Vocabulary) -> TrainedModel:
    """Loads the model of a folder that is open.

    Raises CheckpointError for tasks or lengths that are not there or make no sense, and for damaged weights.
    """
    metadata = folder.metadata
    tasks = {name: _task(name, task, folder) for name, task in metadata.tasks.items() if task is not None}
    if not {"inputs", "targets"} <= metadata.feature_lengths.keys():
        raise CheckpointError(
            f"{folder.folder} does not say the lengths of inputs and targets: it was not trained on tasks"
        )
    model = nnx.merge(parameters.abstract(folder.config)[0], folder.params())
    return TrainedModel(model, vocab, tasks, metadata.feature_lengths, folder.step, metadata.programs)


def _task(name: str, fields: Mapping[str, Any], folder: ModelFolder) -> Examples:
    """Returns what a task asks. Raises CheckpointError for one of no kind, encoding or size that there can be."""
    try:
        task = examples.from_config(fields)
        encodings.get(task.encoding)
        for field, value in fields.items():
            if type(value) is int and not 1 <= value <= MAX_LENGTH:
                raise ConfigError(f"{field} must be from 1 to {MAX_LENGTH:,}, not {value:,}")
    except (ConfigError, DataError) as error:
        raise CheckpointError(f"{folder.folder} has a task that cannot be used, {name}: {error}") from error
    return task


def choose_task(trained: TrainedModel, name: str | None, kind: type, model_dir: str | Path) -> Any:
    """Returns the task called `name`, or the first of the model's tasks of a kind.

    Args:
        trained: the model.
        name: a task's full name, its kind ('continue', 'accompany', 'classify') or its label ('composer', 'key',
            'melody'); None for the first task that fits.
        kind: Classify, LabelNotes or Composes.
        model_dir: what the model is called in errors.

    Raises:
        ConfigError: a task the model was not trained on, or that does not fit the verb.
    """
    fitting = {name: task for name, task in trained.tasks.items() if isinstance(task, kind)}
    if not fitting:
        names = ", ".join(trained.tasks) or "none"
        raise ConfigError(f"{model_dir} was not trained on a task to {_PURPOSES[kind]} (its tasks: {names})")
    if name is None or name in fitting:
        return fitting[name or next(iter(fitting))]
    labels = {name: getattr(task, "label", "") for name, task in fitting.items()}
    for full_name, task in fitting.items():
        if name in (task.kind, labels[full_name]):
            return task
    names = ", ".join(f"{name} ({label})" if label else name for name, label in labels.items())
    guess = nearest(name, [*fitting, *filter(None, labels.values())])
    raise ConfigError(f"--task {name}: not one of this model's tasks to {_PURPOSES[kind]} ({names}){guess}")


def encode_prompts(
    trained: TrainedModel, prompts: Sequence[str], name: str, *, trim: bool = False
) -> NDArray[np.int32]:
    """Returns prompts as int32 [prompts, length], each with EOS, padded to a common multiple of PROMPT_MULTIPLE.

    Args:
        trained: the model.
        prompts: in words.
        name: what the music is called in errors.
        trim: cut a prompt that is longer than the model was trained for, as training does.

    Raises:
        MidiError: without `trim`, a prompt that is too long.
    """
    room = trained.lengths["inputs"] - 1
    ids = [trained.vocabulary.encode(prompt) for prompt in prompts]
    longest = max(map(len, ids))
    if longest > room and not trim:
        raise MidiError(
            f"{name}: its prompt has {longest} tokens and the model was trained with {room}: "
            "give it less music, or music with fewer notes a bar"
        )
    rows = [np.append(prompt[:room], np.int32(vocabulary.EOS_ID)) for prompt in ids]
    width = -(-max(map(len, rows)) // PROMPT_MULTIPLE) * PROMPT_MULTIPLE
    return np.stack([np.pad(row, (0, width - len(row))) for row in rows]).astype(np.int32)


def label_ids(vocab: Vocabulary, labels: Sequence[str]) -> NDArray[np.int32]:
    """Returns a label set as int32 [labels, longest], each with EOS, padded."""
    rows = [np.append(vocab.encode(label), np.int32(vocabulary.EOS_ID)) for label in labels]
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row))) for row in rows]).astype(np.int32)
