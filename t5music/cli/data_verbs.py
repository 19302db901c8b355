"""`t5music corpora` and `t5music compile`: from music on disk to token stores.

With the `[data]` extra, corpora of the catalogue become TFDS datasets. One's own folders never need it.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from t5music import files, locks
from t5music.corpora import catalogue, download, folder_records
from t5music.corpora.base import Corpus, read_report, report_path
from t5music.corpora.folder_records import FolderRecord
from t5music.corpora.sources import folder, texts
from t5music.errors import DataError, nearest
from t5music.files import printable_name
from t5music.storage import BucketPath, bucket_copies, path_of

DATA_EXTRA = ("seqio", "tensorflow", "tensorflow_datasets")
MOST_REASONS = 5  # why files are left out, that are printed


def _has_data_extra() -> bool:
    return all(find_spec(name) is not None for name in DATA_EXTRA)


def _import_tensorflow() -> None:
    """Imports TensorFlow, quietly, and leaves the GPUs to JAX. Raises DataError where `[data]` is not installed."""
    missing = [name for name in DATA_EXTRA if find_spec(name) is None]
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
            import tensorflow as tf

            tf.constant(0)  # looks for devices, and remarks on them, now
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible


def list_corpora(*, permissive: bool = False) -> None:
    """Prints the catalogue: what each corpus is, its terms and size, and what is on disk.

    Args:
        permissive: only corpora whose weights may be given away.
    """
    for corpus in catalogue.CATALOGUE.values():
        if permissive and not corpus.permissive:
            continue
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
            "weights": corpus.permissive and f"may be given away: {corpus.permissive}",
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
    for corpus in corpora:
        _build(corpus, source=source, accept_licence=accept_licence, workers=workers, force=force)


def export(name: str, split: str, folder: str, *, force: bool = False) -> None:
    """Writes a split of a corpus as MIDI files, over such files with `force`; builds the corpus first if need be."""
    if name in catalogue.CATALOGUE and read_report(name, files.data_dir()) is None:
        _build(catalogue.get(name))
    from t5music.corpora import build as builder

    paths = builder.export(name, files.data_dir(), split, Path(folder), force=force)
    print(f"{folder}: {len(paths)} MIDI files, the {split} split of {name}")


def leakage(names: Sequence[str], *, listed: int = 5) -> None:
    """Prints what splits of corpora and stores have in common, with at most so many pairs of pieces for each."""
    from t5music.data.store import leakage as leaking

    for comparison in leaking.between(names, files.data_dir(), files.stores_dir()):
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
            print(f"{corpus.name} was built by other rules of reading music: building it again")
        root = download.obtain(corpus, files.data_dir(), source=source, accept_licence=accept_licence)
        as_tfds = corpus.name in catalogue.CATALOGUE and _has_data_extra()
        if as_tfds:
            _import_tensorflow()
        report = builder.build(corpus, root, files.data_dir(), workers=workers, force=force, as_tfds=as_tfds)
    pieces = ", ".join(f"{n} {split}" for split, n in report["pieces"].items())
    print(
        f"{corpus.name}: {pieces} ({report['groups']} groups, {report['duplicates']} near-duplicates); "
        f"{len(report['mended'])} files mended, {len(report['skipped'])} skipped"
    )
    for line in report["remarks"]:
        print(f"  {line}")
    reasons = Counter(report["skipped"].values()).most_common(MOST_REASONS)
    for reason, count in reasons:
        example = next(name for name, why in report["skipped"].items() if why == reason)
        print(f"  {count} left out: {reason} (for example {example})")
    if len(report["skipped"]) > len(reasons):  # some are not named above
        path = report_path(corpus.name, files.data_dir())
        print(f"  all {len(report['skipped'])} by name, each with its reason: 'skipped' in {path}")
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
    if midi or text:
        from t5music.tasks import folder as folder_tasks
        from t5music.tasks import study_mixtures  # noqa: F401  (whose names a folder's may not be)

        root = path_of(midi or text or "")
        name = name or re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_")
        with locks.waiting(files.data_dir() / "folders" / f".{name}{locks.FILE}", f"folder {printable_name(root)}"):
            corpus, force = _build_folder(
                root, name, is_text=bool(text), table=table, labels=labels, folder_labels=folder_labels,
                workers=workers, force=force,
            )  # fmt: skip
        names = folder_tasks.declare(name, corpus.labels) if midi else folder_tasks.declare_text(name)
    compile_names(names, cache=cache, workers=workers, beam=beam, force=force)


def _build_folder(
    root: Path,
    name: str,
    *,
    is_text: bool,
    table: str | None,
    labels: Sequence[str],
    folder_labels: str | None,
    workers: int | None,
    force: bool,
) -> tuple[Corpus, bool]:
    """Builds the corpus of a folder; for arguments see `compile_`.

    Returns:
        The corpus, and whether its tasks must be compiled again.
    """
    from t5music.corpora import build as builder

    place, root = root, bucket_copies.copy_of_folder(root)
    record = folder_records.read(name, files.data_dir())
    answer = ""
    if is_text:
        corpus = texts.corpus(root, name)
    else:
        table_path = folder.table_of(root.expanduser(), Path(table).expanduser() if table else None)
        answer = "" if folder_labels else _answer_for(record, place)
        choice = folder_labels or answer
        if not choice and table_path is None:
            choice = answer = _ask_for_labels(root)
        corpus = folder.corpus(root, name, labels, table_path, folders_are_labels=choice == "folders")
    if record is not None and record.folder != printable_name(root.resolve()) and not force:
        raise DataError(f"{name} was built of {record.folder}: choose another name by --name, or replace it by --force")
    key = builder.key(corpus, corpus.entries(root))
    is_built = record is not None or read_report(name, files.data_dir()) is not None
    if not force and is_built and (record is None or record.key != key):
        print(f"{printable_name(place)} has changed since {name} was built: building it again")
        force = True
    _build(corpus, source=str(root), workers=workers, force=force)
    labels_of_tasks = {label: tuple(values) for label, values in corpus.labels.items()}
    record = FolderRecord(name, printable_name(place.resolve()), key, is_text, labels_of_tasks, answer)
    folder_records.write(record, files.data_dir())
    return corpus, force


def _answer_for(record: FolderRecord | None, root: Path) -> str:
    """What a person answered for this very folder, when it was compiled before; '' where nobody did."""
    is_same = record is not None and record.folder == printable_name(root.resolve())
    return record.answer if record is not None and is_same else ""


def _ask_for_labels(root: Path) -> str:
    """Asks a person at a terminal whether the sub-folders are labels; '' where there is none to ask, or no such."""
    names = folder.sub_folders(root.expanduser())
    if len(names) < 2 or not sys.stdin.isatty():
        return ""
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    print(f"{printable_name(root)} has {len(names)} sub-folders: {shown}", file=sys.stderr)
    print("Are they labels to learn to tell apart? [y/N] ", end="", file=sys.stderr, flush=True)
    return "folders" if sys.stdin.readline().strip().lower() in ("y", "yes") else "none"


def _build_for(task: str, corpus: Corpus, workers: int | None) -> None:
    """Builds a corpus that a task reads. Raises DataError that names both and says how to build it."""
    try:
        _build(corpus, workers=workers)
    except DataError as error:
        command = f"t5music corpora --build {corpus.name}"
        advice = "" if command in str(error) else f"; build it by itself with {command} (--from PATH for files at hand)"
        raise DataError(f"{task} reads corpus {corpus.name!r}, which is not built: {error}{advice}") from error


def compile_names(
    names: Sequence[str],
    *,
    cache: str | None = None,
    workers: int | None = None,
    beam: str | None = None,
    force: bool = False,
) -> None:
    """Compiles declared tasks and mixtures, those of compiled folders too; builds the corpora they need."""
    from t5music.corpora import build as builder
    from t5music.corpora import datasets
    from t5music.data import declaration
    from t5music.data.compilation import compile_task as compiling
    from t5music.data.store.token_store import write_mixture
    from t5music.tasks import folder as folder_tasks
    from t5music.tasks import study_mixtures  # noqa: F401  (declares the tasks and mixtures of the catalogue)

    place = files.stores_dir().parent
    folder_tasks.declare_built(files.data_dir())
    if cache:
        _import_tensorflow()
        import t5music.tasks.mixtures  # noqa: F401  (registers everything with seqio)
    done: set[str] = set()
    for name in names:
        declared = [*declaration.TASKS, *declaration.MIXTURES]
        if name not in declared:
            if _compile_plain(name, cache=cache, beam=beam):
                continue
            hint = "your own folder: t5music compile --midi FOLDER --name NAME; your own tasks: --module_import MODULE"
            raise DataError(f"unknown task or mixture {name!r}{nearest(name, declared)} ({hint})")
        for task in declaration.tasks_of(name):
            if task.name in done:
                continue
            done.add(task.name)
            for corpus in (*task.corpora, *task.apart_from):
                if builder.current_report(corpus, files.data_dir()) is None:
                    if corpus not in catalogue.CATALOGUE:
                        how = datasets.how_to_build(corpus, files.data_dir())
                        raise DataError(f"corpus {corpus!r} is not built, or by other rules of reading MIDI: {how}")
                    _build_for(task.name, catalogue.get(corpus), workers)
            store = compiling.compile_task(
                task,
                files.data_dir(),
                workers=workers,
                beam_options=None if beam is None else shlex.split(beam),
                bucket=place if isinstance(place, BucketPath) else None,
                force=force,
            )
            _publish(store.path)
            print(compiling.summary(store))
            if cache:
                from t5music.data.seqio_bridge import cache as seqio_cache

                seqio_cache.write(task.name, store, Path(cache), force=force)
        if name in declaration.MIXTURES:
            rates = declaration.MIXTURES[name].rates
            print(f"{name}: {_publish(write_mixture(compiling.stores_dir(files.data_dir()), name, rates))}")


def _compile_plain(name: str, *, cache: str | None, beam: str | None) -> bool:
    """Compiles a task or mixture that a module of one's own has registered with seqio; returns whether there is one."""
    if "seqio" not in sys.modules:  # so nobody has registered anything
        return False
    from t5music.data.compilation import compile_task as compiling
    from t5music.data.seqio_bridge import plain_tasks
    from t5music.data.store.token_store import write_mixture

    if not plain_tasks.is_registered(name):
        return False
    if cache is not None or beam is not None:
        flag = "--seqio_cache" if cache is not None else "--beam"
        raise DataError(f"{flag} is not for {name!r}, which seqio alone knows: leave it out, or use seqio's own cache")
    stores = compiling.stores_dir(files.data_dir())
    for task in plain_tasks.tasks_of(name):
        store = plain_tasks.compile_plain(task, stores / task.name)
        _publish(store.path)
        print(compiling.summary(store))
    rates = plain_tasks.rates_of(name)
    if rates is not None:
        print(f"{name}: {_publish(write_mixture(stores, name, rates))}")
    return True


def _publish(path: Path) -> Path:
    """Copies a compiled store or the file of a mixture to the data folder where that is in a bucket.

    Returns:
        Its path there.
    """
    from t5music.data.store import publish

    stores = files.stores_dir()
    if not isinstance(stores, BucketPath):
        return path
    target = (publish.publish_store if path.is_dir() else publish.publish_mixture)(path, stores)
    print(f"{target}: copied to the bucket")
    return target
