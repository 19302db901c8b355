"""`t5music generate` and `t5music classify`: a trained model on one's own MIDI files. No TensorFlow, no seqio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from t5music.data import examples, vocabulary
from t5music.data.examples import Accompany, Answer, Classify, Continue, Examples
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError, MidiError, nearest
from t5music.model import decoding, network, parameters
from t5music.model.config import T5Config
from t5music.music import midi, pianoroll
from t5music.music.score import Score
from t5music.training import checkpoints

# Prompts are padded to a multiple of this, so that few lengths are compiled.
PROMPT_MULTIPLE = 64


@dataclass(frozen=True)
class TrainedModel:
    """A model with its weights, and what it can be asked.

    Attributes:
      model: in the form that decodes fastest.
      vocabulary: the one it was trained with.
      tasks: task name -> what that task asks.
      lengths: the feature lengths it was trained with.
    """

    model: network.T5
    vocabulary: Vocabulary
    tasks: dict[str, Examples]
    lengths: dict[str, int]


def load(model_dir: str | Path) -> TrainedModel:
    """Loads the model of a run. Raises CheckpointError for a missing one, or one of another vocabulary."""
    metadata = checkpoints.read_metadata(model_dir)
    vocab = vocabulary.default()
    config = T5Config.from_dict(metadata["config"])
    params = checkpoints.load_params(model_dir, config, fingerprint=vocab.fingerprint)
    model = nnx.merge(parameters.abstract(config)[0], params)
    tasks = {name: examples.from_config(asked) for name, asked in metadata["tasks"].items()}
    return TrainedModel(model, vocab, tasks, dict(metadata["feature_lengths"]))


def choose_task(
    trained: TrainedModel, name: str | None, kinds: tuple[type[Examples], ...], model_dir: str | Path
) -> Any:
    """The task called `name`, or the first of the model's tasks of the first kind that it has any of.

    `name` may be a task's full name or its kind ('continue', 'accompany', 'classify'). Raises ConfigError for a task
    the model was not trained on, or that does not fit the verb.
    """
    fitting = {task: asked for kind in kinds for task, asked in trained.tasks.items() if isinstance(asked, kind)}
    wanted = "".join(kind.kind + "|" for kind in kinds).rstrip("|")
    if not fitting:
        known = ", ".join(trained.tasks) or "none"
        raise ConfigError(f"{model_dir} was not trained on a task to {wanted} (its tasks: {known})")
    if name is None:
        return next(iter(fitting.values()))
    for task, asked in fitting.items():
        if name in (task, asked.kind):
            return asked
    raise ConfigError(f"--task {name}: not one of this model's tasks ({', '.join(fitting)}){nearest(name, fitting)}")


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
    asked: Continue | Accompany,
    score: Score,
    name: str,
    *,
    words: int | None = None,
    temperature: float = 0.9,
    top_k: int = 0,
    top_p: float = 0.95,
    seed: int = 0,
) -> Answer:
    """Continues or accompanies a score.

    Args:
      trained: the model.
      asked: one of its tasks.
      score: the music.
      name: the music's name in errors.
      words: length of the answer (of each window's); as long as the model was trained for if None.
      temperature, top_k, top_p, seed: see `decoding.generate`.
    """
    tokens = encode_prompts(trained, asked.prompts(score), name)
    # Words of the encoding only, and no end: the targets of training end where an example was cut, not the music.
    allowed = trained.vocabulary.event_mask(asked.encoding)
    written = decoding.generate(
        trained.model,
        tokens,
        max_length=min(words or trained.lengths["targets"], trained.lengths["targets"]),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        key=jax.random.key(seed),
        allowed=allowed,
    )
    answers = [trained.vocabulary.decode_events(asked.encoding, row) for row in np.asarray(written)]
    if isinstance(asked, Accompany):
        return asked.music(score, answers)
    return asked.music(score, answers[0])


def generate(
    file: str,
    model_dir: str,
    *,
    task: str | None = None,
    output: str | None = None,
    **sampling: Any,
) -> Path:
    """`t5music generate`: writes the music as MIDI and, beside it, as a piano roll; returns the MIDI file's path."""
    score = midi.read(file)
    trained = load(model_dir)
    asked = choose_task(trained, task, (Continue, Accompany), model_dir)
    made = answer(trained, asked, score, file, **sampling)
    source = Path(file)
    path = Path(output) if output else Path(f"{source.stem}_{asked.kind}.mid")
    if path.resolve() == source.resolve():
        raise ConfigError(f"--output {path} is the prompt itself: choose another name")
    midi.write(made.score, path)
    picture = path.with_suffix(".png")
    title = f"{source.stem}: {asked.kind} {asked.style}"
    if isinstance(asked, Continue):
        pianoroll.draw(made.score, picture, prompt_seconds=made.prompt.duration_seconds, title=title)
    else:
        pianoroll.draw(made.score, picture, prompt_notes=made.prompt.notes, title=title)
    added = len(made.score.notes) - len(made.prompt.notes)
    print(f"{path}: {added} new notes after {len(made.prompt.notes)} given ones ({made.repairs} words mended)")
    print(f"{picture}: piano roll")
    return path


def classify(files: Sequence[str], model_dir: str, *, task: str | None = None) -> dict[str, dict[str, float]]:
    """`t5music classify`: prints each file's labels with probabilities, likeliest first.

    A label's probability is a softmax over the label set's log-likelihoods, averaged over the piece's segments.
    """
    scores = {file: midi.read(file) for file in files}
    trained = load(model_dir)
    asked = choose_task(trained, task, (Classify,), model_dir)
    results = {}
    for file, score in scores.items():
        tokens = encode_prompts(trained, asked.prompts(score), file, trim=True)
        likelihoods = np.asarray(decoding.score(trained.model, tokens, label_ids(trained.vocabulary, asked.values)))
        mean = likelihoods.mean(axis=0)
        shares = np.exp(mean - mean.max())
        shares /= shares.sum()
        results[file] = {asked.values[i]: float(shares[i]) for i in np.argsort(-shares)}
        ranked = "  ".join(f"{label} {share:.1%}" for label, share in results[file].items())
        print(f"{file}: {asked.label}: {ranked}")
    return results


def label_ids(vocab: Vocabulary, labels: Sequence[str]) -> np.ndarray:
    """A label set as int32 [labels, longest], each with EOS, padded."""
    rows = [np.append(vocab.encode(label), np.int32(vocabulary.EOS_ID)) for label in labels]
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row))) for row in rows]).astype(np.int32)
