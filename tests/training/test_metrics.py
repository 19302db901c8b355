"""Classification metrics against scikit-learn, and baselines against their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from t5music import metrics

LABELS = ("bach", "dowland", "handel", "palestrina")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_classification_metrics_are_scikit_learn_s(pairs):
    true, predicted = np.array(pairs).T
    ours = metrics.classification_metrics(true, predicted, LABELS)
    np.testing.assert_allclose(ours["accuracy"], sklearn_metrics.accuracy_score(true, predicted))
    np.testing.assert_allclose(ours["macro_f1"], sklearn_metrics.f1_score(true, predicted, average="macro"))
    np.testing.assert_array_equal(ours["confusion"], sklearn_metrics.confusion_matrix(true, predicted, labels=range(4)))
    recall = sklearn_metrics.recall_score(true, predicted, average=None, labels=range(4), zero_division=np.nan)
    np.testing.assert_allclose(list(ours["recall"].values()), recall)
    assert (tuple(ours["recall"]), ours["examples"]) == (LABELS, len(pairs))


def test_no_examples_score_nothing():
    scores = metrics.classification_metrics([], [], LABELS)
    assert math.isnan(scores["accuracy"])
    assert scores["examples"] == 0


def test_majority_answers_the_training_labels_most_frequent_class():
    assert metrics.majority_accuracy([2, 0, 2, 1], [2, 2, 1, 0]) == 0.5
    assert metrics.majority_accuracy([0, 1], [1, 1, 0]) == pytest.approx(1 / 3)


def test_uniform_bits():
    assert metrics.uniform_bits_per_note(256, tokens=30, notes=10) == pytest.approx(24.0)  # 8 bits, 3 tokens a note


def test_unigram_bits_of_counts():
    # Smoothed by adding one: probabilities 1/2, 1/4, 1/8, 1/8, hence 1, 2, 3 and 3 bits.
    assert metrics.unigram_bits_per_note([7, 3, 1, 1], [8, 4, 2, 2], notes=4) == pytest.approx((8 + 8 + 6 + 6) / 4)


def test_unigram_of_equal_counts_is_uniform():
    counts = np.full(50, 9)
    uniform = metrics.uniform_bits_per_note(50, tokens=counts.sum(), notes=100)
    assert metrics.unigram_bits_per_note(counts, counts, notes=100) == pytest.approx(uniform)


def test_without_notes_there_are_no_bits_per_note():
    assert math.isnan(metrics.bits_per_note(10.0, 0))


def test_perplexity():
    assert metrics.perplexity(math.log(17)) == pytest.approx(17)
    assert metrics.perplexity(1e4) == math.inf
