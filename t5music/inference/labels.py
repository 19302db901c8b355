"""Labels: `t5music classify` and `t5music label`, what a trained model says of pieces of music and of their notes.

Everything that asks a model for labels of one's own music is here, for both ways in which it may answer: in words, of
which the likelihoods count or of which exactly one is written for each note, and by the classifier on top of an encoder
(`T5Config.architecture` "encoder"), whose classes are the task's labels. No TensorFlow, no seqio.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray
from scipy import special
from tqdm import tqdm

from t5music import written_text
from t5music.corpora.listing import MIDI_SUFFIXES
from t5music.data.answer_formats import PerNote
from t5music.data.examples import Classify, LabelNotes
from t5music.data.vocabulary import EOS_ID, PAD_ID
from t5music.errors import ConfigError, MidiError
from t5music.files import printable_name, require_free_file, write_text
from t5music.inference import output_files, stand_ins, trained_model
from t5music.inference.given_music import GivenMusic
from t5music.inference.left_out import LeftOut, by_name
from t5music.inference.result import Result
from t5music.inference.trained_model import PROMPT_MULTIPLE, TrainedModel
from t5music.model import decoding
from t5music.model.config import ENCODER
from t5music.music import midi, music_files
from t5music.music.roll_layout import DRUM_COLOUR, Classes
from t5music.music.score import Score
from t5music.storage import path_of
from t5music.training.checkpoints import selection

WINDOWS = 16  # of a long piece, or segments, answered at a time

# What is looked for stands out; of what has degrees, more is darker.
_COLOURS = {
    "melody": ("#D55E00", "#0072B2", "#A9B4BF"),
    "velocity": ("#F7D03C", "#F89540", "#E16462", "#B12A90", "#6A00A8", "#0D0887"),
}


# ------------------------------------------------------------------------------------------------- asking the model


def piece_probabilities(trained: TrainedModel, task: Classify, score: Score, name: str) -> NDArray[np.float64]:
    """The probability of each of `task.values`, float64 [values], summing to 1.

    They are a softmax over the values' log-likelihoods, averaged over the piece's segments. Raises MidiError that names
    the music (`name`) where there is nothing in it to classify.
    """
    prompts = task.prompts(stand_ins.familiar(trained, score))
    if not prompts:
        raise MidiError(f"{name}: there are no notes to classify by {task.label}")
    tokens = trained_model.encode_prompts(trained, prompts, name, trim=True)
    logs = []
    for rows in _parts(tokens):
        if trained.model.config.architecture == ENCODER:
            logs.append(special.log_softmax(_class_logits(trained, rows)[:, 0], axis=-1))
        else:
            labels = trained_model.label_ids(trained.vocabulary, task.values)
            logs.append(np.asarray(decoding.score(trained.model, rows, labels)))  # [rows, values]
    likelihoods = np.concatenate(logs)[: len(prompts)]
    return special.softmax(likelihoods.astype(np.float64).mean(axis=0))


def ranked(trained: TrainedModel, task: Classify, score: Score, name: str) -> dict[str, float]:
    """label -> probability, the likeliest first; see `piece_probabilities`."""
    shares = piece_probabilities(trained, task, score, name)
    return {task.values[i]: float(shares[i]) for i in np.argsort(-shares, kind="stable")}


def labelled(trained: TrainedModel, task: LabelNotes, given: GivenMusic) -> Result:
    """Somebody's music with its notes labelled (`LabelNotes.labelled`), and their classes to colour them by.

    Raises MidiError that names the music where it has no pitched notes.
    """
    classes = note_classes(trained, task, given.score, given.name)
    score = task.labelled(given.score, classes)
    return Result(
        midi.to_bytes(score), given.score, None, len(given.score.notes), kind=task.label, stem=given.stem,
        classes=_shown(task, classes),
    )  # fmt: skip


def note_classes(trained: TrainedModel, task: LabelNotes, score: Score, name: str) -> NDArray[np.int64]:
    """The class of every note of the score: int64 [notes], indices into `task.values`, -1 for percussion.

    The windows of a long piece are answered together, WINDOWS at a time. Answers in words are the likeliest ones that
    have exactly one word for each note (`answers.PerNote`). Raises MidiError that names the music (`name`) where it has
    no pitched notes.
    """
    try:
        task, prompts = _fitted(trained, task, score)
    except MidiError as error:
        raise MidiError(f"{name}: {error}") from error
    tokens = trained_model.encode_prompts(trained, prompts, name)
    form = PerNote(trained.vocabulary, task.values)
    length = -(-form.longest(tokens) // PROMPT_MULTIPLE) * PROMPT_MULTIPLE
    answers: list[str] = []
    for rows in tqdm(_parts(tokens), desc=task.label, unit="part", disable=len(tokens) <= WINDOWS or None):
        if trained.model.config.architecture == ENCODER:
            classes = _class_logits(trained, rows).argmax(axis=-1)  # [rows, source]
            notes = trained.vocabulary.is_note[rows]
            of_rows = (row[is_note] for row, is_note in zip(classes, notes, strict=True))
            answers += [" ".join(task.values[index] for index in row) for row in of_rows]
        else:
            grammar = form, form.start(rows, length)
            ids = decoding.generate(trained.model, rows, max_length=length, temperature=0, grammar=grammar)
            answers += [trained.vocabulary.decode(row) for row in np.asarray(ids)]
    return task.classes(score, answers[: len(prompts)])


def _fitted(trained: TrainedModel, task: LabelNotes, score: Score) -> tuple[LabelNotes, list[str]]:
    """The task and its prompts, in windows of fewer words where the model has no room for the task's own.

    A prompt that lost its end, as in training, would leave notes without an answer.
    """
    prompts, vocab = task.prompts(score), trained.vocabulary
    longest = max((vocab.encode(prompt) for prompt in prompts), key=len)
    room = trained.lengths["inputs"] - 1
    if len(longest) > room:
        question = int((~vocab.event_mask(task.encoding)[longest]).sum())  # the words before the music
        task = dataclasses.replace(task, words=room - question, notes=None)
        prompts = task.prompts(score)
    return task, prompts


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

    A file that cannot be read, or has nothing to classify, is left out and named, on stderr and in the table.

    Args:
        files: MIDI files.
        model_dir: the run whose model is asked.
        task: one of the model's tasks, by its name, kind or label; the first that classifies if None.
        table: a CSV file to write: a line for each file with the likeliest label, then every label's probability, and
            last why a file is left out.
        checkpoint: of the run: "latest", "best" or a step.

    Returns:
        file, as it is printed -> label -> probability, likeliest first.

    Raises:
        ConfigError: a task the model was not trained on.
        DataError: none of the files can be used.
    """
    paths = by_name(files)
    left_out = LeftOut(len(paths))
    scores = _read(paths, left_out)
    trained = trained_model.load(model_dir, checkpoint)
    classifying: Classify = trained_model.choose_task(trained, task, Classify, model_dir)
    results = {}
    for name, score in scores.items():
        try:
            results[name] = ranked(trained, classifying, score, name)
        except MidiError as error:
            left_out.add(name, error)
            continue
        shares = "  ".join(f"{label} {share:.1%}" for label, share in results[name].items())
        print(f"{name}: {classifying.label}: {shares}", flush=True)
    left_out.check()
    if table is not None:
        write_text(table, _as_csv(paths, results, left_out.reasons, classifying))
    left_out.count()
    return results


def _read(paths: Mapping[str, str], left_out: LeftOut) -> dict[str, Score]:
    """The music of the files that can be read. Raises DataError where none can."""
    scores = {}
    for name, path in paths.items():
        try:
            scores[name] = music_files.read(path, name=name)
        except MidiError as error:
            left_out.add(name, error)
    left_out.check()
    return scores


def _as_csv(
    names: Iterable[str],
    results: Mapping[str, Mapping[str, float]],
    left_out: Mapping[str, str],
    classifying: Classify,
) -> str:
    none = [""] * len(classifying.values)
    rows = [
        [name, "", *none, left_out[name]]
        if name in left_out
        else [name, next(iter(results[name])), *(results[name][value] for value in classifying.values), ""]
        for name in names
    ]
    shown = [[f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row] for row in rows]
    return written_text.csv_table(["file", classifying.label, *classifying.values, "left_out"], shown)


def label(
    files: Sequence[str],
    model_dir: str,
    *,
    task: str | None = None,
    output: str | None = None,
    checkpoint: str = selection.LATEST,
    force: bool = False,
) -> list[Path]:
    """`t5music label`: writes the music with its notes labelled and, beside it, a piano roll coloured by label.

    The melody task puts melody, bridge and accompaniment on a track each, the velocity task gives each note the middle
    velocity of its class (`LabelNotes.labelled`). A file that cannot be read, or has no pitched notes, is left out and
    named.

    Args:
        files: MIDI files.
        model_dir: the run whose model is asked.
        task: one of the model's tasks, by its name or label; the first that labels notes if None.
        output: of one file the MIDI file to write, of several the folder to write to; by default this folder, and
            files named after `files` and the label.
        checkpoint: of the run: "latest", "best" or a step.
        force: whether files that exist may be replaced.

    Returns:
        The paths of the MIDI files.

    Raises:
        ConfigError: a task the model was not trained on, or an output that exists, is no MIDI file's name, is one of
            the files, or that of two.
        DataError: none of the files can be used.
    """
    paths = by_name(files)
    left_out = LeftOut(len(paths))
    scores = _read(paths, left_out)
    trained = trained_model.load(model_dir, checkpoint)
    labelling: LabelNotes = trained_model.choose_task(trained, task, LabelNotes, model_dir)
    outputs = _outputs(paths, labelling.label, output, force=force)
    written = []
    for name, score in scores.items():
        try:
            result = labelled(trained, labelling, GivenMusic(score, name, path_of(paths[name]).stem, paths[name]))
        except MidiError as error:
            left_out.add(name, error)
            continue
        _write_labelled(result, outputs[name], output_files.picture_path(outputs[name], force=force))
        written.append(outputs[name])
    left_out.check()
    left_out.count()
    return written


def _outputs(paths: Mapping[str, str], label_name: str, output: str | None, *, force: bool) -> dict[str, Path]:
    """The MIDI file to write for each file. Raises ConfigError where one would replace another, or one that exists."""
    outputs: dict[str, Path] = {}
    sources: dict[Path, str] = {}
    if output is not None and len(paths) > 1 and path_of(output).suffix.lower() in MIDI_SUFFIXES:
        raise ConfigError(f"--output {output}: of several files it is the folder to write to")
    for name, path in paths.items():
        file = Path(f"{path_of(path).stem}_{label_name}.mid")
        if output is not None:
            file = path_of(output) if len(paths) == 1 else path_of(output) / file
        for other in paths.values():
            output_files.music_paths(file, other, variants=1, force=True)
        same = sources.setdefault(file.resolve(), name)
        if same != name:
            raise ConfigError(f"{same} and {name} would both be written to {printable_name(file)}: label them apart")
        outputs[name] = file
    for file in outputs.values():
        require_free_file(file, "--output", force=force)
    return outputs


def _write_labelled(result: Result, path: Path, picture: Path) -> None:
    """Writes the labelled music and its picture, and prints how many notes have each label."""
    result.save(path)
    write_text(picture, result.picture)
    shown = result.classes
    assert shown is not None
    counts = np.bincount(shown.of_notes, minlength=len(shown.names))
    parts = (f"{part} {count}" for part, count in zip(shown.names, counts, strict=True) if count)
    print(f"{printable_name(path)}: {', '.join(parts)}")
    print(f"{printable_name(picture)}: piano roll")


def _shown(labelling: LabelNotes, classes: NDArray[np.int64]) -> Classes:
    """The classes as a person reads them, with percussion, which has no label, after all others."""
    names = [value.partition("_")[2] for value in labelling.values]
    return Classes(
        (*names, "percussion"),
        (*_COLOURS[labelling.label], DRUM_COLOUR),
        np.where(classes < 0, len(names), classes),
    )
