"""Piece files: built corpora on disk without TFDS, such as those of one's own folders; a record file for each split.

    <data_dir>/corpora/<name>/<version>/train.records, validation.records, test.records
    <data_dir>/corpora/<name>/<version>/pieces.json      {"fields": [...], "splits": {"train": {"pieces", "digest"}}}
    <data_dir>/corpora/<name>/<version>/metadata.json    the report (base.read_report)

A record is the lengths of its fields, uint32 [fields], little endian, and then their bytes, in the order of `fields`.
The pieces of a split stand in the order in which TFDS would have them, so that stores of either are the same.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from t5music import json_files
from t5music.errors import DataError
from t5music.record_files import RecordFile, RecordWriter

DESCRIPTION = "pieces.json"
METADATA = "metadata.json"


@dataclass(frozen=True)
class SplitFile:
    """The number of pieces of a split, and the digest of its record file."""

    pieces: int
    digest: str


@dataclass(frozen=True)
class Description:
    """What `pieces.json` holds.

    Attributes:
        fields: names of the fields of every record, in order.
        splits: the splits that have pieces.
    """

    fields: tuple[str, ...]
    splits: Mapping[str, SplitFile]


def order(split: str, indices: Sequence[int]) -> list[int]:
    """The pieces of a split, by their numbers in the corpus, in the order of TFDS: of the MD5 of split and number."""
    return sorted(indices, key=lambda index: hashlib.md5(f"{split}{index}".encode()).digest())


def write(
    folder: Path,
    fields: Sequence[str],
    splits: Mapping[str, Sequence[int]],
    pieces: Callable[[], Iterator[Mapping[str, bytes]]],
    metadata: Mapping[str, Any],
) -> None:
    """Writes a corpus into a new folder.

    Args:
        folder: of this version of the corpus.
        fields: names of the fields.
        splits: split -> the numbers of its pieces in the corpus.
        pieces: gives all pieces of the corpus, in order; called once.
        metadata: the corpus' report.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True)
    # The pieces come in the order of the corpus and stand in another: they wait in a file that is read at random.
    waiting = RecordWriter(folder / "waiting")
    for piece in pieces():
        values = [piece[field] for field in fields]
        waiting.write(b"".join([struct.pack(f"<{len(values)}I", *map(len, values)), *values]))
    waiting.close()
    records = RecordFile(folder / "waiting")
    split_files = {}
    for split, indices in splits.items():
        writer = RecordWriter(folder / _file(split))
        for index in order(split, indices):
            writer.write(records[index])
        writer.close()
        split_files[split] = SplitFile(len(indices), RecordFile(folder / _file(split)).digest)
    del records  # a mapped file cannot be removed everywhere
    (folder / "waiting").unlink()
    (folder / DESCRIPTION).write_text(json.dumps(asdict(Description(tuple(fields), split_files))), encoding="utf-8")
    (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")


def describe(folder: Path) -> Description | None:
    """What is in the folder of a corpus' version; None if it holds no piece files. Raises DataError for damage."""
    path = folder / DESCRIPTION
    if not path.exists():
        return None
    try:
        return json_files.parse(Description, json_files.read_json(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged, build the corpus again: {error}") from error


class PieceFile(Sequence[Mapping[str, bytes]]):
    """The pieces of a split: field -> bytes."""

    def __init__(self, folder: Path, description: Description, split: str) -> None:
        """Opens a split. Raises DataError where it is missing or damaged."""
        self._records = RecordFile(folder / _file(split))
        self._fields = description.fields
        self._lengths = struct.Struct(f"<{len(self._fields)}I")
        if self._records.digest != description.splits[split].digest:
            raise DataError(f"{self._records.path} is damaged, build the corpus again: it has another digest")

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Mapping[str, bytes]:  # type: ignore[override]
        record = self._records[index]
        piece, start = {}, self._lengths.size
        for field, length in zip(self._fields, self._lengths.unpack_from(record), strict=True):
            piece[field] = record[start : start + length]
            start += length
        return piece


def _file(split: str) -> str:
    return f"{split}.records"
