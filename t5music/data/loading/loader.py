"""Loader: batches from token stores, mixed, noised and packed, in an order that no machine, thread or crash changes.

    stores = store.find(data_dir, "quickstart_pretrain")
    batches = train_batches(stores, feature_lengths={"inputs": 512, "targets": 114}, batch_size=32, seed=0,
                            vocabulary=default())
    batch = next(batches)                # {"encoder_input_tokens": int32 [32, 512], ...}
    state = batches.get_state()          # JSON; a new loader given it continues bit for bit

A batch is rows of a fixed number of lanes, in lane order. A process reads the lanes that are its share, so the batches
of all processes, one after the other, are the batch of a single process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t5music.data import mixing_rates
from t5music.data.loading import mixing_order
from t5music.data.loading.label_rows import LabelRows, check_echoes, label_set
from t5music.data.loading.lanes import Lane, LaneState
from t5music.data.loading.packing import Pair, assemble
from t5music.data.loading.prefetch import Prefetch
from t5music.data.loading.task_stream import TaskStream, check_lengths
from t5music.data.objectives.base import Objective
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import Vocabulary
from t5music.errors import CheckpointError, ConfigError, DataError

Batch = dict[str, NDArray]
AssembleRows = Callable[[Sequence[Sequence[Pair]]], Batch]

DEFAULT_LANES = 8


def train_batches(
    stores_and_rates: TokenStore | Sequence[tuple[TokenStore, mixing_rates.Rate]],
    *,
    feature_lengths: Mapping[str, int],
    batch_size: int,
    seed: int,
    vocabulary: Vocabulary,
    augmentations: Sequence[Objective] = (),
    pack: bool = True,
    decoder_only: bool = False,
    head: str | None = None,
    lanes: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    prefetch: int = 2,
    split: str = "train",
) -> TrainBatches:
    """An endless stream of training batches.

    Args:
        stores_and_rates: what `store.find` returns: one store, or the stores of a mixture with their rates.
        feature_lengths: row lengths of "inputs" and "targets", EOS included. Longer examples are trimmed.
        batch_size: rows of a batch over all processes; a multiple of `lanes`.
        seed: decides order and noise, with the task, the example and the epoch.
        vocabulary: must be the one the stores were made with.
        augmentations: steps applied to every example before its task's objectives.
        pack: several examples in a row, with segment ids.
        decoder_only: rows for a model without an encoder, inputs and targets in one sequence (see packing.assemble).
        head: rows for an encoder alone under such a head (see data.loading.label_rows), which are not packed.
        lanes: independent streams; a multiple of `process_count`. Part of the order: two runs with the same number of
            lanes see the same batches on any number of processes. Default: gcd(batch_size, 8).
        process_index, process_count: this process's share; it gets batch_size / process_count rows.
        prefetch: batches made ahead in a thread; 0 makes each when it is due.
        split: the split to read.

    Raises:
        ConfigError: sizes that do not divide, missing feature lengths, tasks without the labels that a head predicts.
        DataError: stores of another vocabulary, without the split, or with nothing in it.
    """
    members = [(stores_and_rates, mixing_rates.EQUAL)] if isinstance(stores_and_rates, TokenStore) else stores_and_rates
    stores = [store for store, _ in members]
    rates = {store.name: rate for store, rate in members}
    lanes = math.gcd(batch_size, DEFAULT_LANES) if lanes is None else lanes
    process_lanes = _lanes_of_process(lanes, batch_size, process_index, process_count)
    lengths = check_lengths(feature_lengths)
    rows = _row_maker(stores, lengths, vocabulary, packed=pack, decoder_only=decoder_only, head=head)
    streams = [
        TaskStream(store, split, feature_lengths=lengths, vocabulary=vocabulary, seed=seed, augmentations=augmentations)
        for store in stores
    ]
    if len(rates) != len(members):
        raise ConfigError(f"a mixture must name each task once, not {', '.join(store.name for store in stores)}")
    shares = mixing_order.resolve(rates, {stream.name: len(stream.examples) for stream in streams})
    starts = mixing_order.lane_starts(list(shares.values()), lanes)
    readers = {
        lane: Lane(
            streams,
            list(shares.values()),
            lane=lane,
            lanes=lanes,
            start=starts[lane],
            lengths=lengths,
            pack=pack,
            decoder_only=decoder_only,
        )
        for lane in process_lanes
    }
    signature = {
        "tasks": list(shares),
        "shares": list(shares.values()),
        "examples": [len(stream.examples) for stream in streams],
        "feature_lengths": lengths,
        "seed": seed,
        "split": split,
        "augmentations": [step.to_config() for step in augmentations],
        "lanes": lanes,
        "pack": pack,
        "decoder_only": decoder_only,
        "head": head,
        "changes": {store.name: store.changes for store in stores if store.changes},
        "vocabulary": vocabulary.fingerprint,
    }
    return TrainBatches(readers, batch_size // lanes, rows, signature, prefetch)


def _lanes_of_process(lanes: int, batch_size: int, process_index: int, process_count: int) -> range:
    """The lanes that a process reads. Raises ConfigError for sizes that do not divide."""
    if batch_size < 1 or lanes < 1 or batch_size % lanes:
        raise ConfigError(f"the batch size ({batch_size}) must be a multiple of the number of lanes ({lanes})")
    if process_count < 1 or lanes % process_count or not 0 <= process_index < process_count:
        raise ConfigError(
            f"{lanes} lanes cannot be shared by {process_count} processes (this is number {process_index}): "
            f"choose a number of lanes that is a multiple of {process_count} and divides the batch size ({batch_size})"
        )
    return range(process_index * lanes // process_count, (process_index + 1) * lanes // process_count)


def _row_maker(
    stores: Sequence[TokenStore],
    lengths: Mapping[str, int],
    vocabulary: Vocabulary,
    *,
    packed: bool,
    decoder_only: bool,
    head: str | None,
) -> AssembleRows:
    """What makes batches of rows for the kind of model that is to read them."""
    if head is None:
        check_echoes(stores)
        return partial(assemble, lengths=lengths, packed=packed, decoder_only=decoder_only)
    if packed:
        raise ConfigError(
            f"TrainingData.pack must be False with the head {head!r}: a row of an encoder alone is one example"
        )
    return LabelRows(head, label_set(stores, head), lengths["inputs"], vocabulary)


class TrainBatches(Iterator[Batch]):
    """An iterator over batches with a position that can be saved; made by `train_batches`.

    A batch holds numpy arrays, rows of this process only (see packing.assemble). The prefetching thread ends with the
    iterator, or with `close`.
    """

    def __init__(
        self,
        lanes: Mapping[int, Lane],
        rows_per_lane: int,
        assemble_rows: AssembleRows,
        signature: Mapping[str, Any],
        prefetch: int,
    ) -> None:
        self._signature = dict(signature)
        batches = _Batches(lanes, rows_per_lane, assemble_rows)
        self._iterator = Prefetch(batches, prefetch) if prefetch > 0 else batches

    def __next__(self) -> Batch:
        return next(self._iterator)

    def close(self) -> None:
        """Ends the prefetching thread, if there is one, and waits for it."""
        self._iterator.close()

    def get_state(self) -> dict[str, Any]:
        """The position after the last batch given out, in JSON values; a few kilobytes.

        {"signature": what the order depends on, "lanes": {"0": ..., "1": ...}}: the lanes of this process.
        """
        states = self._iterator.get_state()
        return {
            "signature": dict(self._signature),
            "lanes": {str(lane): state.to_json() for lane, state in states.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Goes to a position: the next batches are, bit for bit, those that followed it.

        The state may come from another number of processes, once `merge_states` has put their lanes together. Raises
        CheckpointError when it belongs to other data or settings, or lacks lanes of this process.
        """
        check_signature(state["signature"], self._signature)
        lanes = self._iterator.get_state()
        missing = [lane for lane in lanes if str(lane) not in state["lanes"]]
        if missing:
            raise CheckpointError(
                f"the saved data position lacks lanes {missing}: merge the positions of all the processes that saved it"
            )
        self._iterator.set_state({lane: LaneState.from_json(state["lanes"][str(lane)]) for lane in lanes})

    @property
    def examples_per_task(self) -> dict[str, int]:
        """Examples in the batches given out so far, over this process's lanes."""
        states = self._iterator.get_state()
        sums = np.sum([state.delivered for state in states.values()], axis=0).tolist()
        return dict(zip(self._signature["tasks"], sums, strict=True))


class _Batches:
    """The batches of some lanes, each made when it is due."""

    def __init__(self, lanes: Mapping[int, Lane], rows_per_lane: int, assemble_rows: AssembleRows) -> None:
        self._lanes, self._rows_per_lane, self._assemble_rows = lanes, rows_per_lane, assemble_rows

    def __next__(self) -> Batch:
        rows = [lane.row() for lane in self._lanes.values() for _ in range(self._rows_per_lane)]
        return self._assemble_rows(rows)

    def get_state(self) -> dict[int, LaneState]:
        return {number: lane.state() for number, lane in self._lanes.items()}

    def set_state(self, state: Mapping[int, LaneState]) -> None:
        for number, lane in self._lanes.items():
            lane.restore(state[number])

    def close(self) -> None:
        """Nothing is made ahead."""


def check_signature(saved: Mapping[str, Any], signature: Mapping[str, Any]) -> None:
    """Raises CheckpointError, naming what differs, unless a saved position is of the stream with this signature."""
    for key, value in signature.items():
        if saved.get(key) != value:
            raise CheckpointError(
                f"the saved data position belongs to another stream: {key} was {saved.get(key)}, now it is {value}"
            )


def merge_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The position of all processes together, from each process's `get_state`."""
    merged: dict[str, Any] = {"signature": dict(states[0]["signature"]), "lanes": {}}
    for state in states:
        check_signature(state["signature"], merged["signature"])
        merged["lanes"].update(state["lanes"])
    return merged


class EvalBatches:
    """The batches of one split, every example once and in order; made by `eval_batches`. Can be gone through again.

    Attributes:
        examples: the indices of the examples, in order.
    """

    def __init__(
        self, stream: TaskStream, assemble_rows: AssembleRows, batch_size: int, examples: Sequence[int]
    ) -> None:
        self._stream, self._assemble_rows = stream, assemble_rows
        self._batch_size, self.examples = batch_size, list(examples)

    def __len__(self) -> int:
        return -(-len(self.examples) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        anything = False
        for first in range(0, len(self.examples), self._batch_size):
            indices = self.examples[first : first + self._batch_size]
            pairs = [self._stream.pair(index, 0) for index in indices]
            anything = anything or any(map(self._stream.has_targets, pairs))
            padding = self._batch_size - len(pairs)
            empty: list[list[Pair]] = [[] for _ in range(padding)]
            batch = self._assemble_rows([[pair] for pair in pairs] + empty)
            batch["example_index"] = np.array([*indices, *[-1] * padding], np.int32)
            yield batch
        if not anything:
            raise DataError(f"no example of task {self._stream.name} has targets: there is nothing to evaluate")


def eval_batches(
    store: TokenStore,
    split: str,
    *,
    feature_lengths: Mapping[str, int],
    batch_size: int,
    vocabulary: Vocabulary,
    seed: int = 0,
    limit: int | None = None,
    decoder_only: bool = False,
    head: str | None = None,
) -> EvalBatches:
    """Batches for evaluation: every example (or `limit` of them, evenly spread) exactly once, in order, one a row.

    The objective's noise is that of (seed, task, example, epoch 0): the same in every evaluation. The last batch is
    filled with empty rows. Each batch also has "example_index", int32 [batch], -1 for an empty row. `decoder_only` and
    `head` are those of `train_batches`. Raises DataError for a missing or empty split, a store of another vocabulary,
    or one that has to be compiled again, and, at the end, if nothing had targets; ConfigError for a task
    without the labels that a head predicts.
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise ConfigError(f"batch size and limit must be at least 1, not {batch_size} and {limit}")
    lengths = check_lengths(feature_lengths)
    stream = TaskStream(store, split, feature_lengths=lengths, vocabulary=vocabulary, seed=seed)
    stored = len(stream.examples)
    examples: Sequence[int] = range(stored)
    if limit is not None and limit < stored:  # neighbours are of one piece, and pieces often in the order of labels
        examples = [index * stored // limit for index in range(limit)]
    rows = _row_maker([store], lengths, vocabulary, packed=False, decoder_only=decoder_only, head=head)
    return EvalBatches(stream, rows, batch_size, examples)
