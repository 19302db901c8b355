"""Writing token stores, whole or not at all."""

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
from t5music.data.objective import Objective
from t5music.data.records import MANIFEST, VERSION, FeatureSpec, RecordCodec
from t5music.data.vocabulary import Vocabulary
from t5music.errors import DataError

SHARD_BYTES = 256 * 2**20


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
        licence: Sequence[str] = (),
        corpus: Sequence[str] = (),
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        """The folder's name is the task's.

        Args:
          path: the store's folder; made, or replaced if it is a token store.
          features: the features of an example.
          vocabulary: of the token features.
          encoding: name of the encoding.
          objectives: the steps to apply at every visit.
          metrics: names of the task's metrics.
          labels: the answers of a classification task, None for other tasks.
          examples: the config of what the task asks (data.examples), so that a model can be asked the same.
          licence, corpus: under which terms and from which corpora the music comes.
          shard_bytes: a shard is closed when it has passed this size.

        Raises DataError when the folder exists and is not a token store.
        """
        self.path = Path(path)
        if self.path.exists() and not (self.path / MANIFEST).is_file():
            raise DataError(f"{self.path} exists and is not a token store: remove it or choose another data_dir")
        self._codec = RecordCodec(features, vocabulary.size)
        self._shard_bytes = shard_bytes
        self._splits: dict[str, _SplitWriter] = {}
        self._manifest = {
            "version": VERSION,
            "kind": "task",
            "created_by": f"t5music {t5music.__version__}",
            "name": self.path.name,
            "features": {name: dataclasses.asdict(spec) for name, spec in features.items()},
            "vocabulary": {"fingerprint": vocabulary.fingerprint, "size": vocabulary.size},
            "encoding": encoding,
            "objectives": [step.to_config() for step in objectives],
            "metrics": list(metrics),
            "labels": None if labels is None else list(labels),
            "examples": None if examples is None else dict(examples),
            "licence": list(licence),
            "corpus": list(corpus),
        }
        self._token_features = [name for name, spec in features.items() if spec.kind == "tokens"]

    def __enter__(self) -> StoreWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
            self._folder.chmod(0o777 & ~_umask())  # mkdtemp makes folders private; ours are ordinary
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror or error}") from error
        return self

    def write(self, split: str, example: Mapping[str, Any], *, notes: int = 0, seconds: float = 0.0) -> None:
        """Adds an example to a split: tokens without EOS; `notes` and `seconds` of music in its targets are summed.

        Raises DataError for tokens that are not of the vocabulary, a feature that was not declared, a disk that is
        full.
        """
        if split not in self._splits:
            self._splits[split] = _SplitWriter(self._folder, split, self._token_features, self._shard_bytes)
        record, counts = self._codec.pack(example)
        try:
            self._splits[split].add(record, counts, notes, seconds)
        except (OSError, RuntimeError) as error:
            raise DataError(f"cannot write {self.path}: {error}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except (OSError, RuntimeError) as failure:
            raise DataError(f"cannot write {self.path}: {failure}") from failure
        finally:
            for split in self._splits.values():
                with contextlib.suppress(OSError, RuntimeError):  # the first failure is the one to tell
                    split.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _finish(self) -> None:
        splits = {name: split.finish() for name, split in self._splits.items()}
        manifest = json.dumps({**self._manifest, "splits": splits}, indent=2, sort_keys=True, ensure_ascii=False)
        (self._folder / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
        old = self._folder.with_name(f"{self._folder.name}.old")
        replaced = self.path.exists()
        if replaced:
            self.path.rename(old)
        try:
            self._folder.rename(self.path)
        except OSError:
            if replaced:
                old.rename(self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)


class _SplitWriter:
    """The shards and sums of one split."""

    def __init__(self, folder: Path, split: str, features: Sequence[str], shard_bytes: int) -> None:
        self._folder, self._split, self._shard_bytes = folder, split, shard_bytes
        self._writer: Any = None
        self._shards: list[Path] = []
        self._room = 0
        self._examples, self._notes, self._seconds = 0, 0, 0.0
        self._tokens = dict.fromkeys(features, 0)
        self._longest = dict.fromkeys(features, 0)

    def add(self, record: bytes, counts: Mapping[str, int], notes: int, seconds: float) -> None:
        from array_record.python.array_record_module import ArrayRecordWriter

        if self._writer is None:
            path = self._folder / f"{self._split}-{len(self._shards):05d}"
            self._writer = ArrayRecordWriter(str(path), "group_size:1")  # one record a group: fast random access
            self._shards.append(path)
            self._room = self._shard_bytes
        self._writer.write(record)
        self._room -= len(record)
        self._examples += 1
        self._notes += int(notes)
        self._seconds += float(seconds)
        for name, count in counts.items():
            self._tokens[name] += count
            self._longest[name] = max(self._longest[name], count)
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
        shards = []
        for number, path in enumerate(self._shards):
            final = path.with_name(f"{self._split}-{number:05d}-of-{len(self._shards):05d}.array_record")
            path.rename(final)
            shards.append({"file": final.name, "bytes": final.stat().st_size})
        return {
            "examples": self._examples,
            "shards": shards,
            "tokens": self._tokens,
            "max_length": self._longest,
            "notes": self._notes,
            "seconds": round(self._seconds, 6),
        }


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
