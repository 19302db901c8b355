"""Compiling: a seqio task is run once, up to its cache placeholder, into a token store.

What comes after the placeholder is not run but written down: the objectives, which the loader applies at every visit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import seqio
from tqdm import tqdm

from t5music.data import mixing, vocabulary
from t5music.data.corpora.base import read_report
from t5music.data.examples import Classify, Examples, to_config
from t5music.data.objectives import Objective
from t5music.data.records import FeatureSpec
from t5music.data.seqio_objectives import ObjectivePreprocessor
from t5music.data.seqio_tasks import CorpusSource, PiecePreprocessor
from t5music.data.store import TokenStore, write_mixture
from t5music.data.store_writer import StoreWriter
from t5music.errors import DataError


def stores_dir(data_dir: Path) -> Path:
    """Where token stores lie."""
    return data_dir / "stores"


def parts_of(task: seqio.Task) -> tuple[Examples, list[Objective]]:
    """What a task makes of a piece, and its objectives.

    Raises DataError if the task's preprocessors are not those a store can stand for.
    """
    steps = list(task.preprocessors)
    places = [index for index, step in enumerate(steps) if isinstance(step, seqio.CacheDatasetPlaceholder)]
    if not places or not isinstance(steps[0], PiecePreprocessor):
        raise DataError(f"task {task.name!r} cannot be compiled: declare it with t5music.data.seqio_tasks.add_task")
    objectives: list[Objective] = []
    for step in steps[places[0] + 1 :]:
        if isinstance(step, ObjectivePreprocessor):
            objectives.append(step.step)
        elif step is not seqio.preprocessors.append_eos_after_trim:
            raise DataError(
                f"task {task.name!r} cannot be compiled: {step} comes after its cache placeholder, where only "
                "objectives may be; move it before, or write it as an Objective"
            )
    return steps[0].examples, objectives


def compiled(task: seqio.Task, data_dir: Path) -> TokenStore | None:
    """The task's store if it is there, whole, and made of today's vocabulary and declaration, else None."""
    path = stores_dir(data_dir) / task.name
    if not path.exists():
        return None
    try:
        store = TokenStore.open(path, vocabulary.default())
    except DataError:
        return None  # of another version or vocabulary, or damaged: made anew
    examples, objectives = parts_of(task)
    declared = (to_config(examples), [step.to_config() for step in objectives], list(task.source.corpora))
    return store if declared == tuple(store.manifest[key] for key in ("examples", "objectives", "corpus")) else None


def examples_of(task: seqio.Task, split: str) -> Iterator[dict[str, Any]]:
    """The task's examples of one split as they are at its cache placeholder: ids, 'piece' and 'seconds'."""
    if not task.num_input_examples(split):
        return
    dataset = task.preprocess_precache(task.source.get_dataset(split=split, shuffle=False))
    yield from dataset.as_numpy_iterator()


def compile_task(task: seqio.Task, data_dir: Path, *, force: bool = False, progress: bool = True) -> TokenStore:
    """Runs a task up to its cache placeholder into `<data_dir>/stores/<task>`, unless it is there already.

    Args:
      task: a task declared with `add_task`; its corpora must be built.
      data_dir: the folder that holds everything t5music builds.
      force: compile even if a fitting store is there.
      progress: show a progress bar.

    Raises:
      DataError: the task gives no training example, or cannot be compiled.
    """
    examples, objectives = parts_of(task)
    store = compiled(task, data_dir)
    if store is not None and not force:
        return store
    source: CorpusSource = task.source
    reports = [read_report(corpus, data_dir) or {} for corpus in source.corpora]
    vocab = vocabulary.default()
    path = stores_dir(data_dir) / task.name
    counts = {split: task.num_input_examples(split) or 0 for split in task.splits}
    with StoreWriter(
        path,
        features={"inputs": FeatureSpec(), "targets": FeatureSpec(), "piece": FeatureSpec("text", add_eos=False)},
        vocabulary=vocab,
        encoding=examples.encoding,
        objectives=objectives,
        metrics=[function.__name__ for function in task.metric_fns],
        labels=examples.values if isinstance(examples, Classify) else None,
        licence=sorted({report.get("licence", "") for report in reports}),
        corpus=list(source.corpora),
        examples=to_config(examples),
    ) as writer:
        written = 0
        for split in task.splits:
            seen: set[bytes] = set()
            with tqdm(total=counts[split], desc=f"{task.name} {split}", unit="piece", disable=not progress) as bar:
                for example in examples_of(task, split):
                    targets = example["targets"]
                    features = {"inputs": example["inputs"], "targets": targets, "piece": example["piece"].decode()}
                    notes = int(np.count_nonzero(vocab.is_note[targets]))
                    writer.write(split, features, notes=notes, seconds=float(example["seconds"]))
                    written += split == "train"
                    if example["piece"] not in seen:
                        seen.add(example["piece"])
                        bar.update()
                bar.update(counts[split] - bar.n)
        if not written:
            raise DataError(f"task {task.name!r} has no training example: its corpora gave {counts} pieces")
    return TokenStore.open(path, vocab)


def compile_mixture(mixture: seqio.Mixture, data_dir: Path) -> Path:
    """Writes down a mixture's tasks and rates; the tasks are compiled one by one with `compile_task`.

    Raises:
      DataError: a rate that is a function of its own; rates are numbers or t5music.data.mixing.Rate.
    """
    rates: dict[str, mixing.Rate] = {}
    for task in seqio.get_subtasks(mixture):
        rate = mixture.rate_per_task_name[task.name]
        if not isinstance(rate, mixing.Rate | int | float):
            raise DataError(f"mixture {mixture.name!r}: the rate of {task.name!r} is neither a number nor a Rate")
        rates[task.name] = rate if isinstance(rate, mixing.Rate) else mixing.Constant(float(rate))
    return write_mixture(stores_dir(data_dir), mixture.name, rates)


def summary(store: TokenStore) -> str:
    """One line per split: examples, tokens, notes, hours."""
    lines = [f"{store.name}: {store.path}"]
    for split, entry in store.manifest["splits"].items():
        tokens = sum(entry["tokens"].values())
        lines.append(
            f"  {split:<10} {entry['examples']:>7,} examples {tokens:>11,} tokens {entry['notes']:>10,} notes "
            f"{entry['seconds'] / 3600:>7.2f} h"
        )
    return "\n".join(lines)
