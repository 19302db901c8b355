"""Reading built corpora, TFDS datasets or piece files, with random access and without TensorFlow.

Each record is one piece: 'id', 'midi', 'group' and 'opening' (see base.merge_groups), every label by its name, and
'<name>_midi' for every further score. All values are bytes. A piece of text has its 'text', and an empty 'midi'.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from t5music.corpora import folder_records, piece_files
from t5music.corpora.base import SILENCE, Piece, built_folder, corpora_dir
from t5music.errors import DataError
from t5music.music import midi

RESERVED = ("id", "midi", "group", "opening")  # fields of every corpus
TEXT = "text"
OTHER = "_midi"
CORPUS = "corpus"  # added on reading, so that a task can ask which corpus a piece is from
FIELDS = (*RESERVED, TEXT, CORPUS)  # no label has such a name, or one that ends with OTHER


def _open(corpus_name: str, data_dir: Path) -> tuple[Path, piece_files.Description | None]:
    """The folder of a built corpus and what its piece files are; None for a TFDS dataset.

    Raises DataError if it is not built.
    """
    folder = built_folder(corpus_name, data_dir)
    if folder is None:
        raise DataError(f"corpus {corpus_name!r} is not built: {how_to_build(corpus_name, data_dir)}")
    return folder, piece_files.describe(folder)


def how_to_build(corpus_name: str, data_dir: Path) -> str:
    """The command that builds a corpus."""
    record = folder_records.read(corpus_name, data_dir)
    if record is None:
        return f"t5music corpora --build {corpus_name}"
    return f"t5music compile {'--text' if record.text else '--midi'} {shlex.quote(record.folder)} --name {corpus_name}"


def _tfds_builder(corpus_name: str, data_dir: Path) -> Any:
    if find_spec("tensorflow_datasets") is None:
        raise DataError(
            f"corpus {corpus_name!r} is a TFDS dataset, and tensorflow_datasets is not installed: "
            "pip install 't5music[data]'"
        )
    import tensorflow_datasets as tfds  # half a second, and it does not import TensorFlow

    return tfds.builder(corpus_name, data_dir=str(corpora_dir(data_dir)))


def splits(corpus_name: str, data_dir: Path) -> dict[str, int]:
    """Number of pieces of each split. Raises DataError if the corpus is not built."""
    _, description = _open(corpus_name, data_dir)
    if description is None:
        infos = _tfds_builder(corpus_name, data_dir).info.splits
        return {name: split.num_examples for name, split in infos.items()}
    return {name: split.pieces for name, split in description.splits.items()}


def records(corpus_name: str, split: str, data_dir: Path) -> Sequence[Mapping[str, bytes]]:
    """The pieces of a split, in the order in which they are stored.

    Raises:
        DataError: the corpus is not built, or has no such split.
    """
    names = splits(corpus_name, data_dir)
    if split not in names:
        raise DataError(f"corpus {corpus_name!r} has no split {split!r} (there are: {', '.join(names)})")
    folder, description = _open(corpus_name, data_dir)
    if description is None:
        return _tfds_builder(corpus_name, data_dir).as_data_source(split=split)
    return piece_files.PieceFile(folder, description, split)


def to_piece(record: Mapping[str, bytes]) -> Piece:
    """The piece of a record."""
    texts = {key: value.decode() for key, value in record.items() if key != "midi" and not key.endswith(OTHER)}
    return Piece(
        id=texts.pop("id"),
        score=midi.read(record["midi"], name=record["id"].decode()) if record["midi"] else SILENCE,
        group=texts.pop("group"),
        text=texts.pop(TEXT, ""),
        labels={key: value for key, value in texts.items() if key not in RESERVED},
        others={
            key.removesuffix(OTHER): midi.read(value, name=f"{record['id'].decode()} ({key})")
            for key, value in record.items()
            if key.endswith(OTHER) and value
        },
    )


def held_out(corpus_name: str, data_dir: Path) -> frozenset[bytes]:
    """The openings of a corpus' validation and test pieces. Raises DataError if it is not built."""
    names = [split for split in splits(corpus_name, data_dir) if split != "train"]
    return frozenset(record["opening"] for name in names for record in records(corpus_name, name, data_dir))


class Pieces(Sequence[Mapping[str, bytes]]):
    """The records of one split of one or more corpora, one corpus after the other; each also names its 'corpus'.

    No training piece opens like a validation or test piece of another of these corpora, or of those it is to be kept
    apart from. Within one corpus its own splits hold.

    Attributes:
        fields: names of the fields that the records of all the corpora have; others are left out.
        left_out: number of training pieces that are held out elsewhere.
    """

    def __init__(self, corpora: Sequence[str], split: str, data_dir: Path, apart_from: Sequence[str] = ()) -> None:
        self._sources: list[tuple[str, Sequence[Mapping[str, bytes]]]] = []
        self._places: list[tuple[int, int]] = []
        self.left_out = 0
        elsewhere = sorted({*corpora, *apart_from})
        openings_of = {name: held_out(name, data_dir) for name in elsewhere} if len(elsewhere) > 1 else {}
        for corpus in corpora:
            if split not in splits(corpus, data_dir):
                continue
            source = records(corpus, split, data_dir)
            places: Iterable[int] = range(len(source))
            if split == "train" and openings_of:
                others = [openings for name, openings in openings_of.items() if name != corpus or name in apart_from]
                forbidden = frozenset[bytes]().union(*others)
                places = [index for index in places if source[index]["opening"] not in forbidden]
                self.left_out += len(source) - len(places)
            self._places += [(len(self._sources), index) for index in places]
            self._sources.append((corpus, source))
        shared = [frozenset(source[0]) for _, source in self._sources if len(source)]
        self._stored = frozenset.intersection(*shared) if shared else frozenset()
        self.fields = self._stored | {CORPUS}

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Mapping[str, bytes]:  # type: ignore[override]
        number, place = self._places[index]
        corpus, source = self._sources[number]
        record = source[place]
        return {field: record[field] for field in self._stored} | {CORPUS: corpus.encode()}
