"""A trained model: loaded with its tasks, its prompts encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from t5music.data import examples, vocabulary
from t5music.data.examples import Classify, Composes, Examples, LabelNotes
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError, MidiError, nearest
from t5music.inference import hf_folder
from t5music.model import network, parameters
from t5music.model.config import T5Config
from t5music.training.checkpoints import checkpoint as checkpoints
from t5music.training.checkpoints import selection

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
      lengths: the feature lengths it was trained with.
      step: of its run.
    """

    model: network.T5
    vocabulary: Vocabulary
    tasks: dict[str, Examples]
    lengths: dict[str, int]
    step: int | None = None


def load(model_dir: str | Path, checkpoint: str = selection.LATEST) -> TrainedModel:
    """Loads the model of a run ("latest", "best" or a step), or of a folder that `t5music export` wrote.

    Raises CheckpointError for a missing one, or one of another vocabulary.
    """
    vocab = vocabulary.default()
    exported = hf_folder.is_folder(model_dir)
    if checkpoint != selection.LATEST:
        model_dir = selection.step_folder(model_dir, checkpoint)
    metadata = hf_folder.read_metadata(model_dir) if exported else checkpoints.read_metadata(model_dir)
    config = T5Config.from_dict(metadata["config"])
    params: Any
    if exported:
        params = hf_folder.load_params(model_dir, config, vocab)
    else:
        params = checkpoints.load_params(model_dir, config, fingerprint=vocab.fingerprint)
    model = nnx.merge(parameters.abstract(config)[0], params)
    tasks = {name: examples.from_config(asked) for name, asked in metadata["tasks"].items()}
    return TrainedModel(model, vocab, tasks, dict(metadata["feature_lengths"]), metadata.get("step"))


def choose_task(trained: TrainedModel, name: str | None, kind: type, model_dir: str | Path) -> Any:
    """The task called `name`, or the first of the model's tasks of that kind (Classify, LabelNotes or Composes).

    `name` may be a task's full name, its kind ('continue', 'accompany', 'classify') or its label ('composer', 'key',
    'melody'). Raises ConfigError for a task the model was not trained on, or that does not fit the verb.
    """
    fitting = {task: asked for task, asked in trained.tasks.items() if isinstance(asked, kind)}
    if not fitting:
        known = ", ".join(trained.tasks) or "none"
        raise ConfigError(f"{model_dir} was not trained on a task to {_PURPOSES[kind]} (its tasks: {known})")
    if name is None or name in fitting:
        return fitting[name or next(iter(fitting))]
    labels = {task: getattr(asked, "label", "") for task, asked in fitting.items()}
    for task, asked in fitting.items():
        if name in (asked.kind, labels[task]):
            return asked
    known = ", ".join(f"{task} ({label})" if label else task for task, label in labels.items())
    guess = nearest(name, [*fitting, *filter(None, labels.values())])
    raise ConfigError(f"--task {name}: not one of this model's tasks to {_PURPOSES[kind]} ({known}){guess}")


def encode_prompts(trained: TrainedModel, prompts: Sequence[str], name: str, *, trim: bool = False) -> np.ndarray:
    """Prompts as int32 [prompts, length], each with EOS, padded to a common multiple of PROMPT_MULTIPLE.

    A prompt longer than the model was trained for loses its end, as in training, with `trim`; without, it raises
    MidiError that names the file.
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


def output_path(output: str, file: str | None) -> Path:
    """The MIDI file to write. Raises ConfigError where that is the one which was read."""
    path = Path(output)
    if file is not None and path.resolve() == Path(file).resolve():
        raise ConfigError(f"--output {path} is the prompt itself: choose another name")
    return path


def label_ids(vocab: Vocabulary, labels: Sequence[str]) -> np.ndarray:
    """A label set as int32 [labels, longest], each with EOS, padded."""
    rows = [np.append(vocab.encode(label), np.int32(vocabulary.EOS_ID)) for label in labels]
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row))) for row in rows]).astype(np.int32)
