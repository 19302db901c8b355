"""A trained model for one's own MIDI files, and `t5music generate`: music by it. No TensorFlow, no seqio.

What a model says about music is asked in `labelling` (labels) and `embedding` (vectors).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from t5music import exchange
from t5music.data import answers, examples, vocabulary
from t5music.data.examples import Answer, Classify, Composes, Examples, LabelNotes
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError, MidiError, nearest
from t5music.model import decoding, network, parameters
from t5music.model.config import T5Config
from t5music.music import midi, pianoroll
from t5music.music.score import NOTE, Score
from t5music.training import checkpoints, selection

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
    exported = exchange.is_folder(model_dir)
    if checkpoint != selection.LATEST:
        model_dir = selection.step_folder(model_dir, checkpoint)
    metadata = exchange.read_metadata(model_dir) if exported else checkpoints.read_metadata(model_dir)
    config = T5Config.from_dict(metadata["config"])
    params: Any
    if exported:
        params = exchange.load_params(model_dir, config, vocab)
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


def answer(
    trained: TrainedModel,
    asked: Composes,
    score: Score,
    name: str,
    *,
    words: int | None = None,
    temperature: float = 0.9,
    top_k: int = 0,
    top_p: float = 0.95,
    seed: int = 0,
) -> Answer:
    """Music of a score and the model's answer to it.

    Args:
      trained: the model.
      asked: one of its tasks.
      score: the music.
      name: the music's name in errors.
      words: length of the answer (of each window's); as long as the model was trained for if None.
      temperature, top_k, top_p, seed: see `decoding.generate`.
    """
    tokens = encode_prompts(trained, asked.prompts(score), name)
    length = min(words or trained.lengths["targets"], trained.lengths["targets"])
    # Where the targets of training end where an example was cut, and not the music, answers fill the room they have.
    form = answers.Music(
        trained.vocabulary, asked.encoding, complete=not asked.begins, begins=asked.begins, fill=not asked.ends
    )
    written = decoding.generate(
        trained.model,
        tokens,
        max_length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        key=jax.random.key(seed),
        grammar=(form, form.start(tokens, length, prompts=asked.before(score))),
    )
    return asked.music(score, [trained.vocabulary.decode_events(asked.encoding, row) for row in np.asarray(written)])


def generate(
    file: str | None,
    model_dir: str,
    *,
    task: str | None = None,
    output: str | None = None,
    region: tuple[float, float] | None = None,
    caption: str | None = None,
    checkpoint: str = selection.LATEST,
    **sampling: Any,
) -> Path:
    """`t5music generate`: writes the music as MIDI and, beside it, as a piano roll; returns the MIDI file's path.

    Args:
      file: the MIDI file; None for tasks that need none.
      model_dir: the run whose model is used.
      task: one of the model's tasks, or its kind; the first that makes music if None.
      output: the MIDI file to write; named after `file` and the task if None.
      region: (begin, end) in seconds, for tasks that fill a gap.
      caption: for tasks that compose by a description.
      checkpoint: of the run: "latest", "best" or a step.
      sampling: see `answer`.

    Raises:
      ConfigError: a task the model was not trained on, or that does not go with these arguments.
      MidiError: a file that cannot be read, or that gives nothing to ask.
    """
    score = midi.read(file) if file is not None else Score(480, np.empty(0, NOTE))
    trained = load(model_dir, checkpoint)
    asked = _asked(choose_task(trained, task, Composes, model_dir), region, caption)
    if asked.needs_music and file is None:
        raise ConfigError(f"{asked.kind} needs a MIDI file")
    name = Path(file).stem if file is not None and asked.needs_music else "music"
    path = output_path(output or f"{name}_{asked.kind}.mid", file)
    made = answer(trained, asked, score, file or asked.kind, **sampling)
    midi.write(made.score, path)
    picture = path.with_suffix(".png")
    title = f"{name}: {asked.kind}"
    if made.cut is not None:
        pianoroll.draw(made.score, picture, prompt_seconds=made.cut, title=title)
    else:
        pianoroll.draw(made.score, picture, prompt_notes=made.prompt.notes, title=title)
    added = len(made.score.notes) - len(made.prompt.notes)
    print(f"{path}: {added} new notes after {len(made.prompt.notes)} given ones ({made.repairs} words mended)")
    print(f"{picture}: piano roll")
    return path


def _asked(asked: Any, region: tuple[float, float] | None, caption: str | None) -> Any:
    """The task with what a person adds to it."""
    for name, value in (("region", region), ("caption", caption)):
        if value is None:
            continue
        if not hasattr(asked, name):
            raise ConfigError(f"--{name} does not go with {asked.kind}")
        asked = dataclasses.replace(asked, **{name: value})
    return asked


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
