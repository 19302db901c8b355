"""Compiling: a declared task is run once, up to its cache placeholder, into a token store.

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

from t5music import files, locks, parallel
from t5music.corpora import datasets
from t5music.corpora.base import SPLITS, read_report
from t5music.data import vocabulary
from t5music.data.compilation import beam, bucket_parts, shards
from t5music.data.compilation import report as reports
from t5music.data.declaration import Declaration
from t5music.data.examples import Classify, to_config
from t5music.data.store.token_store import TokenStore
from t5music.data.store.writer import check_replaceable, describe
from t5music.errors import DataError
from t5music.storage import BucketPath
from t5music.terms import Terms


def stores_dir(data_dir: Path) -> Path:
    """Where token stores lie."""
    return data_dir / files.STORES


def _description(task: Declaration, data_dir: Path) -> dict[str, Any]:
    """The manifest but for the splits."""
    corpus_reports = {corpus: read_report(corpus, data_dir) or {} for corpus in task.corpora}
    terms = [Terms(**report["terms"]) if report else Terms(corpus) for corpus, report in corpus_reports.items()]
    return {
        **describe(
            task.name,
            features=shards.FEATURES,
            vocabulary=vocabulary.default(),
            encoding=task.examples.encoding,
            objectives=task.objectives,
            metrics=task.metrics,
            labels=task.examples.values if isinstance(task.examples, Classify) else None,
            terms=terms,
            examples=to_config(task.examples),
        ),
        "apart_from": list(task.apart_from),
        "corpora": {corpus: reports.digest(report) for corpus, report in corpus_reports.items()},
    }


def compiled(task: Declaration, data_dir: Path) -> TokenStore | None:
    """The task's store if it is there, whole, and made of today's vocabulary, declaration and corpora, else None.

    Corpora that were removed since are not looked for.
    """
    path = stores_dir(data_dir) / task.name
    if not path.exists():
        return None
    try:
        store = TokenStore.open(path, vocabulary.default())
    except DataError:
        return None  # of another version or vocabulary, or damaged: it is compiled again
    description = _description(task, data_dir)
    fields = ("examples", "objectives", "metrics", "labels", "apart_from")
    if any(store.manifest.content.get(field) != description[field] for field in fields):
        return None
    if [terms.corpus for terms in store.manifest.terms] != list(task.corpora):
        return None
    for terms, (corpus, digest) in zip(description["terms"], description["corpora"].items(), strict=True):
        if read_report(corpus, data_dir) is None:
            continue
        stored = store.manifest.content.get("corpora", {}).get(corpus)
        if stored != digest or Terms(**terms) not in store.manifest.terms:
            return None
    return store


def compile_task(
    task: Declaration,
    data_dir: Path,
    *,
    workers: int | None = None,
    force: bool = False,
    progress: bool = True,
    beam_options: Sequence[str] | None = None,
    bucket: BucketPath | None = None,
) -> TokenStore:
    """Compiles a task into `<data_dir>/stores/<task>`, unless its store is there already.

    The store's bytes are the same however many workers share the work, however often it was interrupted, and with
    Beam. A killed compile goes on where it stopped; a second process waits for the one that compiles the same store.
    Beside the store lie a report and a picture (compilation.report).

    Args:
        task: the task; its corpora must be built.
        data_dir: the folder that holds everything t5music builds.
        workers: processes that share the work, at most one for each 256 pieces; the machine's cores if None.
        force: compile even if a fitting store is there.
        progress: show a progress bar.
        beam_options: run the parts as an Apache Beam pipeline with these options (data.compilation.beam).
        bucket: a data folder in a bucket, through which Beam's workers read corpora and give back parts where they do
            not see `data_dir` (data.compilation.bucket_parts).

    Raises:
        ConfigError: fewer than one worker.
        DataError: the task gives no training example; a corpus is not built; the disk is full; a worker was killed.
    """
    store = compiled(task, data_dir)
    if store is not None and not force:
        return store
    path = stores_dir(data_dir) / task.name
    check_replaceable(path)
    with locks.waiting(path.with_name(f".{task.name}{locks.FILE}"), f"store of {task.name}"):
        store = compiled(task, data_dir)  # by the process that had the lock
        if store is not None and not force:
            return store
        return _compile(task, data_dir, path, workers, force, progress, beam_options, bucket)


def _compile(
    task: Declaration,
    data_dir: Path,
    path: Path,
    workers: int | None,
    force: bool,
    progress: bool,
    beam_options: Sequence[str] | None,
    bucket: BucketPath | None,
) -> TokenStore:
    """Compiles a task into a store at `path`, which no other process writes meanwhile; see `compile_task`."""
    description = _description(task, data_dir)
    counts, left_out = _count_pieces(task, data_dir)
    answers = description["labels"] or ()
    description["left_out"] = {split: count for split, count in left_out.items() if count}
    description["content"] = shards.content_key(task.examples, answers, task.corpora, task.apart_from, data_dir)
    job, parts = shards.plan(task.examples, answers, task.corpora, task.apart_from, data_dir, path, counts)
    splits = None if force else shards.borrow(job, path, description["content"])
    if splits is None:
        work = partial(shards.compile_part, job)
        if beam_options is None:
            full_parts = -(-sum(counts.values()) // shards.PIECES_PER_PART)  # little work is not worth processes
            workers = min(workers or os.cpu_count() or 1, max(1, full_parts))
            parallel.run(work, parts, workers=workers, description=task.name, unit="piece", progress=progress)
        elif bucket is None:
            beam.run(work, parts, beam_options)
        else:
            bucket_parts.run(job, parts, bucket, partial(beam.run, options=beam_options))
        splits = shards.entries(job, shards.total(parts))
    manifest = {**description, **splits}
    if "train" not in manifest["splits"]:
        shutil.rmtree(job.folder, ignore_errors=True)
        raise DataError(f"task {task.name!r} has no training example: {reports.nothing(manifest, counts)}")
    shards.install(job, path, manifest, reports.files(manifest))
    return TokenStore.open(path, vocabulary.default())


def _count_pieces(task: Declaration, data_dir: Path) -> tuple[dict[str, int], dict[str, int]]:
    """By split, how many pieces there are, and how many are left out; the pieces themselves are let go of."""
    pieces = {split: datasets.Pieces(task.corpora, split, data_dir, task.apart_from) for split in SPLITS}
    return {split: len(each) for split, each in pieces.items()}, {
        split: each.left_out for split, each in pieces.items()
    }


def summary(store: TokenStore) -> str:
    """A few lines: examples, tokens, notes and hours of each split, and what was left out."""
    return "\n".join([f"{store.name}: {store.path}", *reports.short(store.manifest.content)])
