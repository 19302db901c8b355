"""Answer scores: the metrics that a task declares (`data.answer_metrics`), of what a model writes for its examples.

Any task may declare metrics: t5music's own, or functions of somebody's module in seqio's signature, (targets,
predictions) -> {figure: number}. Figures keep the names that the functions give them. t5music's own, which are in per
cent for seqio, are shares of 1 here, like all shares that an evaluation gives.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from tqdm import tqdm

from t5music.data import answer_metrics
from t5music.data.loading import loader
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import Vocabulary
from t5music.errors import ConfigError
from t5music.evaluation import written_answers
from t5music.model.network import T5

OF_LABELS = ("accuracy", "macro_f1", "note_accuracy", "note_macro_f1")  # `label_scores` has these of tasks with labels
# An answer to a task of music is one of many good ones: it is written and compared word by word only where that is
# asked for. Of the true words, the likelihood says how many a model predicts ("accuracy").
ON_REQUEST = ("word_accuracy",)
_IN_PER_CENT = (*OF_LABELS, *ON_REQUEST, "abc_valid", "abc_pitch_accuracy", "chord_accuracy", "chord_root_accuracy")
APART = "answer_"  # begins a figure's name where the evaluation has a figure of that name already


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model wrote for some examples of a task, beside what is right; texts, in the same order."""

    targets: Sequence[str]
    predictions: Sequence[str]


def declared(store: TokenStore, apart_from: Iterable[str] = ()) -> list[str]:
    """The names of a task's metrics but for some."""
    return [name for name in store.manifest.metrics if name not in apart_from]


def score(store: TokenStore, names: Iterable[str], answers: Answers, taken: Iterable[str] = ()) -> dict[str, float]:
    """Scores answers by metrics of their task.

    Args:
        store: of the task.
        names: of the metrics.
        answers: what is judged.
        taken: figures that the evaluation has already.

    Returns:
        Figure -> number. A figure whose name is taken begins with APART.

    Raises:
        ConfigError: a metric of one's own that fails, or gives anything but numbers by name.
        DataError: a metric that is not registered; the message says which module to import.
    """
    figures: dict[str, float] = {}
    for name in names:
        metric = answer_metrics.get(name, store.manifest.metric_modules.get(name))
        values = _call(metric, name, answers)
        scale = 0.01 if name in _IN_PER_CENT else 1.0
        for figure, value in values.items():
            figure = f"{APART}{figure}" if figure in taken else figure
            if figure in figures:
                raise ConfigError(f"metric {name!r} of {store.name} gives {figure!r}, which another metric gives, too")
            figures[figure] = scale * float(value)
    return figures


def _call(metric: answer_metrics.Metric, name: str, answers: Answers) -> Mapping[str, Any]:
    """What a metric gives. Raises ConfigError, which names the place, where it fails or gives something else."""
    try:
        values = metric(list(answers.targets), list(answers.predictions))
    except Exception as error:  # of code of one's own
        place = traceback.extract_tb(error.__traceback__)[:2][-1]  # in the metric itself
        raise ConfigError(
            f"metric {name!r} failed: {type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
        ) from error
    is_numbers = isinstance(values, Mapping) and all(isinstance(value, Real | np.ndarray) for value in values.values())
    if not is_numbers or any(np.size(value) != 1 for value in values.values()):
        raise ConfigError(f"metric {name!r} must return a dictionary of numbers by name, not {values!r}"[:300])
    return {str(figure): np.asarray(value).item() for figure, value in values.items()}


def write(
    model: T5,
    store: TokenStore,
    split: str,
    *,
    lengths: Mapping[str, int],
    batch_size: int,
    vocabulary: Vocabulary,
    limit: int | None = None,
) -> Answers:
    """Has a model write an answer to every example of a split: greedily, without a grammar, as seqio's users do.

    Targets that are longer than the model's are compared as far as it could write them.

    Args:
        model: that writes words.
        store: of the task.
        split: the split.
        lengths: of inputs and targets, in tokens.
        batch_size: examples at a time.
        vocabulary: the store's.
        limit: at most so many examples, evenly spread; None for all.
    """
    decoder_only = model.config.decoder_only
    batches = loader.eval_batches(
        store,
        split,
        feature_lengths=lengths,
        batch_size=batch_size,
        vocabulary=vocabulary,
        limit=limit,
        decoder_only=decoder_only,
    )
    targets: list[str] = []

    def read() -> Iterable[Mapping[str, Any]]:
        for batch in tqdm(batches, desc=f"{store.name} answers", unit="batch", leave=False, disable=None):
            targets.extend(_targets(batch, vocabulary, decoder_only=decoder_only))
            yield batch

    allowed = np.ones(vocabulary.size, bool)  # the embedding has more rows than the vocabulary has words
    rows = written_answers.generate_targets(model, read(), max_length=lengths["targets"], allowed=allowed)
    restore = getattr(store.kind, "restored", str)  # undoes what the task's own objectives do to what is stored
    return Answers([restore(text) for text in targets], [restore(vocabulary.decode(row)) for row in rows])


def _targets(batch: Mapping[str, Any], vocabulary: Vocabulary, *, decoder_only: bool) -> list[str]:
    """The targets of a batch's examples as text; the inputs that stand before them in a decoder alone do not count."""
    texts = []
    for tokens, weights in zip(batch["decoder_target_tokens"], batch["decoder_loss_weights"] > 0, strict=True):
        if weights.any():
            texts.append(vocabulary.decode(tokens[np.argmax(weights) if decoder_only else 0 :]))
    return texts
