"""Tasks of seqio: what `data.declaration` declares, registered as seqio's tasks and mixtures.

Everything up to seqio's cache placeholder is done once, offline; the objective comes after it, at every visit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from t5music.corpora import datasets
from t5music.corpora.base import SPLITS
from t5music.data import answer_metrics, declaration
from t5music.data.declaration import Declaration
from t5music.data.examples import Examples
from t5music.data.mixing_rates import Rate
from t5music.data.seqio_bridge import objectives as seqio_objectives
from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary
from t5music.errors import DataError, MidiError
from t5music.files import data_dir

FEATURES = ("inputs", "targets")


class PiecePreprocessor:
    """The first step of every task: examples in text from the record of each piece (corpora.datasets).

    Yields, for each of a piece's examples, `inputs` and `targets` (text), `piece` (the piece's id) and `seconds` (the
    piece's length, with its first example only, so that sums over a split are right).
    """

    def __init__(self, examples: Examples):
        self.examples = examples

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        names = sorted(dataset.element_spec)

        def texts(*values: bytes) -> tuple[np.ndarray, ...]:
            piece = datasets.to_piece(dict(zip(names, values, strict=True)))
            try:
                examples = list(self.examples.examples(piece))
            except MidiError:  # it cannot be said in these words; `t5music compile` reports why
                examples = []
            seconds = np.zeros(len(examples), np.float32)
            seconds[:1] = piece.score.duration_seconds
            inputs, targets = ([getattr(example, name) for example in examples] for name in FEATURES)
            return np.array(inputs, object), np.array(targets, object), seconds

        def of_piece(record: dict[str, tf.Tensor]) -> tf.data.Dataset:
            inputs, targets, seconds = tf.numpy_function(
                texts, [record[name] for name in names], [tf.string, tf.string, tf.float32]
            )
            for tensor in (inputs, targets, seconds):
                tensor.set_shape([None])
            piece = tf.fill(tf.shape(inputs), record["id"])
            return {"inputs": inputs, "targets": targets, "seconds": seconds, "piece": piece}

        return dataset.map(of_piece, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).unbatch()


class CorpusSource(seqio.DataSource):
    """One or more built corpora, read one after the other, as a seqio data source.

    The corpora are looked for below `t5music.files.data_dir()` when they are read, not when the task is declared.
    """

    def __init__(self, corpora: Sequence[str], apart_from: Sequence[str] = ()):
        super().__init__(splits=SPLITS)
        self.corpora = tuple(corpora)
        self.apart_from = tuple(apart_from)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """False: seqio shards the examples itself."""
        return False

    def list_shards(self, split: str) -> Sequence[str]:
        """One shard."""
        return [f"{'+'.join(self.corpora)}:{split}"]

    def pieces(self, split: str) -> datasets.Pieces:
        """The records of a split of all the corpora, without those that are held out elsewhere."""
        return datasets.Pieces(self.corpora, split, data_dir(), self.apart_from)

    def num_input_examples(self, split: str) -> int:
        """Number of pieces in the split."""
        return len(self.pieces(split))

    def get_dataset(
        self,
        split: str = "train",
        shuffle: bool = True,
        seed: int | None = None,
        shard_info: seqio.ShardInfo | None = None,
        *,
        sequence_length: Any = None,
        use_cached: bool = False,
        num_epochs: int | None = 1,
    ) -> tf.data.Dataset:
        """The records of a split: 'id', 'midi' and the other fields that all the corpora have."""
        pieces = self.pieces(split)
        if not pieces:
            raise DataError(f"{', '.join(self.corpora)}: no piece in split {split!r}")
        fields = sorted(pieces.fields)

        def read(index: int) -> list[bytes]:
            record = pieces[int(index)]
            return [record[field] for field in fields]

        def record(index: tf.Tensor) -> dict[str, tf.Tensor]:
            values = tf.numpy_function(read, [index], [tf.string] * len(fields))
            for value in values:
                value.set_shape([])
            return dict(zip(fields, values, strict=True))

        order = tf.data.Dataset.range(len(pieces))
        if shuffle:
            order = order.shuffle(len(pieces), seed=seed)
        return order.map(record, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def register_everything() -> None:
    """Registers all that is declared with seqio, and from now on whatever is declared later; repeats do nothing."""
    if _register not in _listening:
        _listening.append(_register)
        declaration.listen(_register)


_listening: list[object] = []


def _register(declared: declaration.Anything, is_declared: bool) -> None:
    """Adds a declared task or mixture to seqio's registries, or takes it out of them."""
    registry = seqio.TaskRegistry if isinstance(declared, Declaration) else seqio.MixtureRegistry
    if not is_declared:
        registry.remove(declared.name)
    elif isinstance(declared, Declaration):
        _register_task(declared)
    else:
        seqio.MixtureRegistry.add(declared.name, [(task, seqio_rate(rate)) for task, rate in declared.rates.items()])


def seqio_rate(rate: Rate) -> Callable[[seqio.Task], float]:
    """A mixture rate as seqio has it, a function of the task, by its cached examples where it is cached."""

    def of(task: seqio.Task) -> float:
        return rate.of_task(
            task.name, lambda name: _train_examples(task if name == task.name else seqio.TaskRegistry.get(name))
        )

    return of


def _train_examples(task: seqio.Task) -> int:
    if task.cache_dir:
        return int(task.get_cached_stats("train")["examples"])
    return task.num_input_examples("train") or 0


def _register_task(task: Declaration) -> None:
    vocabulary = T5MusicVocabulary()
    seqio.TaskRegistry.add(
        task.name,
        source=CorpusSource(task.corpora, task.apart_from),
        preprocessors=[
            PiecePreprocessor(task.examples),
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            *seqio_objectives.preprocessors(task.objectives),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={feature: seqio.Feature(vocabulary, dtype=tf.int32) for feature in FEATURES},
        postprocess_fn=getattr(task.examples, "restored", None),
        metric_fns=[answer_metrics.get(metric) for metric in task.metrics],
    )
