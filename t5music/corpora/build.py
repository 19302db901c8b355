"""Building a corpus: its files are read in parts by as many processes as there are cores, and written as a dataset.

A built corpus lies under `<data_dir>/corpora`: one record a piece, its MIDI bytes and its labels. It is a TFDS dataset
(tfds_datasets) or, without TensorFlow, files of our own (piece_files), and the same pieces in the same order in both.
An interrupted build goes on where it stopped; the dataset is written beside an older one, whose place it then takes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import t5music
from t5music import files, locks, parallel
from t5music.corpora import datasets, piece_files, read_parts
from t5music.corpora.base import (
    SPLITS,
    Corpus,
    Entry,
    Skipped,
    assign_splits,
    corpora_dir,
    merge_groups,
    read_report,
)
from t5music.errors import DataError
from t5music.music import midi, music_files

ENTRIES_PER_PART = 128
MOST_VALUES = 200  # values of one label that a report counts, the most frequent ones


def build(
    corpus: Corpus,
    root: Path,
    data_dir: Path,
    *,
    workers: int | None = None,
    progress: bool = True,
    force: bool = False,
    as_tfds: bool = False,
) -> dict[str, Any]:
    """Builds the corpus unless it is there already, and returns its report (base.read_report).

    A second process waits for the one that builds the same corpus.

    Args:
        corpus: what to build.
        root: the folder of its files.
        data_dir: the folder that holds everything t5music builds.
        workers: processes that read; the machine's cores if None.
        progress: show a progress bar.
        force: read the files again and replace what was built.
        as_tfds: write a TFDS dataset, which needs TensorFlow; else piece files.

    Raises:
        DataError: no piece could be read, or the folder cannot be written.
    """
    report = current_report(corpus.name, data_dir)
    if report is not None and not force:
        return report
    with locks.waiting(corpora_dir(data_dir) / f".{corpus.name}{locks.FILE}", f"corpus {corpus.name}"):
        report = current_report(corpus.name, data_dir)  # of the process that had the lock
        if report is not None and not force:
            return report
        return _build(corpus, root, data_dir, workers, progress, as_tfds)


def _build(
    corpus: Corpus, root: Path, data_dir: Path, workers: int | None, progress: bool, as_tfds: bool
) -> dict[str, Any]:
    """Builds a corpus that no other process builds meanwhile; see `build`."""
    entries = list(corpus.entries(root))
    if not entries:
        raise DataError(f"corpus {corpus.name!r}: {root} holds no file of it")
    work = corpora_dir(data_dir) / f".{corpus.name}.{key(corpus, entries)}"
    todo = parallel.split(entries, ENTRIES_PER_PART, work)
    try:
        parallel.run(
            partial(read_parts.read_part, corpus.read),
            todo,
            workers=workers,
            description=f"{corpus.name} read",
            unit="file",
            progress=progress,
        )
        try:
            metadata = _write(corpus, todo, data_dir, as_tfds)
        except DataError as error:
            if not isinstance(error.__cause__, OSError):  # not the disk is at fault but the files, which may be mended
                shutil.rmtree(work, ignore_errors=True)
            raise
    except (OSError, RuntimeError) as error:  # TFDS wraps TensorFlow's in RuntimeError
        raise DataError(f"cannot write corpus {corpus.name!r} below {data_dir}: {error}") from error
    for folder in work.parent.glob(f".{corpus.name}.*/"):  # this one, and what killed builds have left
        shutil.rmtree(folder, ignore_errors=True)
    return metadata


def current_report(corpus_name: str, data_dir: Path) -> dict[str, Any] | None:
    """The report of a corpus that was built by today's rules of reading, else None."""
    report = read_report(corpus_name, data_dir)
    return report if report is not None and report.get("reading_rules") == music_files.READING_RULES else None


def key(corpus: Corpus, entries: Sequence[Entry]) -> str:
    """What is made of a corpus' files depends on this: the readers, what is known of each file, its size and time."""
    digest = hashlib.sha256(
        f"{t5music.__version__} {corpus.version} {music_files.READING_RULES} {ENTRIES_PER_PART}".encode()
    )
    digest.update(json.dumps(corpus.remarks).encode())
    for entry in entries:
        facts = json.dumps([entry.id, dict(entry.labels), entry.group, entry.split])
        size = time = -1  # a file that a table names and that is not there: its reader skips it and says so
        with contextlib.suppress(OSError):
            status = entry.path.stat()
            size, time = status.st_size, status.st_mtime_ns
        digest.update(f"{facts}\0{size}\0{time}\n".encode())
    return digest.hexdigest()[:16]


def _write(corpus: Corpus, todo: Sequence[parallel.Part[Entry]], data_dir: Path, as_tfds: bool) -> dict[str, Any]:
    """Deals the splits and writes the dataset; the music itself is in memory one part at a time."""
    skipped: dict[str, str] = {}
    mended: dict[str, list[str]] = {}
    labels: dict[str, Counter[str]] = {label: Counter() for label in corpus.labels}
    openings: list[str] = []
    declared: list[str] = []
    official: list[str | None] = []
    ids: set[str] = set()
    seconds, notes = 0.0, 0
    digest = hashlib.sha256()
    for item in read_parts.items(todo):
        if isinstance(item, Skipped):
            skipped[item.id] = item.reason
            continue
        name = str(item.fields["id"])
        if name in ids:
            raise DataError(f"corpus {corpus.name!r} has two pieces called {name!r}")
        ids.add(name)
        digest.update(repr(sorted(item.fields.items())).encode())
        openings.append(str(item.fields["opening"]))
        declared.append(item.declared_group)
        official.append(item.split)
        seconds, notes = seconds + item.seconds, notes + item.notes
        if item.mended:
            mended[name] = list(item.mended)
        for label, counter in labels.items():
            counter[str(item.fields.get(label, ""))] += 1
    if not openings:
        reasons = "; ".join(f"{n} x {reason}" for reason, n in Counter(skipped.values()).most_common(3))
        raise DataError(f"corpus {corpus.name!r}: none of its {len(skipped)} files could be used ({reasons})")
    groups = merge_groups(openings, declared)
    dealt = assign_splits(groups)
    splits = [split or dealt[group] for split, group in zip(official, groups, strict=True)]
    digest.update(repr((groups, splits)).encode())
    metadata = {
        "terms": dataclasses.asdict(corpus.terms),
        "splits": corpus.splits,
        "labels": {label: dict(sorted(counter.most_common(MOST_VALUES))) for label, counter in labels.items()},
        "others": list(corpus.others),
        "pieces": {split: count for split in SPLITS if (count := splits.count(split))},
        "groups": len(set(groups)),
        "files": sum(len(part.items) for part in todo),
        "duplicates": len(openings) - len(set(openings)),
        "seconds": round(seconds, 3),
        "notes": notes,
        "mended": mended,
        "mended_kinds": _by_kind(mended),
        "skipped": skipped,
        "skipped_kinds": _count(re.sub(r"\d+(\.\d+)?", "#", reason) for reason in skipped.values()),
        "remarks": list(corpus.remarks),
        "reading_rules": music_files.READING_RULES,
        "digest": digest.hexdigest(),
    }
    others = [f"{name}{datasets.OTHER}" for name in corpus.others]
    fields = (*datasets.RESERVED, *sorted(corpus.labels), *others, *([datasets.TEXT] if corpus.text else []))

    def pieces() -> Iterator[dict[str, bytes]]:
        read = (item for item in read_parts.items(todo) if isinstance(item, read_parts.Read))
        for piece, group in zip(read, groups, strict=True):
            values = dict.fromkeys(fields, "") | piece.fields | {"group": group}
            yield {field: _as_bytes(values[field]) for field in fields}

    numbers = {name: [n for n, each in enumerate(splits) if each == name] for name in SPLITS if name in splits}
    with files.replacing_folder(corpora_dir(data_dir) / corpus.name) as folder:  # an older one goes at the end
        if as_tfds:
            from t5music.corpora import tfds_datasets

            tfds_datasets.write(corpus, folder.parent, fields, numbers, pieces, metadata)
        else:
            piece_files.write(folder / corpus.version, fields, numbers, pieces, metadata)
    return metadata


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _by_kind(mended: Mapping[str, Sequence[str]]) -> dict[str, dict[str, int]]:
    """Of each kind of what was mended, in how many files and how often it was, the most frequent first."""
    per_file = [midi.mended_kinds(texts) for texts in mended.values()]
    files_with = _count(kind for kinds in per_file for kind in kinds)
    return {kind: {"files": n, "times": sum(kinds[kind] for kinds in per_file)} for kind, n in files_with.items()}


def _count(kinds: Iterable[str]) -> dict[str, int]:
    """How many files there are of each kind, the most frequent first."""
    return dict(Counter(kinds).most_common())


def export(corpus_name: str, data_dir: Path, split: str, folder: Path, *, force: bool = False) -> list[Path]:
    """Writes the pieces of one split as MIDI files into `folder`; returns their paths, sorted.

    `force` says whether files that exist may be replaced.

    A file has the last part of its piece's id as its name, without its suffix; where that names several, the whole id
    with `__` for the slashes; and where that does, the suffix too.

    Raises:
        ConfigError: one of the files exists; none is written then.
        DataError: the corpus is not built, has no such split, or the folder cannot be written.
    """
    pieces = datasets.records(corpus_name, split, data_dir)
    if pieces and datasets.TEXT in pieces[0]:
        raise DataError(f"corpus {corpus_name!r} is text: there is no MIDI to export")
    ids = [PurePosixPath(piece["id"].decode()) for piece in pieces]
    choices = [(name.stem, str(name.with_suffix("")).replace("/", "__"), str(name).replace("/", "__")) for name in ids]
    pieces_of = Counter(stem.casefold() for stems in choices for stem in set(stems))  # some systems ignore case
    names = [next((stem for stem in stems if pieces_of[stem.casefold()] == 1), stems[-1]) for stems in choices]
    paths = [folder / f"{name}.mid" for name in names]
    for path in paths:
        files.require_free(path, "--to", force=force)
    new = {path for path in paths if not path.exists()}
    try:
        for piece, path in zip(pieces, paths, strict=True):
            files.write_bytes(path, piece["midi"])
    except DataError:
        for path in new:  # the same command can be given again
            path.unlink(missing_ok=True)
        raise
    return sorted(paths)
