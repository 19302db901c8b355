"""The objectives as seqio preprocessors: the same numpy functions, for people who use the tasks through seqio."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import seqio
import tensorflow as tf

from t5music.data.objectives import Objective, settle
from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary
from t5music.errors import ConfigError


class ObjectivePreprocessor:
    """One objective as a preprocessor after seqio's CacheDatasetPlaceholder.

    seqio's seed decides what is drawn: for a given seed the result is that of the numpy step with
    `np.random.default_rng` of the pair of integers that `map_over_dataset` hands out.

    Attributes:
        step: the objective.
    """

    def __init__(self, step: Objective, later: Sequence[Objective] = ()) -> None:
        """`later` are the steps that follow; a SelectRandomChunk takes its length from them."""
        self.step = step
        self._later = tuple(later)

    def __call__(
        self,
        dataset: tf.data.Dataset,
        sequence_length: Mapping[str, int] | None = None,
        *,
        output_features: Mapping[str, seqio.Feature],
    ) -> tf.data.Dataset:
        vocabulary = output_features["targets"].vocabulary
        if not isinstance(vocabulary, T5MusicVocabulary):
            raise ConfigError(f"objective {self.step.name} needs features with a T5MusicVocabulary, not {vocabulary}")
        lengths = {name: int(length) for name, length in (sequence_length or {}).items()}
        step = settle(self.step, self._later, lengths)
        specs = dataset.element_spec.items()
        token_names = [name for name, spec in specs if spec.dtype.is_integer and spec.shape.rank == 1]
        output_names = sorted({*token_names, "inputs", "targets"})

        def run(seed: np.ndarray, *tokens: np.ndarray) -> list[np.ndarray]:
            example = dict(zip(token_names, tokens, strict=True))
            result = step(example, np.random.default_rng(seed.tolist()), lengths, vocabulary.vocabulary)
            return [result.get(name, np.empty(0)).astype(np.int32) for name in output_names]

        @functools.partial(seqio.map_over_dataset, num_seeds=1)
        def apply_step(example: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
            tokens = [tf.cast(example[name], tf.int32) for name in token_names]
            outputs = tf.numpy_function(run, [tf.stack(seed), *tokens], [tf.int32] * len(output_names))
            for output in outputs:
                output.set_shape([None])
            return {**example, **dict(zip(output_names, outputs, strict=True))}

        return apply_step(dataset)


def preprocessors(steps: Sequence[Objective]) -> list[ObjectivePreprocessor]:
    """The preprocessors of a task's steps, in order, each knowing those that follow it."""
    return [ObjectivePreprocessor(step, steps[position + 1 :]) for position, step in enumerate(steps)]
