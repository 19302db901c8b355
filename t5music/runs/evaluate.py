"""Evaluate: a run, an ensemble or every checkpoint, on a split."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from t5music import files
from t5music.data.loading import song_windows
from t5music.errors import ConfigError, DataError
from t5music.evaluation import evaluator as evaluating
from t5music.evaluation.confusion import confusion_png
from t5music.evaluation.follow import follow as follow_run
from t5music.evaluation.results import Results, show, to_json
from t5music.runs.stores import EVAL_BATCH, open_stores
from t5music.training.checkpoints import selection


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
) -> Results:
    """Evaluates a run's checkpoint on every task of a mixture, beside baselines that know no music.

    Tasks with a label set are answered with the label of highest likelihood ("accuracy", "macro_f1"). Tasks that label
    notes are answered greedily, one label a note ("note_accuracy", "note_macro_f1"), and with the likeliest label at
    each note given the true ones before it ("likelihood_accuracy"). A classifier answers both with its likeliest class.
    Of all other tasks, and of labels of notes, the targets' likelihood is measured ("bits_per_note", "perplexity",
    token "accuracy").

    Prints a table, and writes `eval_<split>.json`, and decoded answers as `samples_<split>.txt`, into `model_dir`; the
    names end with the checkpoint where it is not the latest. Which labels were taken for which is in
    `eval_<split>_confusion.json`, and in the picture beside it. What `follow` writes: see `evaluating.follow`.

    Args:
        mixture_or_task_name: what to evaluate on.
        model_dir: the run; of several, the mean of their logits is evaluated, and `ensemble_<split>.json` written into
          the first.
        split: the split.
        task_feature_lengths: as in training; None takes the run's (the first run's).
        batch_size: examples at a time.
        limit: at most this many examples per task, evenly spread.
        samples: answers per task to decode and write down, greedily.
        checkpoint: "latest", "best" or a step.
        follow: evaluate every checkpoint in order, and new ones as they appear, until the run is finished.
        idle_minutes: end following when nothing has come for so long, though the run is not finished.
        stride: of tasks of whole songs (`..._songs`): tokens scored at a time, each window of them after as many of the
          tokens before it as its row holds (data.loading.song_windows).
        past: where these are read: "targets", as by a language model, or "inputs", as by a prefix language model.
        ngram: also learn an n-gram model of this order from the training targets and evaluate it (5 in most papers).

    Returns:
        task -> metrics, those of the baselines as "uniform_bits_per_note", "unigram_perplexity", "ngram_perplexity",
        "majority_accuracy", "skyline_accuracy", ...; "recall/<label>"; "bits_per_second" where whole pieces were
        scored; when following, of the last checkpoint.
    """
    runs = [model_dir] if isinstance(model_dir, str) else list(model_dir)
    if follow and (len(runs) > 1 or samples or checkpoint != selection.LATEST):
        raise ConfigError("evaluate.follow takes one model_dir, no samples and no checkpoint: it evaluates them all")
    if len(runs) > 1 and samples:
        raise ConfigError("evaluate.samples: an ensemble measures likelihoods and writes nothing; give one model_dir")
    evaluator = evaluating.Evaluator(
        [store for store, _ in open_stores(mixture_or_task_name)],
        split,
        lengths=task_feature_lengths,
        batch_size=batch_size,
        limit=limit,
        stride=stride,
        past=past,
        ngram=ngram,
    )
    if follow:
        return follow_run(evaluator, runs[0], mixture_or_task_name, idle_minutes=idle_minutes)
    latest = checkpoint == selection.LATEST
    folders = runs if latest else [str(selection.step_folder(run, checkpoint)) for run in runs]
    results = evaluator.evaluate(folders)
    name = f"{split}" if latest else f"{split}_{checkpoint}"
    kind = "eval" if len(runs) == 1 else "ensemble"
    show(results, split)
    documents = {f"{kind}_{name}.json": json.dumps(to_json(results, folders), indent=2) + "\n"}
    pictures = {}
    if evaluator.confusions:
        counts = {task: confusion.to_json() for task, confusion in evaluator.confusions.items()}
        documents[f"{kind}_{name}_confusion.json"] = json.dumps(counts) + "\n"
        pictures[f"{kind}_{name}_confusion.png"] = confusion_png(evaluator.confusions)
    if samples:
        documents[f"samples_{name}.txt"] = "\n".join(evaluator.samples(folders[0], samples)) + "\n"
    try:
        for file, text in documents.items():
            files.write_text(Path(runs[0]) / file, text)
        for file, picture in pictures.items():
            files.write_bytes(Path(runs[0]) / file, picture)
    except DataError as error:  # a finished run may be read-only; what was measured stands above
        print(f"{error}; it is not kept in a file", file=sys.stderr)
        if samples:
            print(documents[f"samples_{name}.txt"])
    return results
