"""Reading built corpora: TFDS datasets in ArrayRecord files, with random access and without TensorFlow.

Each record is one piece: 'id', 'midi', 'group' and 'opening' (see base.merge_groups), every label by its name, and
'<name>_midi' for every further score. All values are bytes. A piece of text has its 'text', and an empty 'midi'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from t5music.corpora.base import SILENCE, Piece, corpora_dir, read_report
from t5music.errors import DataError
from t5music.music import midi

RESERVED = ("id", "midi", "group", "opening")  # fields of every corpus
TEXT = "text"
OTHER = "_midi"
CORPUS = "corpus"  # added on reading, so that a task can ask which corpus a piece is from
FIELDS = (*RESERVED, TEXT, CORPUS)  # no label has such a name, or one that ends with OTHER


def _builder(corpus_name: str, data_dir: Path) -> Any:
    """The corpus' TFDS builder. Raises DataError if it is not built."""
    if read_report(corpus_name, data_dir) is None:
        raise DataError(f"corpus {corpus_name!r} is not built: t5music corpora --build {corpus_name}")
    import tensorflow_datasets as tfds  # half a second, and it does not import TensorFlow

    return tfds.builder(corpus_name, data_dir=str(corpora_dir(data_dir)))


def splits(corpus_name: str, data_dir: Path) -> dict[str, int]:
    """Number of pieces of each split. Raises DataError if the corpus is not built."""
    return {name: split.num_examples for name, split in _builder(corpus_name, data_dir).info.splits.items()}


def records(corpus_name: str, split: str, data_dir: Path) -> Sequence[Mapping[str, bytes]]:
    """The pieces of a split, in the order in which they are stored.

    Raises:
        DataError: the corpus is not built, or has no such split.
    """
    builder = _builder(corpus_name, data_dir)
    if split not in builder.info.splits:
        raise DataError(f"corpus {corpus_name!r} has no split {split!r} (there are: {', '.join(builder.info.splits)})")
    return builder.as_data_source(split=split)


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
