"""Model card: the README.md of a Hugging Face folder, with what the model was trained on and under which terms."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t5music import written_text
from t5music.files import open_regular
from t5music.terms import NOT_STATED, TrainingRun, all_permissive, shared_licence
from t5music.training.checkpoints.metadata import Metadata

CARD = "README.md"
_MAX_HEAD = 1 << 16  # bytes that are read of a foreign card


# What a task's line of figures shows: the metric, how it is written, and the baselines that know no music.
_FIGURES = (
    ("bits_per_note", "{:.2f} bits per note", ("unigram_bits_per_note", "uniform_bits_per_note")),
    ("nats_per_cell", "{:.3f} nats per cell", ("voice_bigram_nats_per_cell", "unigram_nats_per_cell")),
    ("chord_accuracy", "accuracy of chords {:.1%}", ()),
    ("perplexity", "perplexity {:.2f}", ("unigram_perplexity", "uniform_perplexity")),
    ("accuracy", "accuracy {:.1%}", ("majority_accuracy",)),
    ("note_accuracy", "accuracy of notes {:.1%}", ("majority_accuracy", "skyline_accuracy")),
)
_SPLITS = ("test", "validation")


@dataclass(frozen=True)
class SharedMusic:
    """What the test pieces of a corpus share with the training music of a model; passages are notes in a row.

    Attributes:
        corpus: its name.
        pieces: the number of its test pieces.
        sharing: of these, how many share a passage that can be found with a training piece.
        sharing_long: of these, how many share a passage of so many notes that every such passage is found.
        longest: notes of the longest passage.
        piece, training_piece: the pieces that share it, the latter with its corpus; "" where there is none.
    """

    corpus: str
    pieces: int
    sharing: int
    sharing_long: int
    longest: int
    piece: str
    training_piece: str


@dataclass(frozen=True)
class Leakage:
    """What the test sets of a model's corpora share with its training music.

    Attributes:
        test_sets: one for each corpus that has test pieces; () where nothing was measured.
        shortest: notes of the shortest passage that can be found.
        certain: notes from which on every passage is found.
        not_measured: why nothing was measured; "" where it was.
    """

    test_sets: tuple[SharedMusic, ...] = ()
    shortest: int = 0
    certain: int = 0
    not_measured: str = ""


WITHOUT_CORPORA = Leakage(not_measured="the model was exported without looking at its corpora")


def write(
    name: str,
    metadata: Metadata,
    step: int,
    trained_on: Sequence[TrainingRun],
    figures: Mapping[str, Any] | None = None,
    leakage: Leakage = WITHOUT_CORPORA,
) -> str:
    """The card of a model.

    Args:
        name: of the model's folder.
        metadata: of its checkpoint.
        step: updates done.
        trained_on: the runs that its weights went through, with their steps.
        figures: split -> task -> metrics, as `t5music eval` writes them: see `read_figures`.
        leakage: what its test sets share with its training music.

    Returns:
        Markdown with a head in YAML. The head names a licence where all the data have the same one.
    """
    head = ["library_name: t5music", "tags: [music, midi, t5]"]
    licence = shared_licence(trained_on)
    if re.fullmatch(r"[\w.-]+", licence):  # nothing else gets into the head
        head.append(f"license: {licence}")
    task = written_text.markdown(metadata.task or "no task")
    trained = f"trained by t5music {metadata.version} on {task} for {step:,} steps"
    return "\n".join(
        [
            "---",
            *head,
            "---",
            f"# {name}\n",
            f"A T5 {metadata.config.version} for symbolic music, {trained}. Its tasks:\n",
            *(f"- `{each}`" for each in metadata.tasks or ["none"]),
            f"\n```sh\nt5music generate song.mid --model_dir {name}\n```\n",
            f'In Hugging Face transformers: `T5ForConditionalGeneration.from_pretrained("{name}")`. Ids are t5music\'s',
            "(`vocabulary.json` has the word of every id; 0 is padding, 1 the end, bytes begin at 3).\n",
            *_figures(figures or {}),
            *_shared_music(leakage),
            *_tuning(name, metadata),
            *_data(trained_on),
        ]
    )


def read_figures(checkpoint: Path) -> dict[str, Any]:
    """What `t5music eval` measured of a run since it wrote its latest checkpoint: split -> task -> metrics.

    Args:
        checkpoint: the folder of the step.

    Returns:
        {} where nothing was measured, or the run has a later checkpoint.
    """
    steps = [int(path.name) for path in checkpoint.parent.iterdir() if path.name.isdecimal()]
    figures: dict[str, Any] = {}
    for split in _SPLITS if int(checkpoint.name) == max(steps) else ():
        path = checkpoint.parent.parent / f"eval_{split}.json"
        try:
            if path.stat().st_mtime >= checkpoint.stat().st_mtime:
                figures[split] = {
                    task: {name: value for name, value in metrics.items() if math.isfinite(value)}
                    for task, metrics in json.loads(path.read_text("utf-8")).items()
                }
        except (OSError, ValueError, TypeError, AttributeError):  # not there, or not what `t5music eval` writes
            continue
    return figures


def _figures(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    """The lines that say how good the model is, beside what knows no music."""
    for split, tasks in figures.items():
        yield f"## Measured on the {split} set\n"
        yield "| task | this model | without knowing music | examples |"
        yield "|---|---|---|---:|"
        for task, metrics in tasks.items():
            for metric, form, baselines in _FIGURES:
                if metric in metrics:
                    others = [
                        f"{label.split('_')[0]} {form.format(metrics[label])}"
                        for label in baselines
                        if label in metrics
                    ]
                    number = f"{int(metrics['examples']):,}" if "examples" in metrics else ""
                    cells = (task, form.format(metrics[metric]), ", ".join(others), number)
                    yield f"| {' | '.join(map(written_text.markdown, cells))} |"
                    break
        yield ""


def _shared_music(leakage: Leakage) -> Iterator[str]:
    """The lines that say how much of the test music is in the training music, too."""
    yield "## Test music that is also in the training music\n"
    if leakage.not_measured:
        yield f"Not measured: {written_text.markdown(leakage.not_measured)}.\n"
        return
    if not leakage.test_sets:
        yield "Its corpora have no test pieces.\n"
        return
    yield "A passage is notes in a row, in any key and at any tempo, that a test piece shares with a training piece of"
    yield f"any of these corpora. All passages of {leakage.certain} notes or more are found, and most of those of"
    yield f"{leakage.shortest} or more; a length is a lower bound. `t5music original` finds them in your own music.\n"
    yield f"| test set | pieces | with a passage | of {leakage.certain} notes or more | longest |"
    yield "|---|---:|---:|---:|---|"
    for each in leakage.test_sets:
        longest = f"{each.longest} notes of {each.piece}, in {each.training_piece}" if each.longest else ""
        counts = (f"{count:,}" for count in (each.pieces, each.sharing, each.sharing_long))
        yield f"| {' | '.join(map(written_text.markdown, (each.corpus, *counts, longest)))} |"
    yield ""


def _tuning(name: str, metadata: Metadata) -> Iterator[str]:
    """The lines that say how to train on from here."""
    yield "## Your own music\n"
    yield "```sh\nt5music compile --midi my_music/ --name my_music"
    yield f"t5music train my_music --init {name} --model_dir runs/my_music\n```\n"
    if lengths := metadata.feature_lengths:
        read, written = lengths.get("inputs", 0), lengths.get("targets", 0)
        yield f"It has learned to read {read:,} tokens and to write {written:,} at once, and has never seen more.\n"


def _data(trained_on: Sequence[TrainingRun]) -> Iterator[str]:
    """The lines that say what the weights were trained on."""
    yield "## Data and their terms\n"
    if not trained_on:
        yield "Nothing is known of what it was trained on.\n"
        return
    yield "The weights went through these training runs, in this order:\n"
    yield "| trained on | steps | corpus | licence | weights may be given away | source |"
    yield "|---|---:|---|---|---|---|"
    for (task, data), runs in itertools.groupby(trained_on, key=lambda run: (run.task, run.data)):
        steps = " + ".join(f"{run.steps:,}" for run in runs if run.steps is not None)
        for terms in data:
            permissive = terms.permissive or "nobody says so: see the licence"
            cells = (task, steps, terms.corpus, terms.licence, permissive, terms.source)
            yield f"| {' | '.join(map(written_text.markdown, cells))} |"
        if not data:
            yield f"| {written_text.markdown(task)} | {steps} | not known | {NOT_STATED} | not sure | |"
    verdict = (
        "All these data are free, so these weights may be given away."
        if all_permissive(trained_on)
        else "Before you give these weights away, read the terms of each corpus: not all of them say that you may."
    )
    yield f"\n{verdict}\n"
    citations = {terms.citation for run in trained_on for terms in run.data} - {""}
    if citations:
        yield "Please cite:\n"
        yield "\n".join(f"- {written_text.markdown(citation)}" for citation in sorted(citations)) + "\n"


def licence_of(path: Path) -> str:
    """The licence that the head of a model's card names for the model; '' where there is no card, or it names none."""
    try:
        with open_regular(path) as file:
            head, _, _ = file.read(_MAX_HEAD).decode("utf-8", "replace").partition("\n---")
    except OSError:
        return ""
    match = re.search(r"^license:[ \t]*['\"]?([\w.+-]+)", head, re.MULTILINE)
    return match[1] if match and head.startswith("---") else ""
