"""Token stores: the compiled tokens of a task, and the files that say how tasks are mixed.

    <data_dir>/chorales/manifest.json
    <data_dir>/chorales/train-00000-of-00002.records ...
    <data_dir>/study.mixture.json                            {"tasks": {"chorales": {"name": "constant", "rate": 2.0}}}

Reading needs neither TensorFlow nor seqio. Nothing in a store depends on when or where it was made: compiling twice
gives the same bytes.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from t5music import json_files
from t5music.data import mixing_rates
from t5music.data.examples import Examples
from t5music.data.objectives.base import Example, Objective
from t5music.data.objectives.language_model import SelectRandomChunk
from t5music.data.own_kinds import NotImportedError
from t5music.data.store.codec import MANIFEST, VERSION, FeatureSpec, RecordCodec
from t5music.data.store.manifest import Manifest, SplitEntry, read_described
from t5music.data.store.writer import StoreWriter
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError, DataError, nearest
from t5music.files import write_text
from t5music.record_files import RecordFile
from t5music.storage import BucketPath, bucket_copies, path_of

__all__ = ["FeatureSpec", "Split", "StoreWriter", "TokenStore", "find", "write_mixture"]

TRAIN = "train"
MIXTURE_SUFFIX = ".mixture.json"


class TokenStore:
    """A compiled task: what its manifest says, and random access to the examples of its splits.

    Attributes:
        path: the folder.
        manifest: what the store says of itself.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._splits: dict[str, Split] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], vocabulary: Vocabulary | None = None) -> TokenStore:
        """Opens a store, and checks that it was made with `vocabulary` if that is given.

        Raises DataError for a folder without a manifest, a manifest of another version or shape, a missing or truncated
        shard, and another vocabulary (both fingerprints named).
        """
        folder = path_of(path)
        store = cls(folder, Manifest.read(folder / MANIFEST))
        size_of = _sizes(folder)
        for split, entry in store.splits.items():
            for shard in entry.shards:
                size, file = size_of(shard.file), folder / shard.file
                if size != shard.bytes:
                    fault = "missing" if size is None else f"{size} bytes instead of {shard.bytes}"
                    raise DataError(f"{file} ({split}) is {fault}: compile {store.name} again")
        if vocabulary is not None:
            store.check_vocabulary(vocabulary)
        return store

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Raises DataError unless the store was made with this vocabulary."""
        fingerprint = self.manifest.vocabulary.fingerprint
        if fingerprint != vocabulary.fingerprint:
            raise DataError(
                f"store {self.path} was made with vocabulary {fingerprint[:16]}, not {vocabulary.fingerprint[:16]}: "
                f"compile {self.name} again"
            )

    @property
    def name(self) -> str:
        """The task's name."""
        return self.manifest.name

    @property
    def features(self) -> Mapping[str, FeatureSpec]:
        """The task's features."""
        return self.manifest.features

    @property
    def encoding(self) -> str:
        """The name of the encoding."""
        return self.manifest.encoding

    @property
    def objectives(self) -> list[Objective]:
        """The steps that are applied at every visit; none for a supervised task."""
        return list(self.manifest.objectives)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The answers of a classification task, None for other tasks."""
        return self.manifest.labels

    @property
    def kind(self) -> Examples | None:
        """What the task asks (data.examples), None for plain tokens. Raises DataError for what is not known."""
        try:
            return self.manifest.kind
        except NotImportedError:
            raise  # it says what to do
        except (ConfigError, DataError) as error:
            raise DataError(f"{self.path} has examples that cannot be read, compile it again: {error}") from error

    @property
    def splits(self) -> Mapping[str, SplitEntry]:
        """Split -> its sums and files."""
        return self.manifest.splits

    @property
    def changes(self) -> Mapping[str, Any]:
        """What `changed` made different, as JSON values; {} for a store as it was compiled."""
        return self.manifest.changes

    def changed(self, *, objective: Objective | None = None, examples: int | None = None) -> TokenStore:
        """Returns the same tokens under another objective, or fewer of them; a supervised task comes back as it is.

        Args:
            objective: takes the place of the task's own; examples are cut to what it needs.
            examples: only so many training examples, evenly spread.

        Raises:
            ConfigError: `examples` is below 1.
        """
        if examples is not None and examples < 1:
            raise ConfigError(f"examples must be at least 1, not {examples}")
        if not self.manifest.objectives or (objective is None and examples is None):
            return self
        config = None if objective is None else objective.to_config()
        manifest = dataclasses.replace(
            self.manifest,
            objectives=self.manifest.objectives if objective is None else (SelectRandomChunk(), objective),
            train_examples=self.manifest.train_examples if examples is None else examples,
            changes={"objective": config, "examples": examples},
        )
        return TokenStore(self.path, manifest)

    def examples(self, split: str) -> int:
        """Returns the number of examples of a split. Raises DataError when the store has no such split."""
        stored, limit = self._entry(split).examples, self.manifest.train_examples
        return stored if limit is None or split != TRAIN else min(stored, limit)

    def split(self, name: str) -> Split:
        """Returns random access to a split. Raises DataError when there is no such split or nothing in it."""
        if name not in self._splits:
            entry = self._entry(name)
            if not entry.examples:
                raise DataError(f"split {name!r} of {self.path} is empty")
            codec = RecordCodec(self.features, self.manifest.vocabulary.size)
            self._splits[name] = Split(self.path, entry, codec, self.examples(name))
        return self._splits[name]

    def _entry(self, split: str) -> SplitEntry:
        if split not in self.splits:
            names = ", ".join(self.splits) or "none"
            raise DataError(f"{self.path} has no split {split!r} (there are: {names}){nearest(split, self.splits)}")
        return self.splits[split]


def _sizes(folder: Path) -> Callable[[str], int | None]:
    """A function of a file's name that gives its size, None where it is missing; a bucket is asked once."""
    if isinstance(folder, BucketPath):
        return folder.sizes().get

    def size_of(name: str) -> int | None:
        file = folder / name
        return file.stat().st_size if file.is_file() else None

    return size_of


class Split:
    """The examples of one split: `len(split)`, `split[i]` -> {feature: int32 [n] or str}. Safe to share by threads."""

    def __init__(self, folder: Path, entry: SplitEntry, codec: RecordCodec, used: int) -> None:
        """Opens the files of a split. Raises DataError where they are damaged or do not hold all examples.

        Args:
            folder: the store's folder.
            entry: what the manifest says of the split.
            codec: of its records.
            used: how many of its examples, evenly spread, are the split.
        """
        self._folder, self._codec, self._used = folder, codec, used
        try:
            copies = [bucket_copies.local_copy(folder / shard.file, shard.digest) for shard in entry.shards]
            self._files = [RecordFile(copy) for copy in copies]
        except DataError as error:
            raise DataError(f"{error}; compile it again") from error
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}") from error
        for file, shard in zip(self._files, entry.shards, strict=True):
            if file.digest != shard.digest:
                if isinstance(folder, BucketPath):
                    file.path.unlink(missing_ok=True)  # a copy, which is made again
                raise DataError(f"{file.path} is damaged, compile it again: its digest is not the manifest's")
        self._starts = [0, *itertools.accumulate(map(len, self._files))]
        if self._starts[-1] != entry.examples:
            raise DataError(f"{folder} holds {self._starts[-1]} of {entry.examples} examples: compile it again")

    def __len__(self) -> int:
        return self._used

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self._used:
            raise IndexError(f"example {index} of {self._used}")
        index = index * self._starts[-1] // self._used  # neighbours in the files are of one piece
        number = bisect.bisect_right(self._starts, index) - 1
        try:
            return self._codec.unpack(self._files[number][index - self._starts[number]])
        except (DataError, ValueError) as error:
            raise DataError(f"example {index} of {self._folder} is damaged, compile it again: {error}") from error


def write_mixture(stores_dir: str | os.PathLike[str], name: str, rates: Mapping[str, mixing_rates.Rate]) -> Path:
    """Writes `<stores_dir>/<name>.mixture.json`, which names tasks and their rates, and returns its path."""
    if not rates:
        raise ConfigError(f"mixture {name!r} needs at least one task")
    path = path_of(stores_dir) / f"{name}{MIXTURE_SUFFIX}"
    tasks = {task: rate.to_config() for task, rate in rates.items()}
    content = {"version": VERSION, "kind": "mixture", "name": name, "tasks": tasks}
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return path


def find(
    stores_dir: str | os.PathLike[str], name: str, vocabulary: Vocabulary | None = None
) -> TokenStore | list[tuple[TokenStore, mixing_rates.Rate]]:
    """Returns the store of a task, or the stores and rates of a mixture, compiled in `stores_dir`.

    Raises DataError when there is neither, or when a task of the mixture is missing: the message says how to compile
    it and suggests the nearest name that is there.
    """
    folder = path_of(stores_dir)
    if (folder / name / MANIFEST).is_file():
        return TokenStore.open(folder / name, vocabulary)
    path = folder / f"{name}{MIXTURE_SUFFIX}"
    if not path.is_file():
        names = sorted(entry.parent.name for entry in folder.glob(f"*/{MANIFEST}"))
        names += sorted(entry.name.removesuffix(MIXTURE_SUFFIX) for entry in folder.glob(f"*{MIXTURE_SUFFIX}"))
        raise DataError(
            f"{name!r} is not compiled in {folder}: run `t5music compile {name} --data_dir {folder.parent}`"
            f"{nearest(name, names)}"
        )
    members: list[tuple[TokenStore, mixing_rates.Rate]] = []
    for task, rate in _rates(path).items():
        if not (folder / task / MANIFEST).is_file():
            raise DataError(
                f"task {task!r} of mixture {name!r} is not compiled in {folder}: "
                f"run `t5music compile {name} --data_dir {folder.parent}`"
            )
        members.append((TokenStore.open(folder / task, vocabulary), rate))
    return members


def _rates(path: Path) -> dict[str, mixing_rates.Rate]:
    """Returns task -> rate of a mixture's file. Raises DataError for one that is damaged."""
    tasks = read_described(path, "mixture").get("tasks")
    try:
        configs = json_files.parse_value(Mapping[str, Mapping[str, Any]], tasks, "tasks")
        return {task: mixing_rates.from_config(config) for task, config in configs.items()}
    except (ConfigError, DataError, ValueError) as error:
        raise DataError(f"{path} does not describe a mixture, compile it again: {error}") from error
