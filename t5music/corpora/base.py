"""What a corpus is: pieces of music with labels, terms of use, where they come from, and splits that do not leak.

Reading needs neither TensorFlow nor seqio; `build.py` turns a corpus into a dataset. A corpus is read in two
steps, so that many processes can share the work: `entries` lists what there is, in a stable order and without opening
the music; `read` makes pieces of one entry.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from t5music.corpora.listing import is_hidden
from t5music.errors import DataError, MidiError
from t5music.files import printable_name
from t5music.music import music_files
from t5music.music.score import NOTE, Score
from t5music.terms import Terms

SILENCE = Score(480, np.empty(0, NOTE))  # the music of a piece of text
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """What is known of a corpus' file before it is opened; pickled to the processes that read.

    Attributes:
        id: unique in its corpus, and stable: it names the piece in stores and reports.
        path: the file.
        labels: one text per label of the corpus; '' where it is unknown.
        group: pieces of one group (clips of one song, movements of one work) stay on one side of every split of ours;
            '' where the files say nothing about it. Near-duplicates are found by the music itself.
        split: the official split, where the corpus has one.
        more: whatever else the corpus' reader needs to know.
    """

    id: str
    path: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    split: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Piece:
    """One piece of music read from a corpus.

    Attributes:
        id, labels, group, split: as in Entry.
        score: the music.
        others: further scores that belong to it, such as the printed score of a performance.
        mended: what was wrong with the file and was mended on reading.
        text: what a piece says that is no music: its score is then SILENCE.
    """

    id: str
    score: Score
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    split: str | None = None
    others: Mapping[str, Score] = field(default_factory=dict)
    mended: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Skipped:
    """A file of a corpus that gave no piece, and why."""

    id: str
    reason: str


def read_file(entry: Entry) -> Iterator[Piece | Skipped]:
    """The reader of corpora that keep one piece in one file, MIDI or a score."""
    try:
        reading = music_files.read_mended(entry.path, name=entry.id)
    except MidiError as error:
        yield Skipped(entry.id, str(error).removeprefix(f"{entry.id}: "))
        return
    yield Piece(entry.id, reading.score, entry.labels, entry.group, entry.split, mended=reading.mended)


@dataclass(frozen=True)
class Download:
    """A file that a corpus is fetched from.

    Attributes:
        url: its official address.
        checksum: 'sha256:...' or 'md5:...' as published; '' where nobody publishes one (what arrives is then recorded).
        bytes: its size where it is known, else 0.
        file: the name it is kept under; the last part of `url` if ''.
    """

    url: str
    checksum: str = ""
    bytes: int = 0
    file: str = ""

    @property
    def name(self) -> str:
        """The name the file is kept under."""
        return self.file or self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Corpus:
    """A catalogued set of files.

    Attributes:
        name: its name in TFDS, in tasks and on the command line.
        title: one line that says what it is.
        licence: the terms as the source states them.
        source: where the music comes from (an address or a package).
        citation: the work to cite.
        entries: lists the files below a folder, in a stable order; DataError if it is not this corpus' folder.
        read: yields the Piece or Skipped of one entry; a module's function or a partial of one, for it is pickled.
        downloads: what to fetch; empty for a corpus that is on the machine already.
        installed: the folder of a corpus that comes with a Python package.
        layout: a path (glob) that must be there below the corpus' folder; the folder is looked for by it.
        labels: label name -> the values it can take; an empty tuple where they are not known beforehand.
        others: names of the further scores that pieces have.
        text: its pieces are text, not music.
        splits: one line: whose the splits are.
        hours, files: its size as its authors state it; 0 where it is not known.
        licence_id, permissive: as in `Terms`.
        version: raised when the same files would give other pieces.
        remarks: how its files were listed, a line each, for its report.
    """

    name: str
    title: str
    licence: str
    source: str
    citation: str
    entries: Callable[[Path], Sequence[Entry]]
    read: Callable[[Entry], Iterator[Piece | Skipped]] = read_file
    downloads: tuple[Download, ...] = ()
    installed: Callable[[], Path] | None = None
    layout: str = "*"
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    text: bool = False
    splits: str = "ours: 80/10/10 by piece, near-duplicates on one side"
    hours: float = 0.0
    files: int = 0
    licence_id: str = ""
    permissive: str = ""
    version: str = "1.0.0"
    remarks: tuple[str, ...] = ()

    @property
    def terms(self) -> Terms:
        """Under which terms it comes."""
        return Terms(self.name, self.licence, self.licence_id, self.permissive, self.source, self.citation)


def locate(corpus: Corpus, folder: Path) -> Path:
    """The folder in which the corpus' layout is found: `folder` itself, or one at most two levels below it.

    Raises:
        DataError: there is none.
    """
    for candidate in (folder, *sorted(folder.glob("*")), *sorted(folder.glob("*/*"))):
        if is_hidden(candidate.relative_to(folder)) or not os.path.isdir(candidate):
            continue
        if any(not is_hidden(path.relative_to(candidate)) for path in candidate.glob(corpus.layout)):
            return candidate
    raise DataError(
        f"{printable_name(folder)} is not {corpus.name}: there is no {corpus.layout} in it or up to two levels below"
    )


def merge_groups(openings: Sequence[str], declared: Sequence[str]) -> list[str]:
    """The group of each piece: together are pieces that open alike, that the corpus puts together, and so on.

    Args:
        openings: each piece's fingerprint (music.fingerprint.opening).
        declared: the corpus' own group of each piece, '' for none.

    Returns:
        Of each piece the least fingerprint of its group, so that a piece without relatives has the same group in every
        corpus.
    """
    parent: dict[str, str] = {}

    def root(opening: str) -> str:
        while parent.setdefault(opening, opening) != opening:
            parent[opening] = parent[parent[opening]]
            opening = parent[opening]
        return opening

    members: dict[str, set[str]] = defaultdict(set)
    for opening, group in zip(openings, declared, strict=True):
        if group:
            members[group].add(opening)
    for together in members.values():
        first, *rest = sorted(together)
        for other in rest:
            low, high = sorted((root(first), root(other)))
            parent[high] = low
    return [root(opening) for opening in openings]


def assign_splits(groups: Sequence[str], validation: float = 0.1, test: float = 0.1) -> dict[str, str]:
    """Deals groups of pieces into splits, each by the hash of its own name.

    Neither the order of files nor the rest of the corpus plays a part, so a piece that is in several corpora comes to
    the same side in all of them. Only where a split would stay empty the nearest group is moved there (from three
    groups on).

    Args:
        groups: the group of each piece, repeated as often as it has pieces.
        validation, test: share of the groups, on average.

    Returns:
        Group -> 'train', 'validation' or 'test'.
    """
    places = {group: int(hashlib.sha256(group.encode()).hexdigest(), 16) / 2**256 for group in set(groups)}
    ranked = sorted(places, key=lambda group: (places[group], group))
    held_out = sum(place < validation for place in places.values())
    last = sum(place < validation + test for place in places.values())
    if len(ranked) >= 3:  # none empty
        held_out = min(max(held_out, 1), len(ranked) - 2)
        last = min(max(last, held_out + 1), len(ranked) - 1)
    return {
        group: "validation" if rank < held_out else "test" if rank < last else "train"
        for rank, group in enumerate(ranked)
    }


CORPORA = "corpora"  # in a data folder
REPORT_FILE = "metadata.json"  # in a built corpus


def corpora_dir(data_dir: Path) -> Path:
    """Where built corpora lie: TFDS's data_dir."""
    return data_dir / CORPORA


def built_folder(corpus_name: str, data_dir: Path) -> Path | None:
    """The folder of a built corpus' newest version, or None if it is not built."""
    # The report is written last, below <corpus>/<version>/.
    paths = sorted((corpora_dir(data_dir) / corpus_name).glob("*.*.*/metadata.json"))
    return paths[-1].parent if paths else None


def read_report(corpus_name: str, data_dir: Path) -> dict[str, Any] | None:
    """What the build of a corpus read, or None if it is not built.

    Returns:
        {'pieces': {split: n}, 'groups': n, 'files': n, 'duplicates': n, 'seconds': s, 'notes': n,
        'mended': {file: [what]}, 'mended_kinds': {kind: {'files': n, 'times': n}},
        'skipped': {file: reason}, 'skipped_kinds': {kind: n}, 'remarks': [line],
        'labels': {label: {value: n}}, 'others': [name], 'terms': {field of Terms: ...}, 'reading_rules': ...,
        'digest': of all pieces, their groups and splits}.
    """
    path = report_path(corpus_name, data_dir)
    return None if path is None else json.loads(path.read_text("utf-8"))


def report_path(corpus_name: str, data_dir: Path) -> Path | None:
    """The file of a built corpus' report, or None if it is not built."""
    folder = built_folder(corpus_name, data_dir)
    return None if folder is None else folder / REPORT_FILE
