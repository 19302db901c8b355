"""Evaluator: what `t5music eval` measures, of one model, an ensemble of several, or checkpoints as they appear."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from t5music.data.loading import song_windows
from t5music.data.store.token_store import TokenStore
from t5music.errors import ConfigError
from t5music.evaluation import likelihood, models
from t5music.evaluation.confusion import Confusion
from t5music.evaluation.example_tallies import Tallies
from t5music.evaluation.results import Results
from t5music.evaluation.task_evaluations import OwnMetric, Settings, batches_of, evaluation_of


class Evaluator:
    """The examples to evaluate on, ready for any number of models.

    Attributes:
        split: of the tasks.
        confusions: of the tasks with labels, what the model that was evaluated last took for what.
        tallies: task -> metric -> what each example added to its figure.
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
        self.tallies: dict[str, Mapping[str, Tallies]] = {}

    @property
    def own_metrics(self) -> dict[str, OwnMetric]:
        """Task -> the metric by which its checkpoints are compared."""
        return {task: evaluation.own_metric for task, evaluation in self._evaluations.items()}

    def evaluate(self, folders: Sequence[str | Path]) -> Results:
        """Returns the metrics of every task, of the model in a folder or of the mean logits of several.

        Raises as `evaluate_each`.
        """
        return self.evaluate_each(dict.fromkeys(self._evaluations, folders))

    def evaluate_each(self, folders: Mapping[str, Sequence[str | Path]]) -> Results:
        """Returns the metrics of tasks, each of a model of its own, or of the mean logits of several.

        Args:
            folders: task -> folders of models. Neighbouring tasks with the same ones read them once.

        Raises:
            CheckpointError: a model cannot be read.
            ConfigError: models that do not go together.
        """
        results: Results = {}
        self.confusions, self.tallies = {}, {}
        for models_of_tasks, tasks in itertools.groupby(folders, key=folders.__getitem__):
            loaded = models.load(models_of_tasks, self._lengths)
            for task in tasks:
                verdict = self._evaluations[task].measure(loaded)
                results[task] = verdict.metrics
                if verdict.tallies:
                    self.tallies[task] = verdict.tallies
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
