"""Folder records: what a compile of a folder of one's own leaves behind, so that its tasks are known afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from t5music import files, json_files


@dataclass(frozen=True)
class FolderRecord:
    """What is remembered of a compiled folder.

    Attributes:
        name: the name of its corpus and mixture.
        folder: its path, as `files.printable_name` writes it.
        key: what was built depends on this (corpora.build.key).
        text: its files are text, not music.
        labels: label -> its values.
        answer: whether the sub-folders are labels, as a person answered: "folders", "none", or "" for no answer.
    """

    name: str
    folder: str
    key: str
    text: bool = False
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    answer: str = ""


def _folder(data_dir: Path) -> Path:
    return data_dir / "folders"


def write(record: FolderRecord, data_dir: Path) -> None:
    """Remembers a folder, in place of what was remembered under its name. Raises DataError for a full disk."""
    files.write_text(_folder(data_dir) / f"{record.name}.json", json.dumps(asdict(record)))


def read(name: str, data_dir: Path) -> FolderRecord | None:
    """What is remembered under a name; None where that is nothing, or damaged."""
    try:
        record = json_files.parse(FolderRecord, json_files.read_json(_folder(data_dir) / f"{name}.json"))
    except (OSError, ValueError):
        return None
    return record if record.name == name else None


def read_all(data_dir: Path) -> Iterator[FolderRecord]:
    """All that is remembered, by name."""
    for path in sorted(_folder(data_dir).glob("*.json")):
        if (record := read(path.stem, data_dir)) is not None:
            yield record
