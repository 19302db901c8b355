"""Compiling: a seqio task is run once, up to its cache placeholder, into a token store.

The steps before the placeholder are known (from piece to text, from text to ids), so they are run in parts by many
processes, without seqio; the store holds what seqio would give. What comes after the placeholder is not run but written
down: the objectives, which the loader applies at every visit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import seqio

from t5music import parallel
from t5music.corpora import datasets
from t5music.corpora.base import read_report
from t5music.data import mixing_rates, vocabulary
from t5music.data.compilation import beam, shards
from t5music.data.compilation import report as reports
from t5music.data.examples import Classify, Examples, to_config
from t5music.data.objectives import Objective
from t5music.data.seqio_bridge.objectives import ObjectivePreprocessor
from t5music.data.seqio_bridge.tasks import FEATURES, CorpusSource, PiecePreprocessor
from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary
from t5music.data.store.token_store import TokenStore, write_mixture
from t5music.data.store.writer import check_replaceable, describe
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
    first = steps[0] if steps else None
    if not places or not isinstance(first, PiecePreprocessor) or not isinstance(task.source, CorpusSource):
        raise DataError(
            f"task {task.name!r} cannot be compiled: declare it with t5music.data.seqio_bridge.tasks.add_task"
        )
    if steps[1 : places[0]] != [seqio.preprocessors.tokenize]:
        raise DataError(
            f"task {task.name!r} cannot be compiled: between its pieces and its cache placeholder there may only be "
            f"seqio.preprocessors.tokenize, not {steps[1 : places[0]]}"
        )
    features = task.output_features
    if set(features) != set(FEATURES) or any(f.vocabulary != T5MusicVocabulary() for f in features.values()):
        raise DataError(
            f"task {task.name!r} cannot be compiled: its features must be inputs and targets in T5MusicVocabulary"
        )
    objectives: list[Objective] = []
    for step in steps[places[0] + 1 :]:
        if isinstance(step, ObjectivePreprocessor):
            objectives.append(step.step)
        elif step is not seqio.preprocessors.append_eos_after_trim:
            raise DataError(
                f"task {task.name!r} cannot be compiled: {step} comes after its cache placeholder, where only "
                "objectives may be; move it before, or write it as an Objective"
            )
    return first.examples, objectives


def _description(task: seqio.Task, data_dir: Path) -> dict[str, Any]:
    """The manifest but for the splits."""
    examples, objectives = parts_of(task)
    source: CorpusSource = task.source
    reported = {corpus: read_report(corpus, data_dir) or {} for corpus in source.corpora}
    return {
        **describe(
            task.name,
            features=shards.FEATURES,
            vocabulary=vocabulary.default(),
            encoding=examples.encoding,
            objectives=objectives,
            metrics=[function.__name__ for function in task.metric_fns],
            labels=examples.values if isinstance(examples, Classify) else None,
            licence=sorted({report.get("licence", "") for report in reported.values()}),
            corpus=list(source.corpora),
            examples=to_config(examples),
        ),
        "apart_from": list(source.apart_from),
        "corpora": {corpus: reports.digest(report) for corpus, report in reported.items()},
    }


def compiled(task: seqio.Task, data_dir: Path) -> TokenStore | None:
    """The task's store if it is there, whole, and made of today's vocabulary, declaration and corpora, else None.

    A corpus that is no longer there is not asked for.
    """
    path = stores_dir(data_dir) / task.name
    if not path.exists():
        return None
    try:
        store = TokenStore.open(path, vocabulary.default())
    except DataError:
        return None  # of another version or vocabulary, or damaged: made anew
    declared = _description(task, data_dir)
    if store.kind != parts_of(task)[0]:
        return None
    same = ("objectives", "metrics", "labels", "corpus", "apart_from")
    if any(store.manifest.content.get(key) != declared[key] for key in same):
        return None
    built_since = (
        read_report(corpus, data_dir) is not None and store.manifest.content.get("corpora", {}).get(corpus) != digest
        for corpus, digest in declared["corpora"].items()
    )
    return None if any(built_since) else store


def compile_task(
    task: seqio.Task,
    data_dir: Path,
    *,
    workers: int | None = None,
    force: bool = False,
    progress: bool = True,
    beam_options: Sequence[str] | None = None,
) -> TokenStore:
    """Compiles a task into `<data_dir>/stores/<task>`, unless its store is there already.

    The store's bytes are the same however many workers share the work, however often it was interrupted, and with
    Beam. A killed compile goes on where it stopped. Beside the store lie a report and a picture (compilation.report).

    Args:
      task: a task declared with `add_task`; its corpora must be built.
      data_dir: the folder that holds everything t5music builds.
      workers: processes that share the work, at most one for each 256 pieces; the machine's cores if None.
      force: compile even if a fitting store is there.
      progress: show a progress bar.
      beam_options: run the parts as an Apache Beam pipeline with these options (data.compilation.beam).

    Raises:
      ConfigError: fewer than one worker.
      DataError: the task gives no training example, or cannot be compiled; a corpus is not built; the disk is full;
        a worker was killed.
    """
    store = compiled(task, data_dir)
    if store is not None and not force:
        return store
    examples, _ = parts_of(task)
    source: CorpusSource = task.source
    path = stores_dir(data_dir) / task.name
    check_replaceable(path)
    described = _description(task, data_dir)
    pieces = {split: datasets.Pieces(source.corpora, split, data_dir, source.apart_from) for split in task.splits}
    counts = {split: len(found) for split, found in pieces.items()}
    described["left_out"] = {split: found.left_out for split, found in pieces.items() if found.left_out}
    del pieces  # before workers open their own
    answers = described["labels"] or ()
    described["content"] = shards.content_key(examples, answers, source.corpora, source.apart_from, data_dir)
    job, todo = shards.plan(examples, answers, source.corpora, source.apart_from, data_dir, path, counts)
    made = None if force else shards.borrow(job, path, described["content"])
    if made is None:
        work = partial(shards.compile_part, job)
        if beam_options is None:
            full = -(-sum(counts.values()) // shards.PIECES_PER_PART)  # little work is not worth processes
            workers = min(workers or os.cpu_count() or 1, max(1, full))
            parallel.run(work, todo, workers=workers, description=task.name, unit="piece", progress=progress)
        else:
            beam.run(work, todo, beam_options)
        made = shards.entries(job, shards.total(todo))
    manifest = {**described, **made}
    if "train" not in manifest["splits"]:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise DataError(f"task {task.name!r} has no training example: {reports.nothing(manifest, counts)}")
    shards.install(job, path, manifest, reports.files(manifest))
    return TokenStore.open(path, vocabulary.default())


def compile_mixture(mixture: seqio.Mixture, data_dir: Path) -> Path:
    """Writes down a mixture's tasks and rates; the tasks are compiled one by one with `compile_task`.

    Raises:
      DataError: a rate that is a function of its own; rates are numbers or t5music.data.mixing_rates.Rate.
    """
    rates: dict[str, mixing_rates.Rate] = {}
    for task in seqio.get_subtasks(mixture):
        rate = mixture.rate_per_task_name[task.name]
        if not isinstance(rate, mixing_rates.Rate | int | float):
            raise DataError(f"mixture {mixture.name!r}: the rate of {task.name!r} is neither a number nor a Rate")
        rates[task.name] = rate if isinstance(rate, mixing_rates.Rate) else mixing_rates.Constant(float(rate))
    return write_mixture(stores_dir(data_dir), mixture.name, rates)


def summary(store: TokenStore) -> str:
    """A few lines: examples, tokens, notes and hours of each split, and what was left out."""
    return "\n".join([f"{store.name}: {store.path}", *reports.short(store.manifest.content)])
