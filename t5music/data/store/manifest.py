"""Manifest: what a token store says of itself, read and checked once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from t5music import json_files
from t5music.data import examples, objectives
from t5music.data.examples import Examples
from t5music.data.objectives import Objective
from t5music.data.own_kinds import NotImportedError
from t5music.data.store.codec import VERSION, FeatureSpec
from t5music.data.store.sums import Sums
from t5music.errors import ConfigError, DataError
from t5music.terms import Terms


@dataclasses.dataclass(frozen=True)
class Shard:
    """A record file of a split: its name in the store's folder, its size, and its digest (`record_files`)."""

    file: str
    bytes: int
    digest: str


@dataclasses.dataclass
class SplitEntry(Sums):
    """What is counted of a split (see Sums), and the files that hold its examples."""

    shards: tuple[Shard, ...] = ()


@dataclasses.dataclass(frozen=True)
class VocabularyId:
    """Which vocabulary the tokens are of: its fingerprint and its number of ids."""

    fingerprint: str
    size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a token store says of itself.

    Attributes:
        name: the task's.
        features: the features of an example.
        vocabulary: of the token features.
        encoding: name of the encoding.
        objectives: the steps to apply at every visit.
        metrics: names of the task's metrics.
        metric_modules: metric -> module, of metrics that are declared outside of t5music.
        labels: the answers of a classification task, None for other tasks.
        examples: the config of what the task asks, as `data.examples.from_config` reads it; None for plain tokens.
        terms: of the corpora that the examples come from; () where nothing is known of them.
        splits: split -> its sums and files.
        content: all of the JSON, with what a compile adds: reports of corpora, splits without examples.
        train_examples: read only so many training examples, evenly spread; None for all (`TokenStore.changed`).
        changes: what `TokenStore.changed` made different, as JSON values; {} for a store as it was compiled.
    """

    name: str
    features: Mapping[str, FeatureSpec]
    vocabulary: VocabularyId
    encoding: str
    objectives: tuple[Objective, ...]
    metrics: tuple[str, ...]
    labels: tuple[str, ...] | None
    examples: Mapping[str, Any] | None
    terms: tuple[Terms, ...]
    splits: Mapping[str, SplitEntry]
    content: Mapping[str, Any] = dataclasses.field(repr=False)
    metric_modules: Mapping[str, str] = dataclasses.field(default_factory=dict)
    train_examples: int | None = None
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads a manifest.

        Raises DataError, which names the file, for one that is missing, damaged, of another version or another shape;
        NotImportedError for an objective of a module that is not imported.
        """
        content = read_described(path, "task")
        try:
            splits = json_files.parse_value(Mapping[str, Mapping[str, Any]], content.get("splits"), "splits")
            plain = {name: value for name, value in content.items() if name in _PLAIN}
            manifest = json_files.parse(cls, {**plain, "objectives": (), "splits": {}, "content": content})
            steps = json_files.parse_value(tuple[Mapping[str, Any], ...], content.get("objectives"), "objectives")
            return dataclasses.replace(
                manifest,
                objectives=tuple(map(objectives.from_config, steps)),
                splits={name: _split(entry, f"splits.{name}") for name, entry in splits.items()},
            )
        except NotImportedError:
            raise  # it says what to do
        except (ValueError, ConfigError, DataError) as error:
            raise DataError(f"{path} does not describe a token store, compile it again: {error}") from error

    @cached_property
    def kind(self) -> Examples | None:
        """What the task asks (data.examples), None for plain tokens. Raises DataError for what is not known."""
        return None if self.examples is None else examples.from_config(self.examples)


# The fields that are read by their types alone.
_PLAIN = {
    "name",
    "features",
    "vocabulary",
    "encoding",
    "metrics",
    "metric_modules",
    "labels",
    "examples",
    "terms",
}


def read_described(path: Path, kind: str) -> dict[str, Any]:
    """Returns the JSON object of a file that describes a "task" or a "mixture".

    Raises DataError, which names the file, for one that is missing, damaged, of another kind or another version.
    """
    if not path.exists():
        raise DataError(f"{path.parent} is not a token store: it has no {path.name}")
    try:
        content = json_files.read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read, compile it again: {error}") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise DataError(f"{path} does not describe a {kind}")
    if content.get("version") != VERSION:
        raise DataError(f"{path} has version {content.get('version')}, not {VERSION}: compile it again")
    return content


def _split(entry: Mapping[str, Any], name: str) -> SplitEntry:
    """Returns a split's entry. Raises ValueError for files outside of the store, or fewer than no examples."""
    split = json_files.parse(SplitEntry, entry, name, complete=True)
    for shard in split.shards:
        if Path(shard.file).name != shard.file or "\0" in shard.file:
            raise ValueError(f"{name} has a shard {shard.file!r}, which is no file of the store")
    if split.examples < 0:
        raise ValueError(f"{name}.examples must be at least 0, not {split.examples}")
    return split
