"""Metrics and honest baselines as plain functions (numpy only), for seqio's tasks and t5music's own evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def perplexity(loss: float) -> float:
    """exp of a loss in nats per token; infinity where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


def bits_per_note(nats: float, notes: float) -> float:
    """Bits a model spends on all target tokens (`nats` in all), shared among the targets' notes; nan without notes.

    Unlike perplexity it can be compared between encodings that spell the same notes in more or fewer tokens.
    """
    return nats / math.log(2) / notes if notes else math.nan


def uniform_bits_per_note(symbols: int, tokens: float, notes: float) -> float:
    """Bits per note of a model to which all of `symbols` tokens are always equally likely."""
    return bits_per_note(tokens * math.log(symbols), notes)


def unigram_bits_per_note(train_counts: ArrayLike, counts: ArrayLike, notes: float) -> float:
    """Bits per note of a model that knows the training targets' token frequencies and nothing else.

    Args:
        train_counts: [symbols], how often each token occurs in the training targets; smoothed by adding one.
        counts: [symbols], the same of the targets to predict. Leave out of both what no model would have to consider.
        notes: notes in the targets to predict.
    """
    smoothed = np.asarray(train_counts, np.float64) + 1.0
    nats = -np.sum(np.asarray(counts, np.float64) * np.log(smoothed / smoothed.sum()))
    return bits_per_note(float(nats), notes)


def majority_accuracy(train_labels: ArrayLike, labels: ArrayLike) -> float:
    """Accuracy of always answering the training labels' most frequent class (the lowest of several)."""
    values, counts = np.unique(np.asarray(train_labels), return_counts=True)
    return float(np.mean(np.asarray(labels) == values[np.argmax(counts)]))


def classification_metrics(true: ArrayLike, predicted: ArrayLike, labels: Sequence[str]) -> dict[str, Any]:
    """Scores predictions of one label per example.

    Args:
        true: int [examples], indices into `labels`.
        predicted: int [examples], likewise.
        labels: the label set.

    Returns:
        "accuracy", in [0, 1];
        "macro_f1": F1 averaged over the classes that occur in `true` or `predicted`, as scikit-learn's default;
        "recall": label -> share of its examples found, nan for a label without examples;
        "confusion": int [labels, labels], rows true, columns predicted;
        "examples".
    """
    true, predicted = np.asarray(true, np.int64), np.asarray(predicted, np.int64)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (true, predicted), 1)
    hits, of_class, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = of_class + answered > 0
    f1 = 2.0 * hits[occurs] / (of_class + answered)[occurs]  # never undefined where a class occurs at all
    recall = np.divide(hits, of_class, out=np.full(len(labels), np.nan), where=of_class > 0)
    return {
        "accuracy": float(hits.sum() / true.size) if true.size else math.nan,
        "macro_f1": float(f1.mean()) if true.size else math.nan,
        "recall": dict(zip(labels, recall.tolist(), strict=True)),
        "confusion": confusion,
        "examples": int(true.size),
    }


# ------------------------------------------------------------------------- seqio's metric functions, of answers in text


def _classes(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, Any]:
    labels = sorted(set(targets) | set(predictions))
    index = {label: number for number, label in enumerate(labels)}
    return classification_metrics([index[t] for t in targets], [index[p] for p in predictions], labels)


def accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Share of answers that equal the target, in per cent as seqio's tasks report it."""
    return {"accuracy": 100.0 * _classes(targets, predictions)["accuracy"]}


def macro_f1(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """F1 averaged over the classes that occur in targets or predictions, in per cent."""
    return {"macro_f1": 100.0 * _classes(targets, predictions)["macro_f1"]}


def word_accuracy(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Share of the targets' words found at the same place of the prediction, in per cent."""
    hits = words = 0
    for target, prediction in zip(targets, predictions, strict=True):
        expected = target.split()
        hits += sum(a == b for a, b in zip(expected, prediction.split(), strict=False))
        words += len(expected)
    return {"word_accuracy": 100.0 * hits / words if words else math.nan}
