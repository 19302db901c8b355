"""What a corpus is: pieces of music with labels, their terms of use, and a split that does not leak.

Reading needs neither TensorFlow nor seqio; `build.py` turns a corpus into a TFDS dataset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t5music.music.score import Score

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Piece:
    """One piece of music read from a corpus.

    Attributes:
      id: unique in its corpus, and stable: it names the piece in stores and reports.
      score: the music.
      labels: one text per label of the corpus; '' where it is unknown.
      group: pieces of one group (near-duplicates, movements of one work) stay on one side of every split.
      split: the official split, where the corpus has one; None leaves it to `assign_splits`.
    """

    id: str
    score: Score
    labels: Mapping[str, str]
    group: str
    split: str | None = None


@dataclass(frozen=True)
class Skipped:
    """A file of a corpus that gave no piece, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """A catalogued set of files.

    Attributes:
      name: its name in TFDS, in tasks and on the command line.
      title: one line that says what it is.
      licence: the terms as the source states them.
      source: where the music comes from.
      citation: the work to cite.
      labels: label name -> the values it can take; an empty tuple where they are not known beforehand.
      read: yields the corpus' Piece and Skipped, in a stable order.
      size: number of files, for progress; called once.
      version: raised when the same files would give other pieces.
    """

    name: str
    title: str
    licence: str
    source: str
    citation: str
    read: Callable[[], Iterator[Piece | Skipped]]
    size: Callable[[], int]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: str = "1.0.0"


def assign_splits(groups: Sequence[str], validation: float = 0.1, test: float = 0.1) -> dict[str, str]:
    """Deals groups of pieces into splits, by a hash of the group's name: file order plays no part.

    Args:
      groups: the group of each piece, repeated as often as it has pieces.
      validation: share of the groups, rounded, at least one group if there are three or more.
      test: likewise.

    Returns:
      Group -> 'train', 'validation' or 'test'.
    """
    ranked = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).hexdigest())
    least = 1 if len(ranked) >= 3 else 0
    held_out = max(least, round(validation * len(ranked)))
    last = held_out + max(least, round(test * len(ranked)))
    return {
        group: "validation" if rank < held_out else "test" if rank < last else "train"
        for rank, group in enumerate(ranked)
    }


def corpora_dir(data_dir: Path) -> Path:
    """Where built corpora lie: TFDS's data_dir."""
    return data_dir / "corpora"


def read_report(corpus_name: str, data_dir: Path) -> dict[str, Any] | None:
    """What the build of a corpus read, or None if it is not built.

    Returns:
      {'pieces': {split: n}, 'groups': n, 'skipped': {file: reason}, 'labels': {label: values}, 'licence': ...}.
    """
    # TFDS writes the dataset's metadata last, below <corpus>/<version>/.
    found = sorted((corpora_dir(data_dir) / corpus_name).glob("*.*.*/metadata.json"))
    return json.loads(found[-1].read_text("utf-8")) if found else None


def relative_id(path: Path, root: Path) -> str:
    """A file's id: its path below the corpus' root, with forward slashes on every system."""
    return path.relative_to(root).as_posix()
