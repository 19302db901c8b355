"""From a built corpus to a seqio Task: the pieces' MIDI becomes text, the text becomes ids.

Everything up to seqio's cache placeholder is done once, offline; the objective comes after it, at every visit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from t5music import metrics
from t5music.data import seqio_objectives
from t5music.data.corpora import build
from t5music.data.corpora.base import SPLITS
from t5music.data.examples import Classify, Examples
from t5music.data.objectives import Objective
from t5music.data.seqio_vocabulary import T5MusicVocabulary
from t5music.errors import DataError
from t5music.files import data_dir
from t5music.music import midi

FEATURES = ("inputs", "targets")


class PiecePreprocessor:
    """The first step of every task: examples in text from each piece's MIDI bytes and labels.

    Yields, for each of a piece's examples, `inputs` and `targets` (text), `piece` (the piece's id) and `seconds` (the
    piece's length, with its first example only, so that sums over a split are right).
    """

    def __init__(self, examples: Examples):
        self.examples = examples

    def __call__(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        labels = sorted(set(dataset.element_spec) - {"id", "midi"})

        def texts(content: bytes, *values: bytes) -> tuple[np.ndarray, ...]:
            score = midi.read(content)
            known = dict(zip(labels, (value.decode() for value in values), strict=True))
            made = list(self.examples.examples(score, known))
            seconds = np.zeros(len(made), np.float32)
            seconds[:1] = score.duration_seconds
            return np.array([e.inputs for e in made], object), np.array([e.targets for e in made], object), seconds

        def of_piece(piece: dict[str, tf.Tensor]) -> tf.data.Dataset:
            inputs, targets, seconds = tf.numpy_function(
                texts, [piece["midi"], *(piece[label] for label in labels)], [tf.string, tf.string, tf.float32]
            )
            for tensor in (inputs, targets, seconds):
                tensor.set_shape([None])
            made = {"inputs": inputs, "targets": targets, "seconds": seconds}
            return made | {"piece": tf.fill(tf.shape(inputs), piece["id"])}

        return dataset.map(of_piece, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).unbatch()


class CorpusSource(seqio.DataSource):
    """One or more built corpora, read one after the other, as a seqio data source.

    The corpora are looked for below `t5music.files.data_dir()` when they are read, not when the task is declared.
    """

    def __init__(self, corpora: Sequence[str]):
        super().__init__(splits=SPLITS)
        self.corpora = tuple(corpora)

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """False: seqio shards the examples itself."""
        return False

    def list_shards(self, split: str) -> Sequence[str]:
        """One shard."""
        return [f"{'+'.join(self.corpora)}:{split}"]

    def _builders(self, split: str) -> list[Any]:
        builders = [build.load(corpus, data_dir()) for corpus in self.corpora]
        return [builder for builder in builders if split in builder.info.splits]

    def num_input_examples(self, split: str) -> int:
        """Number of pieces in the split."""
        return sum(builder.info.splits[split].num_examples for builder in self._builders(split))

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
        """The pieces of a split: 'id', 'midi' and the labels that all the corpora have."""
        read = tfds.ReadConfig(shuffle_seed=seed, skip_prefetch=True)
        datasets = [
            builder.as_dataset(split=split, shuffle_files=shuffle, read_config=read)
            for builder in self._builders(split)
        ]
        if not datasets:
            raise DataError(f"{', '.join(self.corpora)}: no piece in split {split!r}")
        shared = sorted(set.intersection(*(set(dataset.element_spec) for dataset in datasets)))
        pieces = [dataset.map(lambda piece: {key: piece[key] for key in shared}) for dataset in datasets]
        whole = pieces[0]
        for more in pieces[1:]:
            whole = whole.concatenate(more)
        return whole


def add_task(name: str, corpora: str | Sequence[str], examples: Examples, objectives: Sequence[Objective] = ()) -> None:
    """Registers a seqio Task over one or more corpora; does nothing if the name is taken.

    Args:
      name: the task's name in seqio and on the command line.
      corpora: names of corpora (see `t5music corpora`); several are read one after the other.
      examples: what is made of each piece.
      objectives: steps applied after the cache placeholder, in order.
    """
    if name in seqio.TaskRegistry.names():
        return
    vocabulary = T5MusicVocabulary()
    metric_fns: list[Callable[..., Any]] = []
    if isinstance(examples, Classify):
        metric_fns = [metrics.accuracy, metrics.macro_f1]
    elif not objectives:
        metric_fns = [metrics.word_accuracy]
    seqio.TaskRegistry.add(
        name,
        source=CorpusSource([corpora] if isinstance(corpora, str) else corpora),
        preprocessors=[
            PiecePreprocessor(examples),
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            *seqio_objectives.preprocessors(objectives),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={feature: seqio.Feature(vocabulary, dtype=tf.int32) for feature in FEATURES},
        metric_fns=metric_fns,
    )
