"""StoreWriter: writes token stores, whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import t5music
from t5music import files
from t5music.data import answer_metrics
from t5music.data.objectives.base import Objective
from t5music.data.store.codec import MANIFEST, VERSION, FeatureSpec, RecordCodec
from t5music.data.store.sums import Sums
from t5music.data.vocabulary import Vocabulary
from t5music.errors import DataError
from t5music.record_files import RecordFile, RecordWriter
from t5music.terms import Terms

SHARD_BYTES = 256 * 2**20


def describe(
    name: str,
    *,
    features: Mapping[str, FeatureSpec],
    vocabulary: Vocabulary,
    encoding: str,
    objectives: Sequence[Objective] = (),
    metrics: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    examples: Mapping[str, Any] | None = None,
    terms: Sequence[Terms] = (),
) -> dict[str, Any]:
    """Returns a store's manifest but for its splits; see StoreWriter for the arguments."""
    return {
        "version": VERSION,
        "kind": "task",
        "created_by": f"t5music {t5music.__version__}",
        "name": name,
        "features": {feature: dataclasses.asdict(spec) for feature, spec in features.items()},
        "vocabulary": {"fingerprint": vocabulary.fingerprint, "size": vocabulary.size},
        "encoding": encoding,
        "objectives": [step.to_config() for step in objectives],
        "metrics": list(metrics),
        **({"metric_modules": modules} if (modules := answer_metrics.modules(metrics)) else {}),
        "labels": None if labels is None else list(labels),
        "examples": None if examples is None else dict(examples),
        "terms": [dataclasses.asdict(each) for each in terms],
    }


def check_replaceable(path: Path) -> None:
    """Raises DataError when there is something at `path` that is not a token store."""
    if path.exists() and not (path / MANIFEST).is_file():
        raise DataError(f"{path} exists and is not a token store: remove it or choose another data_dir")


def shard_name(split: str, number: int, count: int) -> str:
    """Returns the file name of one of `count` shards of a split."""
    return f"{split}-{number:05d}-of-{count:05d}.records"


def split_entry(folder: Path, shards: Sequence[str], sums: Sums) -> dict[str, Any]:
    """Returns a split's entry in the manifest: its shards (names of files in `folder`) and its sums."""
    shard_files = [
        {"file": name, "bytes": (folder / name).stat().st_size, "digest": RecordFile(folder / name).digest}
        for name in shards
    ]
    return {**sums.to_json(), "shards": shard_files, "seconds": round(sums.seconds, 6)}


def put_in_place(folder: Path, path: Path, manifest: Mapping[str, Any]) -> None:
    """Writes the manifest into `folder`, which then takes the place of the store at `path`. Raises OSError."""
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    files.swap_in(folder, path)


class StoreWriter:
    """Writes a token store, whole or not at all:

        with StoreWriter(data_dir / "chorales", features=..., vocabulary=default(), encoding="tx1") as writer:
            writer.write("train", {"inputs": ids, "targets": ids}, notes=212, seconds=61.5)

    Everything goes to a temporary folder beside the store, which takes the store's place when the block ends without
    an error (an older store of that name goes then) and is removed otherwise.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        features: Mapping[str, FeatureSpec],
        vocabulary: Vocabulary,
        encoding: str,
        objectives: Sequence[Objective] = (),
        metrics: Sequence[str] = (),
        labels: Sequence[str] | None = None,
        examples: Mapping[str, Any] | None = None,
        terms: Sequence[Terms] = (),
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        """Begins a store; the folder's name is the task's.

        Args:
            path: the store's folder; made, or replaced if it is a token store.
            features: the features of an example.
            vocabulary: of the token features.
            encoding: name of the encoding.
            objectives: the steps to apply at every visit.
            metrics: names of the task's metrics.
            labels: the answers of a classification task, None for other tasks.
            examples: the config of what the task asks (data.examples), so that a model can be asked the same.
            terms: of the corpora that the examples come from.
            shard_bytes: a shard is closed when it has passed this size.

        Raises:
            DataError: the folder exists and is not a token store.
        """
        self.path = Path(path)
        check_replaceable(self.path)
        self._codec = RecordCodec(features, vocabulary.size)
        self._shard_bytes = shard_bytes
        self._splits: dict[str, _SplitWriter] = {}
        self._manifest = describe(
            self.path.name,
            features=features,
            vocabulary=vocabulary,
            encoding=encoding,
            objectives=objectives,
            metrics=metrics,
            labels=labels,
            examples=examples,
            terms=terms,
        )

    def __enter__(self) -> StoreWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
            self._folder.chmod(0o777 & ~_umask())  # mkdtemp makes folders private; ours are ordinary
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror or error}") from error
        return self

    def write(self, split: str, example: Mapping[str, Any], *, notes: int = 0, seconds: float = 0.0) -> None:
        """Adds an example to a split.

        Args:
            split: the split.
            example: feature -> tokens without EOS, or text.
            notes: of music in its targets; they are summed.
            seconds: likewise.

        Raises:
            DataError: tokens that are not of the vocabulary, a feature that was not declared, a full disk.
        """
        if split not in self._splits:
            self._splits[split] = _SplitWriter(self._folder, split, self._shard_bytes)
        record, counts = self._codec.pack(example)
        try:
            self._splits[split].add(record, counts, notes, seconds)
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror or error}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise DataError(f"cannot write {self.path}: {failure.strerror or failure}") from failure
        finally:
            for split in self._splits.values():
                with contextlib.suppress(OSError):  # the first failure is the one to tell
                    split.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _finish(self) -> None:
        splits = {name: split.finish() for name, split in self._splits.items()}
        put_in_place(self._folder, self.path, {**self._manifest, "splits": splits})


class _SplitWriter:
    """The shards and sums of one split."""

    def __init__(self, folder: Path, split: str, shard_bytes: int) -> None:
        self._folder, self._split, self._shard_bytes = folder, split, shard_bytes
        self._writer: RecordWriter | None = None
        self._shards: list[Path] = []
        self._room = 0
        self._sums = Sums()

    def add(self, record: bytes, counts: Mapping[str, int], notes: int, seconds: float) -> None:
        if self._writer is None:
            path = self._folder / f"{self._split}-{len(self._shards):05d}"
            self._writer = RecordWriter(path)
            self._shards.append(path)
            self._room = self._shard_bytes
        self._writer.write(record)
        self._room -= len(record)
        self._sums.add(counts, notes, seconds)
        if self._room <= 0:
            self.close()

    def close(self) -> None:
        """Closes the open shard."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def finish(self) -> dict[str, Any]:
        """Gives the shards their names and returns the split's entry in the manifest."""
        self.close()
        names = []
        for number, path in enumerate(self._shards):
            names.append(shard_name(self._split, number, len(self._shards)))
            path.rename(path.with_name(names[-1]))
        return split_entry(self._folder, names, self._sums)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
