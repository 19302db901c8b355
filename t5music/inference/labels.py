"""`t5music classify` and `t5music label`: what a trained model says of pieces of music, and of their notes.

Everything that asks a model for labels of one's own music is here, for both ways in which it may answer: in words, of
which the likelihoods count or of which exactly one is written for each note, and by the classifier on top of an encoder
(`T5Config.architecture` "encoder"), whose classes are the task's labels. No TensorFlow, no seqio.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray
from scipy import special
from tqdm import tqdm

from t5music.data.answer_formats import PerNote
from t5music.data.examples import Classify, LabelNotes
from t5music.data.vocabulary import EOS_ID, PAD_ID
from t5music.errors import MidiError
from t5music.files import write_text
from t5music.inference import trained_model
from t5music.inference.trained_model import PROMPT_MULTIPLE, TrainedModel
from t5music.model import decoding
from t5music.model.config import ENCODER
from t5music.music import midi, pianoroll
from t5music.music.score import Score
from t5music.training.checkpoints import selection

WINDOWS = 16  # of a long piece, or segments, answered at a time

# What is looked for stands out; of what has degrees, more is darker.
_COLOURS = {
    "melody": ("#D55E00", "#0072B2", "#A9B4BF"),
    "velocity": ("#F7D03C", "#F89540", "#E16462", "#B12A90", "#6A00A8", "#0D0887"),
}


# ------------------------------------------------------------------------------------------------- asking the model


def piece_probabilities(trained: TrainedModel, asked: Classify, score: Score, name: str) -> NDArray[np.float64]:
    """The probability of each of `asked.values`, float64 [values], summing to 1.

    They are a softmax over the values' log-likelihoods, averaged over the piece's segments. Raises MidiError that names
    the music (`name`) where there is nothing in it to classify.
    """
    prompts = asked.prompts(score)
    if not prompts:
        raise MidiError(f"{name}: there are no notes to classify by {asked.label}")
    tokens = trained_model.encode_prompts(trained, prompts, name, trim=True)
    found = []
    for rows in _parts(tokens):
        if trained.model.config.architecture == ENCODER:
            found.append(special.log_softmax(_class_logits(trained, rows)[:, 0], axis=-1))
        else:
            labels = trained_model.label_ids(trained.vocabulary, asked.values)
            found.append(np.asarray(decoding.score(trained.model, rows, labels)))  # [rows, values]
    likelihoods = np.concatenate(found)[: len(prompts)]
    return special.softmax(likelihoods.astype(np.float64).mean(axis=0))


def note_classes(trained: TrainedModel, asked: LabelNotes, score: Score, name: str) -> NDArray[np.int64]:
    """The class of every note of the score: int64 [notes], indices into `asked.values`, -1 for percussion.

    The windows of a long piece are answered together, WINDOWS at a time. Answers in words are the likeliest ones that
    have exactly one word for each note (`answers.PerNote`). Raises MidiError that names the music (`name`) where it has
    no pitched notes.
    """
    try:
        asked, prompts = _fitted(trained, asked, score)
    except MidiError as error:
        raise MidiError(f"{name}: {error}") from error
    tokens = trained_model.encode_prompts(trained, prompts, name)
    form = PerNote(trained.vocabulary, asked.values)
    length = -(-form.longest(tokens) // PROMPT_MULTIPLE) * PROMPT_MULTIPLE
    answers: list[str] = []
    for rows in tqdm(_parts(tokens), desc=asked.label, unit="part", disable=len(tokens) <= WINDOWS or None):
        if trained.model.config.architecture == ENCODER:
            classes = _class_logits(trained, rows).argmax(axis=-1)  # [rows, source]
            notes = trained.vocabulary.is_note[rows]
            of_rows = (row[is_note] for row, is_note in zip(classes, notes, strict=True))
            answers += [" ".join(asked.values[index] for index in row) for row in of_rows]
        else:
            grammar = form, form.start(rows, length)
            ids = decoding.generate(trained.model, rows, max_length=length, temperature=0, grammar=grammar)
            answers += [trained.vocabulary.decode(row) for row in np.asarray(ids)]
    return asked.classes(score, answers[: len(prompts)])


def _fitted(trained: TrainedModel, asked: LabelNotes, score: Score) -> tuple[LabelNotes, list[str]]:
    """The task and its prompts, in windows of fewer words where the model has no room for the task's own.

    A prompt that lost its end, as in training, would leave notes without an answer.
    """
    prompts, vocab = asked.prompts(score), trained.vocabulary
    longest = max((vocab.encode(prompt) for prompt in prompts), key=len)
    room = trained.lengths["inputs"] - 1
    if len(longest) > room:
        said = int((~vocab.event_mask(asked.encoding)[longest]).sum())  # what is asked, before the music
        asked = dataclasses.replace(asked, words=room - said, notes=None)
        prompts = asked.prompts(score)
    return asked, prompts


def _parts(tokens: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rows [windows, source] in parts of one size, [parts, up to WINDOWS, source]; those that fill up have no notes."""
    parts = -(-len(tokens) // WINDOWS)
    size = -(-len(tokens) // parts)
    missing = np.full((parts * size - len(tokens), tokens.shape[1]), PAD_ID, np.int32)
    missing[:, 0] = EOS_ID
    return np.concatenate([tokens, missing]).reshape(parts, size, -1)


def _class_logits(trained: TrainedModel, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    """What a classifier makes of prompts [batch, source]: float32 [batch, source or 1, classes]."""
    graphdef, params = nnx.split(trained.model)
    return np.asarray(_logits(graphdef, params, tokens))


@jax.jit
def _logits(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array) -> jax.Array:
    return nnx.merge(graphdef, params)(tokens, None)


# -------------------------------------------------------------------------------------------------------- the verbs


def classify(
    files: Sequence[str],
    model_dir: str,
    *,
    task: str | None = None,
    table: str | None = None,
    checkpoint: str = selection.LATEST,
) -> dict[str, dict[str, float]]:
    """`t5music classify`: prints a line for each file, its labels with their probabilities, likeliest first.

    Args:
        files: MIDI files.
        model_dir: the run whose model is asked.
        task: one of the model's tasks, by its name, kind or label; the first that classifies if None.
        table: a CSV file to write: a line for each file with the likeliest label, then every label's probability.
        checkpoint: of the run: "latest", "best" or a step.

    Returns:
        file -> label -> probability, likeliest first.

    Raises:
        ConfigError: a task the model was not trained on.
        MidiError: a file that cannot be read, or has nothing to classify.
    """
    scores = {file: midi.read(file) for file in files}
    trained = trained_model.load(model_dir, checkpoint)
    asked = trained_model.choose_task(trained, task, Classify, model_dir)
    results = {}
    for file, score in scores.items():
        shares = piece_probabilities(trained, asked, score, file)
        results[file] = {asked.values[i]: float(shares[i]) for i in np.argsort(-shares, kind="stable")}
        ranked = "  ".join(f"{label} {share:.1%}" for label, share in results[file].items())
        print(f"{file}: {asked.label}: {ranked}", flush=True)
    if table is not None:
        write_text(table, _as_csv(results, asked))
    return results


def _as_csv(results: Mapping[str, Mapping[str, float]], asked: Classify) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["file", asked.label, *asked.values])
    for file, shares in results.items():
        writer.writerow([file, next(iter(shares)), *(f"{shares[value]:.6f}" for value in asked.values)])
    return lines.getvalue()


def label(
    file: str,
    model_dir: str,
    *,
    task: str | None = None,
    output: str | None = None,
    checkpoint: str = selection.LATEST,
) -> Path:
    """`t5music label`: writes the music with its notes labelled and, beside it, a piano roll coloured by label.

    The melody task puts melody, bridge and accompaniment on a track each, the velocity task gives each note the middle
    velocity of its class (`LabelNotes.labelled`).

    Args:
        file: the MIDI file.
        model_dir: the run whose model is asked.
        task: one of the model's tasks, by its name or label; the first that labels notes if None.
        output: the MIDI file to write; named after `file` and the label if None.
        checkpoint: of the run: "latest", "best" or a step.

    Returns:
        The path of the MIDI file.

    Raises:
        ConfigError: a task the model was not trained on, or an output that is the file itself.
        MidiError: a file that cannot be read, or has no pitched notes.
    """
    score = midi.read(file)
    trained = trained_model.load(model_dir, checkpoint)
    asked: Any = trained_model.choose_task(trained, task, LabelNotes, model_dir)
    name = Path(file).stem
    path = trained_model.output_path(output or f"{name}_{asked.label}.mid", file)
    classes = note_classes(trained, asked, score, file)
    midi.write(asked.labelled(score, classes), path)
    picture = path.with_suffix(".png")
    shown = _shown(asked, classes)
    pianoroll.draw(score, picture, classes=shown, title=f"{name}: {asked.label}")
    counts = np.bincount(shown.of_notes, minlength=len(shown.names))
    print(f"{path}: " + ", ".join(f"{name} {count}" for name, count in zip(shown.names, counts, strict=True) if count))
    print(f"{picture}: piano roll")
    return path


def _shown(asked: LabelNotes, classes: NDArray[np.int64]) -> pianoroll.Classes:
    """The classes as a person reads them, with percussion, which has no label, after all others."""
    names = [value.partition("_")[2] for value in asked.values]
    return pianoroll.Classes(
        (*names, "percussion"),
        (*_COLOURS[asked.label], pianoroll.DRUM_COLOUR),
        np.where(classes < 0, len(names), classes),
    )
