"""Evaluator: what `t5music eval` measures, of one model, an ensemble of several, or checkpoints as they appear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from t5music.data.loading import song_windows
from t5music.data.store.token_store import TokenStore
from t5music.errors import ConfigError
from t5music.evaluation import likelihood, models
from t5music.evaluation.confusion import Confusion
from t5music.evaluation.results import Results
from t5music.evaluation.task_evaluations import Settings, batches_of, evaluation_of


class Evaluator:
    """The examples to evaluate on, ready for any number of models.

    Attributes:
        split: of the tasks.
        confusions: of the tasks with labels, what the model that was evaluated last took for what.
    """

    def __init__(
        self,
        stores: Sequence[TokenStore],
        split: str,
        *,
        lengths: Mapping[str, int] | None,
        batch_size: int,
        limit: int | None,
        stride: int = song_windows.STRIDE,
        past: str = song_windows.TARGETS,
        ngram: int | None = None,
        answers: int | None = None,
    ) -> None:
        """Takes the arguments of `runs.evaluate`."""
        self.split = split
        self._stores, self._lengths = stores, lengths
        self._settings = Settings(split, batch_size, limit, stride, past, ngram, answers)
        self._evaluations = {store.name: evaluation_of(store, self._settings) for store in stores}
        self.confusions: dict[str, Confusion] = {}

    def evaluate(self, folders: Sequence[str | Path]) -> Results:
        """Returns the metrics of every task, of the model in a folder or of the mean logits of several.

        Raises CheckpointError for a model that cannot be read, ConfigError for models that do not go together.
        """
        loaded = models.load(folders, self._lengths)
        results: Results = {}
        self.confusions = {}
        for task, evaluation in self._evaluations.items():
            verdict = evaluation.measure(loaded)
            results[task] = verdict.metrics
            if verdict.confusion is not None:
                self.confusions[task] = verdict.confusion
        return results

    def samples(self, folder: str | Path, count: int) -> list[str]:
        """Returns inputs, targets and a model's greedy answers of `count` examples of every task, as lines of text.

        Raises CheckpointError for a model that cannot be read, ConfigError for one that writes nothing.
        """
        model = models.load([folder], self._lengths)
        if model.write is None:
            raise ConfigError(f"evaluate.samples: {folder} is an encoder alone, which writes nothing")
        vocabulary = model.vocabulary
        allowed = np.ones(vocabulary.size, bool)  # the embedding has more rows than the vocabulary has words
        lines = []
        for store in self._stores:
            batches = batches_of(store, self._settings, model, count=count)
            answers = iter(model.write(batches, max_length=model.lengths["targets"], allowed=allowed))
            for batch in batches:
                weights = batch["decoder_loss_weights"]
                for row in np.flatnonzero(weights.any(axis=1)):
                    inputs = vocabulary.decode(likelihood.prompts(batch)[row])
                    targets = vocabulary.decode(batch["decoder_target_tokens"][row][weights[row] > 0])
                    lines += [f"# {store.name} {batch['example_index'][row]}", f"inputs:  {inputs}"]
                    lines += [f"targets: {targets}", f"answer:  {vocabulary.decode(next(answers))}", ""]
        return lines
