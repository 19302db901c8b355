"""Shards: a store compiled in parts, without TensorFlow: pieces in, one shard and its sums out.

Each part of a split's pieces is compiled once, by any process on any machine that sees the data folder. What is done
waits beside the store, in a folder named after everything it depends on:

    stores/.chorales.3f9c.../store/train-00002-of-00009.records   the part's examples
    stores/.chorales.3f9c.../sums/train-00002                     its sums in JSON; the part is done
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from t5music import files, music
from t5music.corpora import datasets
from t5music.corpora.base import Piece, read_report
from t5music.data import examples as kinds
from t5music.data import vocabulary
from t5music.data.examples import Example, Examples, to_config
from t5music.data.store.codec import MANIFEST, VERSION, FeatureSpec, RecordCodec
from t5music.data.store.manifest import Manifest
from t5music.data.store.sums import Sums, add_reason
from t5music.data.store.writer import check_replaceable, put_in_place, shard_name, split_entry
from t5music.errors import DataError, MidiError
from t5music.parallel import Part
from t5music.parallel import split as cut
from t5music.record_files import RecordFile, RecordWriter

FEATURES = {"inputs": FeatureSpec(), "targets": FeatureSpec(), "piece": FeatureSpec("text", add_eos=False)}
PIECES_PER_PART = 256


@dataclass(frozen=True)
class Job:
    """What a worker needs to know; pickled to it.

    Attributes:
        examples: what is made of each piece.
        answers: the label set that targets are counted by; empty for other tasks.
        corpora, apart_from, data_dir: where the pieces are (corpora.datasets.Pieces).
        folder: where the parts go.
        counts: split -> number of its parts.
    """

    examples: Examples
    answers: tuple[str, ...]
    corpora: tuple[str, ...]
    apart_from: tuple[str, ...]
    data_dir: Path
    folder: Path
    counts: Mapping[str, int]

    def shard(self, part: Part[int]) -> Path:
        """The shard of a part."""
        split, number = part.file.name.rsplit("-", 1)
        return self.folder / "store" / shard_name(split, int(number), self.counts[split])


def plan(
    examples: Examples,
    answers: Sequence[str],
    corpora: Sequence[str],
    apart_from: Sequence[str],
    data_dir: Path,
    path: Path,
    pieces: Mapping[str, int],
) -> tuple[Job, list[Part[int]]]:
    """The work of compiling a store at `path`, given the number of pieces of each split: a job, and its parts."""
    key = content_key(examples, answers, corpora, apart_from, data_dir)
    folder = path.parent / f".{path.name}.{key[:16]}"
    parts = [part for split, n in pieces.items() for part in cut(range(n), PIECES_PER_PART, folder / "sums", split)]
    counts = {split: -(-n // PIECES_PER_PART) for split, n in pieces.items()}
    return Job(examples, tuple(answers), tuple(corpora), tuple(apart_from), data_dir, folder, counts), parts


# ---------------------------------------------------------------------------------------------- what parts depend on


@functools.cache
def _code() -> str:
    """Hash of the code that makes examples of music."""
    digest = hashlib.sha256()
    for package in (music, kinds):
        root = Path(package.__file__ or "").parent
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def identity(corpus: str, data_dir: Path) -> str:
    """Hash of what the build says of a built corpus, with the digest of its pieces."""
    return hashlib.sha256(json.dumps(read_report(corpus, data_dir), sort_keys=True).encode()).hexdigest()


def content_key(
    examples: Examples, answers: Sequence[str], corpora: Sequence[str], apart_from: Sequence[str], data_dir: Path
) -> str:
    """Hash of everything that the examples depend on; stores with the same one hold the same examples."""
    depends = [
        [VERSION, PIECES_PER_PART, _code(), vocabulary.default().fingerprint],
        [to_config(examples), list(answers), list(corpora), list(apart_from)],
        [identity(corpus, data_dir) for corpus in (*corpora, *apart_from)],
    ]
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


# --------------------------------------------------------------------------------------------------------- one part


@functools.lru_cache(maxsize=4)
def _pieces(corpora: tuple[str, ...], split: str, data_dir: Path, apart_from: tuple[str, ...]) -> datasets.Pieces:
    return datasets.Pieces(corpora, split, data_dir, apart_from)


def make_examples(examples: Examples, record: Mapping[str, bytes]) -> tuple[Piece, list[Example]]:
    """The piece of a record and all its examples. Raises MidiError where the piece cannot be said in their words."""
    piece = datasets.to_piece(record)
    return piece, list(examples.examples(piece))


def compile_part(job: Job, part: Part[int]) -> None:
    """Compiles the pieces of one part into its shard and, at the end, its sums.

    A piece that cannot be said in the task's words is left out and counted. Raises DataError when the part cannot be
    written.
    """
    split = part.file.name.rsplit("-", 1)[0]
    pieces = _pieces(job.corpora, split, job.data_dir, job.apart_from)
    vocab = vocabulary.default()
    codec = RecordCodec(FEATURES, vocab.size)
    sums = Sums()
    shard = job.shard(part)
    with files.replacing(shard) as temporary, contextlib.closing(RecordWriter(temporary)) as writer:
        for index in part.items:
            for record in _records(job, pieces[index], vocab, codec, sums):
                writer.write(record)
    files.write_text(part.file, json.dumps(sums.to_json()))


def _records(
    job: Job, source: Mapping[str, bytes], vocab: vocabulary.Vocabulary, codec: RecordCodec, sums: Sums
) -> Iterable[bytes]:
    """The records of one piece's examples, which are counted."""
    name = source["id"].decode()
    sums.pieces += 1
    try:
        piece, examples = make_examples(job.examples, source)
    except MidiError as error:
        add_reason(sums.skipped, str(error).removeprefix(f"{name}: "), name)
        return
    except Exception as error:
        error.add_note(f"while compiling piece {name!r}")
        raise
    sums.without += not examples
    seconds = piece.score.duration_seconds
    for example in examples:
        targets = vocab.encode(example.targets)
        record, counts = codec.pack({"inputs": vocab.encode(example.inputs), "targets": targets, "piece": name})
        sums.add(counts, int(np.count_nonzero(vocab.is_note[targets])), seconds)
        seconds = 0.0  # a piece's length goes with its first example
        if example.targets in job.answers:
            sums.answers[example.targets] = sums.answers.get(example.targets, 0) + 1
        yield record


# -------------------------------------------------------------------------------------------------------- the whole


def total(todo: Sequence[Part[int]]) -> dict[str, Sums]:
    """The sums of each split, added up in the order of the parts. Raises DataError when a part is damaged."""
    sums: dict[str, Sums] = {}
    for part in todo:
        split = part.file.name.rsplit("-", 1)[0]
        try:
            sums.setdefault(split, Sums()).merge(Sums.from_json(json.loads(part.file.read_text("utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{part.file} is damaged, remove it: {error}") from error
    return sums


def entries(job: Job, sums: Mapping[str, Sums]) -> dict[str, Any]:
    """What the manifest says of the splits: 'splits' of those that have examples, 'without_examples' of the others."""
    splits, empty = {}, {}
    for split, counted in sums.items():
        if counted.examples:
            names = [shard_name(split, number, job.counts[split]) for number in range(job.counts[split])]
            splits[split] = split_entry(job.folder / "store", names, counted)
        else:
            empty[split] = counted.to_json()
    return {"splits": splits, "without_examples": empty}


def install(job: Job, path: Path, manifest: Mapping[str, Any], extra: Mapping[str, bytes]) -> None:
    """Puts the finished store at `path`, with further files (name -> content), and clears the work away.

    Raises DataError if the folder cannot be written; nothing that is done is lost then.
    """
    check_replaceable(path)
    folder = job.folder / "store"
    shards = {shard["file"] for entry in manifest["splits"].values() for shard in entry["shards"]}
    try:
        for file in folder.iterdir():  # what killed workers left, and shards of splits without examples
            if file.name not in shards:
                file.unlink()
        for name, content in extra.items():
            (folder / name).write_bytes(content)
        put_in_place(folder, path, manifest)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    for work in path.parent.glob(f".{path.name}.{'[0-9a-f]' * 16}"):  # of this compile, and of older declarations
        shutil.rmtree(work, ignore_errors=True)


def borrow(job: Job, path: Path, key: str) -> dict[str, Any] | None:
    """Takes over the shards of another store with the same examples; returns what `entries` would, None if none has.

    Tasks that differ only in their objectives are compiled once: their stores share files where the file system can.
    """
    for manifest_path in sorted(path.parent.glob(f"*/{MANIFEST}")):
        try:
            manifest = Manifest.read(manifest_path)
            if manifest.content.get("content") != key:
                continue
            folder = job.folder / "store"
            folder.mkdir(parents=True, exist_ok=True)
            for entry in manifest.splits.values():
                for shard in entry.shards:
                    _link(manifest_path.with_name(shard.file), folder / shard.file, shard.digest)
            return {name: manifest.content[name] for name in ("splits", "without_examples")}
        except (OSError, KeyError, DataError):
            continue  # not a store, or a damaged one
    return None


def _link(source: Path, target: Path, digest: str) -> None:
    """Makes `target` the same file as `source`, or a copy. Raises OSError or DataError for a damaged file."""
    if RecordFile(source).digest != digest:
        raise DataError(f"{source} is damaged")
    target.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
