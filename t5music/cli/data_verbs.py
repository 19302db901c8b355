"""`t5music corpora` and `t5music compile`: from music on disk to token stores. Needs the `[data]` extra."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from t5music import files
from t5music.corpora import catalogue, download
from t5music.corpora.base import Corpus, read_report
from t5music.corpora.sources import folder, texts
from t5music.errors import DataError, nearest
from t5music.files import printable_name


def _needs_data_extra() -> None:
    """Imports TensorFlow and seqio, quietly. Raises DataError if they are not installed."""
    missing = [name for name in ("seqio", "tensorflow", "tensorflow_datasets") if find_spec(name) is None]
    if missing:
        raise DataError(f"{', '.join(missing)} not installed: pip install 't5music[data]'")
    # TensorFlow only reads and writes files here: no GPU memory for it, no remarks on its kernels. JAX, which may start
    # later in this process, sees the GPUs that there are.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
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
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible


def list_corpora() -> None:
    """Prints the catalogue: what each corpus is, its terms and size, and what is on disk."""
    for corpus in catalogue.CATALOGUE.values():
        built = read_report(corpus.name, files.data_dir())
        fetched = files.data_dir() / "downloads" / corpus.name
        if built is not None:
            pieces = ", ".join(f"{n:,} {split}" for split, n in built["pieces"].items())
            state = f"built: {pieces}; {built['seconds'] / 3600:.1f} h, {built['notes']:,} notes"
        elif corpus.installed is not None:
            state = "on this machine, not built"
        else:
            state = "fetched, not built" if fetched.is_dir() else "neither fetched nor built"
        size = [f"{corpus.files:,} files"] if corpus.files else []
        size += [f"{corpus.hours:,.0f} hours"] if corpus.hours else []
        megabytes = sum(download.bytes for download in corpus.downloads) / 1e6
        size += [f"{megabytes:,.1f} MB to fetch"] if megabytes else []
        lines = {
            "source": corpus.source,
            "licence": corpus.licence,
            "size": ", ".join(size),
            "labels": ", ".join(corpus.labels),
            "splits": corpus.splits,
            "cite": corpus.citation,
            "on disk": state,
        }
        print(f"{corpus.name}\n  {corpus.title}")
        print("".join(f"  {key + ':':<9}{value}\n" for key, value in lines.items() if value))


def build(
    names: Sequence[str],
    *,
    source: str | None = None,
    accept_licence: bool = False,
    workers: int | None = None,
    force: bool = False,
) -> None:
    """Builds catalogued corpora and prints what each of them gave.

    Args:
        names: corpora.
        source: folder or archive of the one corpus, instead of its download.
        accept_licence: accept the terms of what is downloaded.
        workers: processes that read; the machine's cores if None.
        force: build again what is built already.
    """
    corpora = [catalogue.get(name) for name in names]
    if source is not None and len(corpora) != 1:
        raise DataError(f"--from {source} is for one corpus at a time, not for {', '.join(names)}")
    _needs_data_extra()
    for corpus in corpora:
        _build(corpus, source=source, accept_licence=accept_licence, workers=workers, force=force)


def export(name: str, split: str, folder: str) -> None:
    """Writes a split of a corpus as MIDI files, and builds the corpus first if need be."""
    _needs_data_extra()
    if name in catalogue.CATALOGUE and read_report(name, files.data_dir()) is None:
        _build(catalogue.get(name))
    from t5music.corpora import build as builder

    paths = builder.export(name, files.data_dir(), split, Path(folder))
    print(f"{folder}: {len(paths)} MIDI files, the {split} split of {name}")


def leakage(names: Sequence[str], *, listed: int = 5) -> None:
    """Prints what splits of corpora and stores have in common, with at most so many pairs of pieces for each."""
    if find_spec("tensorflow_datasets") is None:
        raise DataError("tensorflow_datasets not installed: pip install 't5music[data]'")
    from t5music.data.store import leakage as leaking

    for comparison in leaking.between(names, files.data_dir(), files.data_dir() / "stores"):
        print(comparison)
        for one, other in comparison.pairs[:listed]:
            print(f"  {one} = {other}")
        if len(comparison.pairs) > listed:
            print(f"  and {len(comparison.pairs) - listed} more")


def _build(
    corpus: Corpus,
    *,
    source: str | None = None,
    accept_licence: bool = False,
    workers: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Builds a corpus, unless it is built already by today's rules of reading, and prints what it gave."""
    from t5music.corpora import build as builder

    report = builder.current_report(corpus.name, files.data_dir())
    if report is None or force:
        if read_report(corpus.name, files.data_dir()) is not None and not force:
            print(f"{corpus.name} was built by other rules of reading MIDI: building it again")
        root = download.obtain(corpus, files.data_dir(), source=source, accept_licence=accept_licence)
        report = builder.build(corpus, root, files.data_dir(), workers=workers, force=force)
    pieces = ", ".join(f"{n} {split}" for split, n in report["pieces"].items())
    print(
        f"{corpus.name}: {pieces} ({report['groups']} groups, {report['duplicates']} near-duplicates); "
        f"{len(report['mended'])} files mended, {len(report['skipped'])} skipped"
    )
    for line in report["remarks"]:
        print(f"  {line}")
    for reason, count in Counter(report["skipped"].values()).most_common(5):
        example = next(name for name, why in report["skipped"].items() if why == reason)
        print(f"  {count} left out: {reason} (for example {example})")
    return report


def compile_(
    names: Sequence[str],
    midi: str | None,
    name: str | None,
    *,
    text: str | None = None,
    table: str | None = None,
    labels: Sequence[str] = (),
    folder_labels: str | None = None,
    cache: str | None = None,
    workers: int | None = None,
    beam: str | None = None,
    force: bool = False,
) -> None:
    """Compiles tasks and mixtures by name, or a folder of MIDI or text files, and prints where the stores are.

    Args:
        names: tasks and mixtures; none with `midi` or `text`.
        midi: a folder of MIDI files.
        text: a folder of text files; see `corpora.sources.texts`.
        name: name of the folder's corpus; made of the folder's own name if None.
        table: the folder's table, if it is not its labels.csv; see `corpora.sources.folder_table`.
        labels: columns of the folder's table to take as labels.
        folder_labels: "folders" where the sub-folders are labels, "none" where they are not; a person at a terminal is
            asked, once, if None.
        cache: folder that also receives seqio's own cache of each task.
        workers: processes that share the work; the machine's cores if None.
        beam: compile as an Apache Beam pipeline with these options; see `data.compilation.beam`.
        force: compile again what is compiled already.

    Raises:
        DataError: an unknown name (with the nearest known one), nothing to compile, an empty corpus.
    """
    if [bool(names), bool(midi), bool(text)].count(True) != 1:
        raise DataError(
            "compile: name a task or mixture, or give a folder with --midi or --text (t5music compile --help)"
        )
    if not midi and (table or labels or folder_labels):
        raise DataError("compile: --table, --label and --labels go with --midi FOLDER")
    _needs_data_extra()
    if midi or text:
        root = Path(midi or text or "")
        name = name or re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_")
        memory = files.data_dir() / "folders" / f"{name}.json"
        remembered = _remembered(memory, root)
        if midi:
            table_path = folder.table_of(root.expanduser(), Path(table).expanduser() if table else None)
            answer = folder_labels or remembered.get("labels") or (table_path is None and _ask_for_labels(root))
            corpus = folder.corpus(root, name, labels, table_path, folders_are_labels=answer == "folders")
        else:
            answer, corpus = None, texts.corpus(root, name)
        from t5music.corpora import build as builder

        key = builder.key(corpus, corpus.entries(root))
        is_built = remembered or read_report(name, files.data_dir()) is not None
        if not force and is_built and remembered.get("key") != key:
            print(f"{printable_name(root)} has changed since {name} was built: building it again")
            force = True
        _build(corpus, source=str(root), workers=workers, force=force)
        state = {"folder": printable_name(root.resolve()), "key": key}
        if not folder_labels and answer:
            state["labels"] = answer
        files.write_text(memory, json.dumps(state))
        from t5music.tasks import folder as folder_tasks

        names = folder_tasks.declare(name, corpus.labels) if midi else folder_tasks.declare_text(name)
    compile_names(names, cache=cache, workers=workers, beam=beam, force=force)


def _remembered(memory: Path, root: Path) -> dict[str, str]:
    """What an earlier compile of this name left: the key of what was built and, of the same folder, the answer."""
    try:
        state = json.loads(memory.read_text("utf-8"))
        remembered = {"key": str(state["key"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    if state.get("folder") == printable_name(root.resolve()) and "labels" in state:
        remembered["labels"] = state["labels"]
    return remembered


def _ask_for_labels(root: Path) -> str | None:
    """Asks a person at a terminal whether the sub-folders are labels; None where there is none to ask, or no such."""
    names = folder.sub_folders(root.expanduser())
    if len(names) < 2 or not sys.stdin.isatty():
        return None
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    print(f"{printable_name(root)} has {len(names)} sub-folders: {shown}", file=sys.stderr)
    print("Are they labels to learn to tell apart? [y/N] ", end="", file=sys.stderr, flush=True)
    return "folders" if sys.stdin.readline().strip().lower() in ("y", "yes") else "none"


def compile_names(
    names: Sequence[str],
    *,
    cache: str | None = None,
    workers: int | None = None,
    beam: str | None = None,
    force: bool = False,
) -> None:
    """Compiles declared tasks and mixtures; builds the corpora they need."""
    import seqio

    import t5music.tasks.mixtures  # noqa: F401  (registers every task and mixture)
    from t5music.corpora import build as builder
    from t5music.data.compilation import compile_task as compiling
    from t5music.data.seqio_bridge import cache as seqio_cache
    from t5music.data.seqio_bridge.tasks import declaration_of, rates_of
    from t5music.data.store.token_store import write_mixture

    done: set[str] = set()
    declared = [*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()]
    for name in names:
        if name not in declared:
            hint = "your own folder: t5music compile --midi FOLDER --name NAME; your own tasks: --module_import MODULE"
            raise DataError(f"unknown task or mixture {name!r}{nearest(name, declared)} ({hint})")
        provider = seqio.get_mixture_or_task(name)
        for task in seqio.get_subtasks(provider):
            if task.name in done:
                continue
            done.add(task.name)
            declaration = declaration_of(task)
            for corpus in (*declaration.corpora, *declaration.apart_from):
                if corpus in catalogue.CATALOGUE and builder.current_report(corpus, files.data_dir()) is None:
                    _build(catalogue.get(corpus), workers=workers)
            store = compiling.compile_task(
                declaration,
                files.data_dir(),
                workers=workers,
                beam_options=None if beam is None else shlex.split(beam),
                force=force,
            )
            print(compiling.summary(store))
            if cache:
                seqio_cache.write(task, store, Path(cache))
        if isinstance(provider, seqio.Mixture):
            rates = rates_of(provider)
            print(f"{name}: {write_mixture(compiling.stores_dir(files.data_dir()), name, rates)}")
