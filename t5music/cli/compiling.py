"""`t5music compile`: from tasks, mixtures and one's own folders to token stores."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from t5music import files, locks
from t5music.cli import building, data_extra
from t5music.corpora import catalogue, folder_records
from t5music.corpora.base import Corpus, read_report
from t5music.corpora.folder_records import FolderRecord
from t5music.corpora.sources import folder, texts
from t5music.errors import DataError, nearest
from t5music.files import printable_name
from t5music.storage import BucketPath, bucket_copies, path_of


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
    building.build_corpus(corpus, source=str(root), workers=workers, force=force)
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
        data_extra.import_tensorflow()
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


def _build_for(task: str, corpus: Corpus, workers: int | None) -> None:
    """Builds a corpus that a task reads. Raises DataError that names both and says how to build it."""
    try:
        building.build_corpus(corpus, workers=workers)
    except DataError as error:
        command = f"t5music corpora --build {corpus.name}"
        advice = "" if command in str(error) else f"; build it by itself with {command} (--from PATH for files at hand)"
        raise DataError(f"{task} reads corpus {corpus.name!r}, which is not built: {error}{advice}") from error


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
