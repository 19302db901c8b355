"""Ensembles: of one, of equal ones, and of different ones against the mean of their logits in double precision."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
import tiny_runs
from flax import nnx
from tiny_runs import EXAMPLES, LABELS, batches_of

from t5music.evaluation import ensembles, likelihood
from t5music.model import parameters
from t5music.model.config import PREFIX_LM

apply = jax.jit(lambda model, *tokens, **more: model(*tokens, **more))


def model_of(seed, config=tiny_runs.CONFIG):
    graphdef, params = parameters.initialise(config, jax.random.key(seed))
    return nnx.merge(graphdef, params)


@pytest.fixture(scope="module")
def models():
    return [model_of(seed) for seed in (1, 2, 3)]


def members(models):
    return [lambda model=model: model for model in models]


def mean_log_probabilities(models, *tokens, **more):
    """Of the mean logits, float64 [..., rows]."""
    logits = np.mean([np.asarray(apply(model, *tokens, **more), np.float64) for model in models], axis=0)
    logits -= logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("count", [1, 2])
def test_an_ensemble_of_one_and_of_equal_ones_is_the_model(models, count):
    same = members(models[:1] * count)
    expected = likelihood.evaluate(models[0], batches_of(4), tiny_runs.IS_NOTE)
    found = ensembles.evaluate(same, batches_of(4), tiny_runs.IS_NOTE)
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-6)
    ranked = likelihood.rank_labels(models[0], batches_of(4), LABELS)
    np.testing.assert_array_equal(ensembles.rank_labels(same, batches_of(4), LABELS), ranked)


@pytest.mark.parametrize("part", [1, 1 << 30], ids=["batch by batch", "at once"])
def test_evaluate_is_of_the_mean_logits(models, monkeypatch, part):
    monkeypatch.setattr(ensembles, "PART_BYTES", part)
    normal = mean_log_probabilities(models, EXAMPLES["encoder_input_tokens"], EXAMPLES["decoder_input_tokens"])
    targets, weights = EXAMPLES["decoder_target_tokens"], EXAMPLES["decoder_loss_weights"]
    chosen = np.take_along_axis(normal, targets[..., None], -1)[..., 0]
    found = ensembles.evaluate(members(models), batches_of(4), tiny_runs.IS_NOTE)
    np.testing.assert_allclose(found["loss"], -(chosen * weights).sum() / weights.sum(), rtol=1e-6)
    hits = (normal.argmax(-1) == targets) * weights
    np.testing.assert_allclose(found["accuracy"], hits.sum() / weights.sum(), rtol=1e-6)
    assert (found["tokens"], found["examples"]) == (weights.sum(), 7)


def test_a_model_is_read_once_for_each_part(models, monkeypatch):
    read = []

    def counted(index):
        read.append(index)
        return models[index]

    each = [lambda index=index: counted(index) for index in range(2)]
    ensembles.evaluate(each, batches_of(4), tiny_runs.IS_NOTE)
    assert read == [0, 1]
    monkeypatch.setattr(ensembles, "PART_BYTES", 1)
    ensembles.evaluate(each, batches_of(4), tiny_runs.IS_NOTE)
    assert read[2:] == [0, 1, 0, 1]


def test_rank_labels_is_of_the_mean_logits(models):
    likelihoods = []
    for label in LABELS:
        inputs = np.tile(np.append(0, label[:-1]), (7, 1))
        normal = mean_log_probabilities(models, EXAMPLES["encoder_input_tokens"], inputs)
        likelihoods.append(normal[:, np.arange(len(label)), label].sum(axis=1))
    expected = np.argmax(likelihoods, axis=0)
    found = ensembles.rank_labels(members(models), batches_of(4), LABELS)
    np.testing.assert_array_equal(found, expected)
    alone = [likelihood.rank_labels(model, batches_of(4), LABELS) for model in models]
    assert any((found != other).any() for other in alone)


def test_decoder_only_models_continue_one_sequence():
    config = dataclasses.replace(tiny_runs.CONFIG, architecture=PREFIX_LM, num_encoder_layers=0)
    models = [model_of(seed, config) for seed in (1, 2)]
    prompts = [[5, 6, 7, 1], [9, 1], [4, 5, 6, 7, 8, 1]]
    batch = {name: np.zeros((3, 10), np.int32) for name in ("decoder_target_tokens", "decoder_input_tokens")}
    batch |= {"decoder_loss_weights": np.zeros((3, 10), np.float32)}
    likelihoods = np.zeros((3, len(LABELS)))
    for (row, prompt), (number, label) in itertools.product(enumerate(prompts), enumerate(LABELS)):
        whole = np.array([*prompt, *label], np.int32)
        tokens, read = np.zeros(10, np.int32), (np.arange(10) <= len(prompt)).astype(np.int32)
        tokens[: len(whole)] = whole
        inputs = np.append(0, tokens[:-1]).astype(np.int32)
        normal = mean_log_probabilities(models, None, inputs[None], decoder_causal_attention=read[None])[0]
        at = np.arange(len(prompt), len(whole))
        likelihoods[row, number] = normal[at, label].sum()
        batch["decoder_target_tokens"][row] = tokens
        batch["decoder_loss_weights"][row, at] = 1
    found = ensembles.rank_labels(members(models), [batch], LABELS)
    np.testing.assert_array_equal(found, likelihoods.argmax(axis=1))
