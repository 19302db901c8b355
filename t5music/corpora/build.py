"""Building a corpus as a TFDS dataset: one example a piece, its MIDI bytes and its labels.

A built corpus is an ordinary TFDS dataset under `<data_dir>/corpora`, readable without t5music:
`tfds.data_source("bach_chorales", data_dir=...)`. The files are read in parts by as many processes as there are cores;
an interrupted build goes on where it stopped. TFDS writes the dataset under a temporary name and renames it at the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

import t5music
from t5music import files, parallel
from t5music.corpora import datasets, read_parts
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
) -> dict[str, Any]:
    """Builds the corpus unless it is there already, and returns its report (base.read_report).

    Args:
        corpus: what to build.
        root: the folder of its files.
        data_dir: the folder that holds everything t5music builds.
        workers: processes that read; the machine's cores if None.
        progress: show a progress bar.
        force: read the files again and replace what was built.

    Raises:
        DataError: no piece could be read, or the folder cannot be written.
    """
    report = current_report(corpus.name, data_dir)
    if report is not None and not force:
        return report
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
            metadata = _write(corpus, todo, data_dir)
        except DataError:
            shutil.rmtree(work, ignore_errors=True)  # the files are at fault, and they may be mended
            raise
    except (OSError, RuntimeError, tf.errors.OpError) as error:  # TFDS wraps TensorFlow's in RuntimeError
        raise DataError(f"cannot write corpus {corpus.name!r} below {data_dir}: {error}") from error
    shutil.rmtree(work, ignore_errors=True)
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


def _write(corpus: Corpus, todo: Sequence[parallel.Part[Entry]], data_dir: Path) -> dict[str, Any]:
    """Deals the splits and writes the dataset; the music itself is in memory one part at a time."""
    skipped: dict[str, str] = {}
    mended: dict[str, list[str]] = {}
    labels: dict[str, Counter[str]] = {label: Counter() for label in corpus.labels}
    openings: list[str] = []
    declared: list[str] = []
    official: list[str | None] = []
    ids: set[str] = set()
    seconds, notes = 0.0, 0
    for item in read_parts.items(todo):
        if isinstance(item, Skipped):
            skipped[item.id] = item.reason
            continue
        name = str(item.fields["id"])
        if name in ids:
            raise DataError(f"corpus {corpus.name!r} has two pieces called {name!r}")
        ids.add(name)
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
    metadata = {
        "licence": corpus.licence,
        "source": corpus.source,
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
    }
    if read_report(corpus.name, data_dir) is not None:
        shutil.rmtree(corpora_dir(data_dir) / corpus.name)
    builder = _builder(corpus, data_dir, todo, splits, groups, metadata)
    tfds.disable_progress_bar()  # reading has its own bar; TFDS's are many and short
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    return metadata


def _by_kind(mended: Mapping[str, Sequence[str]]) -> dict[str, dict[str, int]]:
    """Of each kind of what was mended, in how many files and how often it was, the most frequent first."""
    per_file = [midi.mended_kinds(texts) for texts in mended.values()]
    files_with = _count(kind for kinds in per_file for kind in kinds)
    return {kind: {"files": n, "times": sum(kinds[kind] for kinds in per_file)} for kind, n in files_with.items()}


def _count(kinds: Iterable[str]) -> dict[str, int]:
    """How many files there are of each kind, the most frequent first."""
    return dict(Counter(kinds).most_common())


def export(corpus_name: str, data_dir: Path, split: str, folder: Path) -> list[Path]:
    """Writes the pieces of one split as MIDI files into `folder`; returns their paths, sorted.

    A file has the last part of its piece's id as its name, without its suffix; where that names several, the whole id
    with `__` for the slashes; and where that does, the suffix too.

    Raises:
        DataError: the corpus is not built, has no such split, or the folder cannot be written.
    """
    pieces = datasets.records(corpus_name, split, data_dir)
    if pieces and datasets.TEXT in pieces[0]:
        raise DataError(f"corpus {corpus_name!r} is text: there is no MIDI to export")
    ids = [PurePosixPath(piece["id"].decode()) for piece in pieces]
    choices = [(name.stem, str(name.with_suffix("")).replace("/", "__"), str(name).replace("/", "__")) for name in ids]
    pieces_of = Counter(stem.casefold() for stems in choices for stem in set(stems))  # some systems ignore case
    paths = []
    for piece, stems in zip(pieces, choices, strict=True):
        stem = next((stem for stem in stems if pieces_of[stem.casefold()] == 1), stems[-1])
        path = folder / f"{stem}.mid"
        files.write_bytes(path, piece["midi"])
        paths.append(path)
    return sorted(paths)


def _builder(
    corpus: Corpus,
    data_dir: Path,
    todo: Sequence[parallel.Part[Entry]],
    splits: Sequence[str],
    groups: Sequence[str],
    metadata: Mapping[str, Any],
) -> Any:
    """A TFDS builder of the corpus; its class is made here because TFDS names a dataset after its class."""
    labels = sorted(corpus.labels)
    others = [f"{name}{datasets.OTHER}" for name in corpus.others]

    def _info(self: Any) -> tfds.core.DatasetInfo:
        fields = (*datasets.RESERVED, *labels, *others, *([datasets.TEXT] if corpus.text else []))
        return self.dataset_info_from_configs(
            description=corpus.title,
            features=tfds.features.FeaturesDict({name: tfds.features.Text() for name in fields}),
            homepage=corpus.source,
            citation=corpus.citation,
            license=corpus.licence,
            metadata=tfds.core.MetadataDict(metadata),
        )

    def _generate(self: Any, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        pieces = (item for item in read_parts.items(todo) if isinstance(item, read_parts.Read))
        for index, piece in enumerate(pieces):
            if splits[index] == split:
                fields = dict.fromkeys((*labels, *others), "") | piece.fields | {"group": groups[index]}
                yield index, fields

    def _split_generators(self: Any, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in metadata["pieces"]}

    members = {
        "VERSION": tfds.core.Version(corpus.version),
        "name": corpus.name,
        "pkg_dir_path": Path(__file__).parent,
        "_info": _info,
        "_split_generators": _split_generators,
        "_generate_examples": _generate,
    }
    with tfds.core.registered.skip_registration():
        kind = type(corpus.name, (tfds.core.GeneratorBasedBuilder,), members)
    return kind(data_dir=str(corpora_dir(data_dir)), file_format="array_record")
