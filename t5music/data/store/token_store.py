"""Token stores: the compiled tokens of a task, and the files that say how tasks are mixed.

    <data_dir>/chorales/manifest.json
    <data_dir>/chorales/train-00000-of-00002.array_record ...
    <data_dir>/study.mixture.json                            {"tasks": {"chorales": {"name": "constant", "rate": 2.0}}}

Reading needs neither TensorFlow nor seqio. Nothing in a store depends on when or where it was made: compiling twice
gives the same bytes.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t5music.data import mixing_rates
from t5music.data.objectives import from_config
from t5music.data.objectives.base import Example, Objective
from t5music.data.objectives.language_model import SelectRandomChunk
from t5music.data.store.codec import MANIFEST, VERSION, FeatureSpec, RecordCodec
from t5music.data.store.writer import StoreWriter
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError, DataError, nearest
from t5music.files import write_text

__all__ = ["FeatureSpec", "Split", "StoreWriter", "TokenStore", "find", "write_mixture"]

MIXTURE_SUFFIX = ".mixture.json"
KEPT_BYTES = 64 * 2**20
BLOCK = 1024  # records that are read at once: a third of the time of reading each by itself


class TokenStore:
    """A compiled task: its manifest, and random access to the examples of its splits.

    Attributes:
      path: the folder.
      manifest: the manifest, as its JSON says.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self._splits: dict[str, Split] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str], vocabulary: Vocabulary | None = None) -> TokenStore:
        """Opens a store, and checks that it was made with `vocabulary` if that is given.

        Raises DataError for a folder without a manifest, one of another version, a missing or truncated shard, and
        another vocabulary (both fingerprints named).
        """
        folder = Path(path)
        manifest = _read_json(folder / MANIFEST, "task")
        for split, entry in manifest["splits"].items():
            for shard in entry["shards"]:
                file = folder / shard["file"]
                size = file.stat().st_size if file.is_file() else None
                if size != shard["bytes"]:
                    found = "missing" if size is None else f"{size} bytes instead of {shard['bytes']}"
                    raise DataError(f"{file} ({split}) is {found}: compile {manifest['name']} again")
        store = cls(folder, manifest)
        if vocabulary is not None:
            store.check_vocabulary(vocabulary)
        return store

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Raises DataError unless the store was made with this vocabulary."""
        made_with = self.manifest["vocabulary"]["fingerprint"]
        if made_with != vocabulary.fingerprint:
            raise DataError(
                f"store {self.path} was made with vocabulary {made_with[:16]}, not {vocabulary.fingerprint[:16]}: "
                f"compile {self.name} again"
            )

    @property
    def name(self) -> str:
        """The task's name."""
        return self.manifest["name"]

    @property
    def features(self) -> dict[str, FeatureSpec]:
        """The task's features."""
        return {name: FeatureSpec(**spec) for name, spec in self.manifest["features"].items()}

    @property
    def objectives(self) -> list[Objective]:
        """The steps that are applied at every visit."""
        return [from_config(config) for config in self.manifest["objectives"]]

    @property
    def changes(self) -> dict[str, Any]:
        """What `changed` made different, as JSON values; {} for a store as it was compiled."""
        return self.manifest.get("changes", {})

    def changed(self, *, objective: Objective | None = None, examples: int | None = None) -> TokenStore:
        """Returns the same tokens under another objective, or fewer of them; a supervised task comes back as it is.

        Args:
          objective: takes the place of the task's own; examples are cut to what it needs.
          examples: only so many training examples, evenly spread.

        Raises ConfigError for `examples` below 1.
        """
        if examples is not None and examples < 1:
            raise ConfigError(f"examples must be at least 1, not {examples}")
        if not self.manifest["objectives"] or (objective is None and examples is None):
            return self
        manifest = copy.deepcopy(self.manifest)
        if objective is not None:
            manifest["objectives"] = [step.to_config() for step in (SelectRandomChunk(), objective)]
        if examples is not None:
            train = manifest["splits"]["train"]
            train["used"] = min(train["examples"], examples)
        config = None if objective is None else objective.to_config()
        manifest["changes"] = {"objective": config, "examples": examples}
        return TokenStore(self.path, manifest)

    def examples(self, split: str) -> int:
        """Number of examples of a split. Raises DataError when the store has no such split."""
        entry = self._entry(split)
        return int(entry.get("used", entry["examples"]))

    def split(self, name: str) -> Split:
        """Random access to a split. Raises DataError when there is no such split or nothing in it."""
        if name not in self._splits:
            entry = self._entry(name)
            if not entry["examples"]:
                raise DataError(f"split {name!r} of {self.path} is empty")
            codec = RecordCodec(self.features, self.manifest["vocabulary"]["size"])
            files = [self.path / shard["file"] for shard in entry["shards"]]
            self._splits[name] = Split(files, codec, entry["examples"], entry.get("used", entry["examples"]))
        return self._splits[name]

    def _entry(self, split: str) -> dict[str, Any]:
        splits = self.manifest["splits"]
        if split not in splits:
            known = ", ".join(splits) or "none"
            raise DataError(f"{self.path} has no split {split!r} (there are: {known}){nearest(split, splits)}")
        return splits[split]


class Split:
    """The examples of one split: `len(split)`, `split[i]` -> {feature: int32 [n] or str}. Safe to share by threads.

    A split of files of up to KEPT_BYTES is kept in memory, block by block as it is asked for: most corpora of music are
    small and gone through many times, and to read a record by itself takes longer than what is done with it.
    """

    def __init__(self, files: Sequence[Path], codec: RecordCodec, examples: int, used: int) -> None:
        """`examples` are in the files; `used` of them, evenly spread, are the split."""
        from grain.sources import ArrayRecordDataSource

        self._files, self._codec = files, codec
        self._kept: dict[int, bytes] | None = None
        if sum(file.stat().st_size for file in files) <= KEPT_BYTES:
            self._kept = {}
        try:
            self._records = ArrayRecordDataSource([str(file) for file in files])
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"{files[0].parent} is damaged, compile it again: {_line(error)}") from error
        if len(self._records) != examples:
            raise DataError(f"{files[0].parent} holds {len(self._records)} of {examples} examples: compile it again")
        self._used = used

    def __len__(self) -> int:
        return self._used

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self._used:
            raise IndexError(f"example {index} of {self._used}")
        index = index * len(self._records) // self._used  # neighbours in the files are of one piece
        try:
            return self._codec.unpack(self._record(index))
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(
                f"example {index} of {self._files[0].parent} is damaged, compile it again: {_line(error)}"
            ) from error

    def _record(self, index: int) -> bytes:
        if self._kept is None:
            return self._records[index]
        if index not in self._kept:
            start = index - index % BLOCK
            block = range(start, min(start + BLOCK, len(self._records)))
            self._kept.update(zip(block, self._records.__getitems__(block), strict=True))
        return self._kept[index]


def write_mixture(stores_dir: str | os.PathLike[str], name: str, rates: Mapping[str, mixing_rates.Rate]) -> Path:
    """Writes `<stores_dir>/<name>.mixture.json`, which names tasks and their rates, and returns its path."""
    if not rates:
        raise ConfigError(f"mixture {name!r} needs at least one task")
    path = Path(stores_dir) / f"{name}{MIXTURE_SUFFIX}"
    tasks = {task: rate.to_config() for task, rate in rates.items()}
    content = {"version": VERSION, "kind": "mixture", "name": name, "tasks": tasks}
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return path


def find(
    stores_dir: str | os.PathLike[str], name: str, vocabulary: Vocabulary | None = None
) -> TokenStore | list[tuple[TokenStore, mixing_rates.Rate]]:
    """The store of a task, or the stores and rates of a mixture, compiled in `stores_dir`.

    Raises DataError when there is neither, or when a task of the mixture is missing: the message says how to compile
    it and suggests the nearest name that is there.
    """
    folder = Path(stores_dir)
    if (folder / name / MANIFEST).is_file():
        return TokenStore.open(folder / name, vocabulary)
    path = folder / f"{name}{MIXTURE_SUFFIX}"
    if not path.is_file():
        known = sorted(entry.parent.name for entry in folder.glob(f"*/{MANIFEST}"))
        known += sorted(entry.name.removesuffix(MIXTURE_SUFFIX) for entry in folder.glob(f"*{MIXTURE_SUFFIX}"))
        raise DataError(
            f"{name!r} is not compiled in {folder}: run `t5music compile {name} --data_dir {folder.parent}`"
            f"{nearest(name, known)}"
        )
    members: list[tuple[TokenStore, mixing_rates.Rate]] = []
    for task, config in _read_json(path, "mixture")["tasks"].items():
        if not (folder / task / MANIFEST).is_file():
            raise DataError(
                f"task {task!r} of mixture {name!r} is not compiled in {folder}: "
                f"run `t5music compile {name} --data_dir {folder.parent}`"
            )
        members.append((TokenStore.open(folder / task, vocabulary), mixing_rates.from_config(config)))
    return members


def _read_json(path: Path, kind: str) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path.parent} is not a token store: it has no {path.name}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read, compile it again: {error}") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise DataError(f"{path} does not describe a {kind}")
    if content.get("version") != VERSION:
        raise DataError(f"{path} has version {content.get('version')}, not {VERSION}: compile it again")
    return content


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
