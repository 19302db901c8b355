"""Tasks of seqio: declared from a corpus and a kind of examples, and read back as a Declaration.

Everything up to seqio's cache placeholder is done once, offline; the objective comes after it, at every visit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from t5music.corpora import datasets
from t5music.corpora.base import SPLITS
from t5music.data import answer_metrics, mixing_rates
from t5music.data.declaration import Declaration
from t5music.data.examples import Examples
from t5music.data.objectives import Objective
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


def add_task(
    name: str,
    corpora: str | Sequence[str],
    examples: Examples,
    objectives: Sequence[Objective] = (),
    *,
    apart_from: Sequence[str] = (),
) -> None:
    """Registers a seqio Task over one or more corpora; does nothing if the name is taken.

    Args:
        name: the task's name in seqio and on the command line.
        corpora: names of corpora (see `t5music corpora`); several are read one after the other.
        examples: what is made of each piece.
        objectives: steps applied after the cache placeholder, in order; then come those that the examples have.
        apart_from: corpora whose validation and test pieces, and near-duplicates of them, are left out of this task's
            training.
    """
    if name in seqio.TaskRegistry.names():
        return
    vocabulary = T5MusicVocabulary()
    objectives = (*objectives, *getattr(examples, "objectives", ()))
    judges = examples.metrics if all(step.keeps_answers for step in objectives) else ()  # of noise, the loss alone
    seqio.TaskRegistry.add(
        name,
        source=CorpusSource([corpora] if isinstance(corpora, str) else corpora, apart_from),
        preprocessors=[
            PiecePreprocessor(examples),
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            *seqio_objectives.preprocessors(objectives),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={feature: seqio.Feature(vocabulary, dtype=tf.int32) for feature in FEATURES},
        postprocess_fn=getattr(examples, "answer", None),
        metric_fns=[answer_metrics.get(judge) for judge in judges],
    )


def declaration_of(task: seqio.Task) -> Declaration:
    """A task as it was declared with `add_task`.

    Raises:
        DataError: its preprocessors or features are not those that a token store can stand for.
    """
    reason = f"task {task.name!r} cannot be compiled"
    steps = list(task.preprocessors)
    places = [index for index, step in enumerate(steps) if isinstance(step, seqio.CacheDatasetPlaceholder)]
    first = steps[0] if steps else None
    if not places or not isinstance(first, PiecePreprocessor) or not isinstance(task.source, CorpusSource):
        raise DataError(f"{reason}: declare it with t5music.data.seqio_bridge.tasks.add_task")
    if steps[1 : places[0]] != [seqio.preprocessors.tokenize]:
        raise DataError(
            f"{reason}: between its pieces and its cache placeholder there may only be seqio.preprocessors.tokenize, "
            f"not {steps[1 : places[0]]}"
        )
    features = task.output_features
    if set(features) != set(FEATURES) or any(f.vocabulary != T5MusicVocabulary() for f in features.values()):
        raise DataError(f"{reason}: its features must be inputs and targets in T5MusicVocabulary")
    objectives: list[Objective] = []
    for step in steps[places[0] + 1 :]:
        if isinstance(step, seqio_objectives.ObjectivePreprocessor):
            objectives.append(step.step)
        elif step is not seqio.preprocessors.append_eos_after_trim:
            raise DataError(
                f"{reason}: {step} comes after its cache placeholder, where only objectives may be; move it before, or "
                "write it as an Objective"
            )
    metrics = tuple(function.__name__ for function in task.metric_fns)
    source = task.source
    return Declaration(task.name, source.corpora, first.examples, tuple(objectives), metrics, source.apart_from)


def rates_of(mixture: seqio.Mixture) -> dict[str, mixing_rates.Rate]:
    """The rates of a mixture's tasks by their names.

    Raises:
        DataError: a rate that is neither a number nor a t5music.data.mixing_rates.Rate.
    """
    rates: dict[str, mixing_rates.Rate] = {}
    for task in seqio.get_subtasks(mixture):
        rate = mixture.rate_per_task_name[task.name]
        if not isinstance(rate, mixing_rates.Rate | int | float):
            raise DataError(f"mixture {mixture.name!r}: the rate of {task.name!r} is neither a number nor a Rate")
        rates[task.name] = rate if isinstance(rate, mixing_rates.Rate) else mixing_rates.Constant(float(rate))
    return rates
