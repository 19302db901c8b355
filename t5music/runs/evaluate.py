"""Evaluate: measures a run, an ensemble of runs or every checkpoint of a run on a split."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from t5music import figures, files
from t5music.data.loading import song_windows
from t5music.errors import ConfigError, DataError
from t5music.evaluation import checkpoint_choice, example_tallies
from t5music.evaluation import evaluator as evaluating
from t5music.evaluation.confusion import confusion_png
from t5music.evaluation.follow import follow as follow_run
from t5music.evaluation.results import Results, show, to_json
from t5music.inference import pretrained
from t5music.runs.stores import EVAL_BATCH, open_stores
from t5music.storage import path_of
from t5music.training.checkpoints import selection

VALIDATION = "validation"


def evaluate(
    mixture_or_task_name: str,
    model_dir: str | Sequence[str],
    split: str = "validation",
    task_feature_lengths: Mapping[str, int] | None = None,
    batch_size: int = EVAL_BATCH,
    limit: int | None = None,
    samples: int = 0,
    checkpoint: str | int = selection.LATEST,
    follow: bool = False,
    idle_minutes: float | None = None,
    stride: int = song_windows.STRIDE,
    past: str = song_windows.TARGETS,
    ngram: int | None = None,
    answers: int | None = None,
    output_dir: str | None = None,
) -> Results:
    """Evaluates a run's checkpoint on every task of a mixture, and baselines that know no music.

    For a task with a label set, the model's answer is the label of highest likelihood ("accuracy", "macro_f1"). For a
    task that labels notes, the model writes one label for each note, greedily ("note_accuracy", "note_macro_f1"); and
    for each note, the likeliest label is taken after the true labels of the notes before ("likelihood_accuracy"). A
    classifier answers with its likeliest classes. For all other tasks, and for labels of notes, the likelihood of the
    targets is measured ("bits_per_note", "perplexity", token "accuracy"). Where a task declares further metrics, such
    as "bleu" or one of your own, the model writes its answers, greedily, and they are measured on these
    (`evaluation.answer_scores`).

    Prints a table, and writes into `model_dir` the results as `eval_<split>.json`, decoded samples as
    `samples_<split>.txt`, the labels' confusion matrix as `eval_<split>_confusion.json` and as a picture, and what each
    example adds to a figure as `eval_<split>_examples.json` (`evaluation.example_tallies`). If the checkpoint is not
    the latest, the names have it after the split. For the files of `follow` see `evaluation.follow`.

    Args:
        mixture_or_task_name: what to evaluate on.
        model_dir: the run, or the name of a pretrained model; of several runs, the mean of
            their logits is evaluated, and `ensemble_<split>.json` is written into the first.
        split: the split.
        task_feature_lengths: row lengths, {"inputs": n, "targets": n}; None takes those of the (first) run's training.
        batch_size: examples at a time.
        limit: at most this many examples of each task, evenly spread.
        samples: number of answers of each task to decode greedily and write.
        checkpoint: "latest", "best" (by the run's own evaluations), "best_for_task" or a step. The third evaluates all
            checkpoints that the run kept on all of each task's validation set, and takes for each task the one that is
            best by the task's own metric: accuracy of labels, note accuracy of labels of notes, nats a cell, otherwise
            the loss. The results then have "checkpoint_step" and "validation_<metric>", unless they are an ensemble's.
        follow: evaluate every checkpoint in order, and new ones as they appear, until the run is finished.
        idle_minutes: with `follow`, end when no checkpoint has come for this time, even if the run is not finished.
        stride: for tasks of whole songs (`..._songs`), the number of tokens scored at a time, each with as many tokens
            before it as the row holds (`data.loading.song_windows`).
        past: where the model reads these earlier tokens: "targets", for a language model, or "inputs", for a prefix
            language model.
        ngram: the order of an n-gram model to fit to the training targets and to evaluate (5 in most papers); None for
            none.
        answers: at most this many examples of each task, evenly spread, are answered for its declared metrics; 0 for
            none. None answers all if the task declares any but "word_accuracy", which is measured only with a number.
        output_dir: where to write, instead of the (first) run's folder; of a pretrained model by its name, nothing is
            written without it.

    Returns:
        task -> metrics. Baselines have "uniform_bits_per_note", "unigram_perplexity", "ngram_perplexity",
        "majority_accuracy", "skyline_accuracy" and the like; labels have "recall/<label>"; whole pieces have
        "bits_per_second". With `follow`, they are those of the last checkpoint.

    Raises:
        ConfigError: arguments that do not go together.
        DataError: a store cannot be read.
        CheckpointError: a run cannot be read.
    """
    models = [model_dir] if isinstance(model_dir, str) else list(model_dir)
    runs = [str(pretrained.locate(model)) for model in models]
    if follow and (len(runs) > 1 or samples or checkpoint != selection.LATEST):
        raise ConfigError(
            "evaluate.follow takes one model_dir, without samples or a checkpoint: it evaluates every checkpoint"
        )
    if len(runs) > 1 and samples:
        raise ConfigError("evaluate.samples: an ensemble measures likelihoods and cannot write; give one model_dir")
    for_task = checkpoint == selection.BEST_FOR_TASK
    if for_task and samples:
        raise ConfigError('evaluate.samples are of one checkpoint: give its step, or "best", as evaluate.checkpoint')
    stores = [store for store, _ in open_stores(mixture_or_task_name)]

    def evaluator_of(split: str, limit: int | None, ngram: int | None) -> evaluating.Evaluator:
        return evaluating.Evaluator(
            stores,
            split,
            lengths=task_feature_lengths,
            batch_size=batch_size,
            limit=limit,
            stride=stride,
            past=past,
            ngram=ngram,
            answers=answers,
        )

    evaluator = evaluator_of(split, limit, ngram)
    if follow:
        return follow_run(evaluator, runs[0], mixture_or_task_name, idle_minutes=idle_minutes)
    latest = checkpoint == selection.LATEST
    if for_task:
        folders = runs
        results = _evaluate_for_tasks(evaluator, evaluator_of(VALIDATION, None, None), runs)
    else:
        folders = runs if latest else [str(selection.step_folder(run, checkpoint)) for run in runs]
        results = evaluator.evaluate(folders)
    name = split if latest else f"{split}_{checkpoint}"
    kind = "eval" if len(runs) == 1 else "ensemble"
    show(results, split)
    texts = "\n".join(evaluator.samples(folders[0], samples)) + "\n" if samples else ""
    if pretrained.is_name(models[0]) and output_dir is None:
        print(texts, end="")
        return results
    documents = {f"{kind}_{name}.json": json.dumps(to_json(results, folders), indent=2) + "\n"}
    pictures = {}
    if evaluator.tallies:
        documents[f"{kind}_{name}{example_tallies.ENDING}"] = (
            json.dumps(example_tallies.to_json(evaluator.tallies)) + "\n"
        )
    if evaluator.confusions:
        counts = {task: confusion.to_json() for task, confusion in evaluator.confusions.items()}
        documents[f"{kind}_{name}_confusion.json"] = json.dumps(counts) + "\n"
        file = f"{kind}_{name}_confusion.png"
        if not figures.left_out(file):
            pictures[file] = confusion_png(evaluator.confusions)
    if texts:
        documents[f"samples_{name}.txt"] = texts
    folder = path_of(runs[0] if output_dir is None else output_dir)
    try:
        for file, text in documents.items():
            files.write_text(folder / file, text)
        for file, picture in pictures.items():
            files.write_bytes(folder / file, picture)
    except DataError as error:  # a finished run may be read-only; what was measured stands above
        print(f"{error}; it is not kept in a file", file=sys.stderr)
        print(texts, end="")
    return results


def _evaluate_for_tasks(
    evaluator: evaluating.Evaluator, validation: evaluating.Evaluator, runs: Sequence[str]
) -> Results:
    """Evaluates runs with the checkpoints that are best for each task."""
    choices = [checkpoint_choice.choose(validation, run) for run in runs]
    results = evaluator.evaluate_each({task: [choice[task].folder for choice in choices] for task in choices[0]})
    if len(runs) == 1:
        results = {task: metrics | choices[0][task].scores for task, metrics in results.items()}
    return results
