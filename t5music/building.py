"""`t5music corpora` and `t5music compile`: from music on disk to token stores. Needs the `[data]` extra."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from t5music import files
from t5music.data.corpora import catalogue, folder
from t5music.data.corpora.base import Corpus, read_report
from t5music.errors import DataError, nearest


def _needs_data_extra() -> None:
    """Imports TensorFlow and seqio, quietly. Raises DataError if they are not installed."""
    missing = [name for name in ("seqio", "tensorflow", "tensorflow_datasets") if find_spec(name) is None]
    if missing:
        raise DataError(f"{', '.join(missing)} not installed: pip install 't5music[data]'")
    # TensorFlow only reads and writes files here: no GPU memory for it, no remarks on its kernels.
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")
    # TensorFlow's libraries write to file descriptor 2 while they load, whatever the log level.
    terminal = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            import seqio  # noqa: F401
            import tensorflow as tf

            tf.constant(0)  # looks for devices, and remarks on them, now
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def list_corpora() -> None:
    """Prints the catalogue: what each corpus is, its terms, and what is built of it."""
    for corpus in catalogue.CATALOGUE.values():
        built = read_report(corpus.name, files.data_dir())
        state = "not built" if built is None else ", ".join(f"{n} {split}" for split, n in built["pieces"].items())
        print(f"{corpus.name}\n  {corpus.title}\n  source:  {corpus.source}\n  licence: {corpus.licence}")
        print(f"  labels:  {', '.join(corpus.labels) or 'none'}\n  cite:    {corpus.citation}\n  pieces:  {state}\n")


def build(names: Sequence[str], *, force: bool = False) -> None:
    """Builds catalogued corpora and prints what each of them gave."""
    corpora = [catalogue.get(name) for name in names]
    _needs_data_extra()
    for corpus in corpora:
        _build(corpus, force=force)


def export(name: str, split: str, folder: str) -> None:
    """Writes a split of a corpus as MIDI files, and builds the corpus first if need be."""
    _needs_data_extra()
    if name in catalogue.CATALOGUE and read_report(name, files.data_dir()) is None:
        _build(catalogue.get(name))
    from t5music.data.corpora import build as builder

    paths = builder.export(name, files.data_dir(), split, Path(folder))
    print(f"{folder}: {len(paths)} MIDI files, the {split} split of {name}")


def _build(corpus: Corpus, *, force: bool = False) -> dict[str, Any]:
    from t5music.data.corpora import build as builder

    report = builder.build(corpus, files.data_dir(), force=force)
    pieces = ", ".join(f"{n} {split}" for split, n in report["pieces"].items())
    skipped = f"{len(report['skipped'])} files skipped"
    print(f"{corpus.name}: {pieces} ({report['groups']} groups of near-duplicates); {skipped}")
    for reason, count in Counter(report["skipped"].values()).most_common(5):
        example = next(name for name, why in report["skipped"].items() if why == reason)
        print(f"  {count} x {reason} (for example {example})")
    return report


def compile_(
    names: Sequence[str], midi: str | None, name: str | None, *, cache: str | None = None, force: bool = False
) -> None:
    """Compiles tasks and mixtures by name, or a folder of MIDI files, and prints where the stores are.

    Args:
      names: tasks and mixtures; none with `midi`.
      midi: a folder of MIDI files.
      name: name of the folder's corpus; made of the folder's own name if None.
      cache: folder that also receives seqio's own cache of each task.
      force: compile again what is compiled already.

    Raises:
      DataError: an unknown name (with the nearest known one), nothing to compile, an empty corpus.
    """
    if bool(names) == bool(midi):
        raise DataError("compile: name a task or mixture, or give a folder with --midi (t5music compile --help)")
    _needs_data_extra()
    if midi:
        root = Path(midi)
        name = name or re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_")
        corpus = folder.corpus(root, name)
        report = _build(corpus, force=force)
        from t5music.tasks import folder as folder_tasks

        names = folder_tasks.declare(name, tuple(report["labels"].get(folder.LABEL, ())))
    compile_names(names, cache=cache, force=force)


def compile_names(names: Sequence[str], *, cache: str | None = None, force: bool = False) -> None:
    """Compiles declared tasks and mixtures; builds the corpora they need."""
    import seqio

    import t5music.tasks.mixtures  # noqa: F401  (registers every task and mixture)
    from t5music.data import compile as compiling
    from t5music.data import seqio_cache

    done: set[str] = set()
    known = [*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()]
    for name in names:
        if name not in known:
            own = "one's own folder: t5music compile --midi FOLDER --name NAME"
            raise DataError(f"unknown task or mixture {name!r}{nearest(name, known)} ({own})")
        provider = seqio.get_mixture_or_task(name)
        for task in seqio.get_subtasks(provider):
            if task.name in done:
                continue
            done.add(task.name)
            for corpus in task.source.corpora:
                if corpus in catalogue.CATALOGUE and read_report(corpus, files.data_dir()) is None:
                    _build(catalogue.get(corpus))
            store = compiling.compile_task(task, files.data_dir(), force=force)
            print(compiling.summary(store))
            if cache:
                seqio_cache.write(task, store, Path(cache))
        if isinstance(provider, seqio.Mixture):
            print(f"{name}: {compiling.compile_mixture(provider, files.data_dir())}")
