"""Metrics: perplexity, bits per note and per second, and those of a unigram model and of the majority."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def perplexity(loss: float) -> float:
    """Returns exp of a loss in nats per token; infinity where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


def bits_per_note(nats: float, notes: float) -> float:
    """Returns bits per note: all that a model spends on the target tokens, shared among the notes; nan without notes.

    Unlike perplexity it can be compared between encodings that spell the same notes in more or fewer tokens.
    """
    return nats / math.log(2) / notes if notes else math.nan


def bits_per_second(nats: float, seconds: float) -> float:
    """Returns bits per second: all that a model spends on the target tokens, shared among the music's seconds."""
    return nats / math.log(2) / seconds if seconds else math.nan


def unigram_nats(train_counts: ArrayLike, counts: ArrayLike) -> float:
    """Returns the nats that a model spends that knows the training targets' token frequencies and nothing else.

    Args:
        train_counts: [symbols], how often each token occurs in the training targets; smoothed by adding one.
        counts: [symbols], the same of the targets to predict. Leave out of both what no model would have to consider.
    """
    smoothed = np.asarray(train_counts, np.float64) + 1.0
    return float(-np.sum(np.asarray(counts, np.float64) * np.log(smoothed / smoothed.sum())))


def majority_accuracy(train_labels: ArrayLike, labels: ArrayLike) -> float:
    """Returns the accuracy of always answering the training labels' most frequent class (the lowest of several)."""
    values, counts = np.unique(np.asarray(train_labels), return_counts=True)
    return float(np.mean(np.asarray(labels) == values[np.argmax(counts)]))
