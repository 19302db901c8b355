"""Evaluation against sums in double precision, label ranking against brute force, and decoded answers."""

import jax
import numpy as np
import pytest
import tiny_runs
from flax import nnx
from tiny_runs import EXAMPLES, LABELS, batches_of

from t5music.evaluation import likelihood, written_answers
from t5music.model import decoding, parameters

apply = jax.jit(lambda model, *tokens: model(*tokens))


@pytest.fixture(scope="module")
def model():
    graphdef, params = parameters.initialise(tiny_runs.CONFIG, jax.random.key(1))
    return nnx.merge(graphdef, params)


def log_probabilities(model, examples=EXAMPLES):
    """Of the targets, float64 [examples, length], and whether each was the likeliest."""
    tokens = examples["encoder_input_tokens"], examples["decoder_input_tokens"]
    logits = np.asarray(apply(model, *tokens), np.float64)
    normal = logits - logits.max(-1, keepdims=True)
    normal -= np.log(np.exp(normal).sum(-1, keepdims=True))
    targets = examples["decoder_target_tokens"]
    chosen = np.take_along_axis(normal, targets[..., None], -1)[..., 0]
    return chosen, logits.argmax(-1) == targets


@pytest.mark.parametrize("size", [7, 4])
def test_evaluate_is_the_mean_over_all_tokens_however_they_are_batched(model, size):
    weights = EXAMPLES["decoder_loss_weights"]
    chosen, hits = log_probabilities(model)
    nats, tokens = -(chosen * weights).sum(), weights.sum()
    notes = (tiny_runs.IS_NOTE[EXAMPLES["decoder_target_tokens"]] * weights).sum()
    scores = likelihood.evaluate(model, batches_of(size), tiny_runs.IS_NOTE)
    assert (scores["tokens"], scores["notes"], scores["examples"]) == (tokens, notes, 7)
    np.testing.assert_allclose(scores["loss"], nats / tokens, rtol=1e-6)
    np.testing.assert_allclose(scores["perplexity"], np.exp(nats / tokens), rtol=1e-5)
    np.testing.assert_allclose(scores["bits_per_note"], nats / np.log(2) / notes, rtol=1e-6)
    np.testing.assert_allclose(scores["accuracy"], (hits * weights).sum() / tokens, rtol=1e-6)


def test_nothing_to_evaluate_is_no_number(model):
    assert np.isnan(likelihood.evaluate(model, [], tiny_runs.IS_NOTE)["loss"])


def test_rank_labels_takes_the_likeliest(model):
    likelihoods = []
    for label in LABELS:
        answered = {
            "encoder_input_tokens": EXAMPLES["encoder_input_tokens"],
            "decoder_input_tokens": np.tile(np.append(0, label[:-1]), (7, 1)),
            "decoder_target_tokens": np.tile(label, (7, 1)),
        }
        likelihoods.append(log_probabilities(model, answered)[0].sum(axis=1))
    expected = np.argmax(likelihoods, axis=0)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(likelihood.rank_labels(model, batches_of(4), LABELS), expected)


def test_generate_targets_answers_every_example_once(model):
    allowed = np.arange(100) < 30
    expected = np.asarray(decoding.generate(model, EXAMPLES["encoder_input_tokens"], max_length=6, allowed=allowed))
    answers = written_answers.generate_targets(model, batches_of(4), max_length=6, allowed=allowed)
    assert len(answers) == 7
    for answer, row in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(answer, row[: len(answer)])
        assert len(answer) == 6 or row[len(answer)] == 1
        assert 1 not in answer


def test_generate_targets_repeats_itself_with_the_same_seed(model):
    once, again, other = (
        written_answers.generate_targets(model, batches_of(4), max_length=6, temperature=1.0, seed=seed)
        for seed in (1, 1, 2)
    )
    assert [list(row) for row in once] == [list(row) for row in again]
    assert [list(row) for row in once] != [list(row) for row in other]
