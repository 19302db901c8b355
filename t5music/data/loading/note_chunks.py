"""Batches of fixed rows of music, each seen once an epoch: for objectives that remember something of every place.

    batches = chunk_batches(stores, length=256, batch_size=8, seed=0, vocabulary=default())
    batch = next(batches)   # {"encoder_input_tokens": int32 [8, 256], "chunk": int32 [8], "epoch": int32 [8]}

A piece is cut where a position or a bar begins, so no note is divided. All chunks of all stores are one list, which
every epoch goes through in an order of its own; what is left of it after the last whole batch waits for the next
epoch. So the rows of a batch are different chunks, and all are of one epoch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.loading.loader import Batch, check_signature
from t5music.data.objectives.base import Objective
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import EOS_ID, Ids, Vocabulary
from t5music.errors import ConfigError, DataError
from t5music.music.encodings.remi.words import BAR, HEAD_KINDS, KIND_OF, KINDS, LEAD_KINDS, NOTE_KINDS, POS

ENCODING = "remi"
TRAIN = "train"
FAMILIES = tuple(KINDS[kind] for kind in NOTE_KINDS)  # of a note's words
SHORTEST = 0.25  # of a row: shorter ends of pieces are left out


def note_words(vocabulary: Vocabulary) -> dict[str, Any]:
    """The fields of `training.note_masking.note_masks.Words` for remi's words; arrays have `vocabulary.rows`."""
    kinds = np.full(vocabulary.rows, -1)
    kinds[: vocabulary.size] = _kinds(vocabulary)
    family = np.full(vocabulary.rows, -1, np.int32)
    for number, kind in enumerate(NOTE_KINDS):
        family[kinds == kind] = number
    return {
        "family": family,
        "head": np.isin(kinds, HEAD_KINDS),
        "leads": np.isin(kinds, LEAD_KINDS),
        "bar": kinds == BAR,
        "firsts": np.array([np.argmax(kinds == kind) for kind in NOTE_KINDS], np.int32),
        "sizes": np.array([(kinds == kind).sum() for kind in NOTE_KINDS], np.int32),
        "sentinel": vocabulary.sentinel(0),
        "sentinels": vocabulary.sentinels,
    }


def _kinds(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """int64 [size], the kind of remi's word that each id is; -1 for ids of other words."""
    return vocabulary.spread(ENCODING, KIND_OF, elsewhere=-1)


class Chunk(NamedTuple):
    """Where a row comes from: words `start` to `stop` of an example of a store."""

    store: int
    example: int
    start: int
    stop: int


def cut(tokens: Ids, length: int, begins: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where tokens are cut into chunks of at most `length`, each but the first where an id of `begins` stands.

    Only a stretch without such an id is cut wherever it is too long. Ends shorter than SHORTEST are left out.
    """
    cuts, start = [], 0
    while start < len(tokens):
        stop = min(start + length, len(tokens))
        if stop < len(tokens):
            places = np.flatnonzero(begins[tokens[start + 1 : stop + 1]])
            stop = start + 1 + int(places[-1]) if len(places) else stop
        if stop - start >= SHORTEST * length:
            cuts.append((start, stop))
        start = stop
    return cuts


def find_chunks(stores: Sequence[TokenStore], split: str, length: int, vocabulary: Vocabulary) -> list[Chunk]:
    """All rows of at most `length` tokens, EOS included, of a split; raises as `chunk_batches`."""
    begins = np.isin(_kinds(vocabulary), (BAR, POS))  # bool [size]
    chunks = []
    for number, store in enumerate(stores):
        store.check_vocabulary(vocabulary)
        if not store.objectives or store.encoding != ENCODING:
            raise ConfigError(
                f"only notes of music alone in {ENCODING}'s words can be masked, and {store.name} is "
                f"{'supervised' if not store.objectives else 'in ' + store.encoding}"
            )
        examples = store.split(split)
        for example in range(len(examples)):
            tokens = examples[example]["targets"]
            chunks += [Chunk(number, example, *place) for place in cut(tokens, length - 1, begins)]
    return chunks


def words_of(stores: Sequence[TokenStore], split: str, chunk: Chunk) -> Ids:
    """The words of a chunk as they are stored."""
    return stores[chunk.store].split(split)[chunk.example]["targets"][chunk.start : chunk.stop]


def rows_of(stores: Sequence[TokenStore], split: str, chunks: Sequence[Chunk], length: int) -> Ids:
    """The tokens of chunks as they are stored, int32 [chunks, length], each with EOS, padded."""
    rows = np.zeros((len(chunks), length), np.int32)
    for row, chunk in zip(rows, chunks, strict=True):
        words = words_of(stores, split, chunk)
        row[: len(words)], row[len(words)] = words, EOS_ID
    return rows


class ChunkBatches(Iterator[Batch]):
    """An endless iterator over batches with a position that can be saved; made by `chunk_batches`.

    Attributes:
        chunks: all rows there are.
    """

    def __init__(
        self,
        stores: Sequence[TokenStore],
        chunks: Sequence[Chunk],
        length: int,
        batch_size: int,
        rows: slice,
        augmentations: Sequence[Objective],
        vocabulary: Vocabulary,
        signature: Mapping[str, Any],
    ) -> None:
        self.chunks = chunks
        self._stores, self._length, self._batch_size, self._rows = stores, length, batch_size, rows
        self._augmentations, self._vocabulary = augmentations, vocabulary
        self._signature = dict(signature)
        self._of_store = np.array([chunk.store for chunk in chunks])
        self._order = functools.lru_cache(maxsize=2)(self._shuffle)
        self._given = 0
        self._counts = np.zeros(len(stores), np.int64)

    def __next__(self) -> Batch:
        epoch, numbers = self._visit(self._given)
        tokens = np.zeros((len(numbers), self._length), np.int32)
        for row, number in zip(tokens, numbers, strict=True):
            words = self._words(int(number), epoch)
            row[: len(words)], row[len(words)] = words, EOS_ID
        self._given += 1
        self._counts += self._count(numbers)
        return {
            "encoder_input_tokens": tokens,
            "chunk": numbers.astype(np.int32),
            "epoch": np.full(len(numbers), epoch, np.int32),
        }

    def get_state(self) -> dict[str, Any]:
        """The position after the last batch given out, in JSON values; the same on all processes."""
        return {"signature": dict(self._signature), "batches": self._given}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes to a position. Raises CheckpointError when it belongs to other data or settings."""
        check_signature(state["signature"], self._signature)
        self._given = int(state["batches"])
        self._counts[:] = 0
        for number in range(self._given):
            self._counts += self._count(self._visit(number)[1])

    def close(self) -> None:
        """Nothing has to be closed; `loader.TrainBatches` has a thread."""

    @property
    def examples_per_task(self) -> dict[str, int]:
        """Rows given out so far by this process, by their stores."""
        return {store.name: int(count) for store, count in zip(self._stores, self._counts, strict=True)}

    def _count(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(self._of_store[numbers], minlength=len(self._stores))

    def _visit(self, number: int) -> tuple[int, NDArray[np.int64]]:
        """The epoch of a batch, and its chunks, of this process."""
        epoch, place = divmod(number, len(self.chunks) // self._batch_size)
        return epoch, self._order(epoch)[place * self._batch_size : (place + 1) * self._batch_size][self._rows]

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self._signature["seed"], epoch)).permutation(len(self.chunks))

    def _words(self, number: int, epoch: int) -> Ids:
        rng = np.random.default_rng((self._signature["seed"], number, epoch))
        example: dict[str, Any] = {"targets": words_of(self._stores, TRAIN, self.chunks[number])}
        for step in self._augmentations:
            example = step(example, rng, {"inputs": self._length, "targets": self._length}, self._vocabulary)
        return example["targets"][: self._length - 1]


def chunk_batches(
    stores: Sequence[TokenStore],
    *,
    length: int,
    batch_size: int,
    seed: int,
    vocabulary: Vocabulary,
    augmentations: Sequence[Objective] = (),
    process_index: int = 0,
    process_count: int = 1,
) -> ChunkBatches:
    """Cuts the training music of stores into rows, and returns their batches.

    Args:
        stores: of music alone, in remi's words.
        length: of a row, EOS included.
        batch_size: rows of a batch over all processes.
        seed: decides the order and the augmentations, with the chunk and the epoch.
        vocabulary: must be the one the stores were made with.
        augmentations: steps applied to every chunk at every visit.
        process_index, process_count: this process's share of each batch.

    Raises:
        ConfigError: a task that is not of music alone, or of other words; sizes that do not divide.
        DataError: a store of another vocabulary, or fewer chunks than a batch has rows.
    """
    if batch_size < 1 or batch_size % process_count:
        raise ConfigError(f"the batch size ({batch_size}) must be a multiple of the number of processes")
    chunks = find_chunks(stores, TRAIN, length, vocabulary)
    if len(chunks) < batch_size:
        names = ", ".join(store.name for store in stores)
        raise DataError(f"{names}: there are {len(chunks)} rows of music, and a batch has {batch_size}")
    share = batch_size // process_count
    signature = {
        "tasks": [store.name for store in stores],
        "chunks": len(chunks),
        "length": length,
        "batch_size": batch_size,
        "seed": seed,
        "augmentations": [step.to_config() for step in augmentations],
        "vocabulary": vocabulary.fingerprint,
    }
    rows = slice(process_index * share, (process_index + 1) * share)
    return ChunkBatches(stores, chunks, length, batch_size, rows, augmentations, vocabulary, signature)
