"""The likeliest labels in one pass: those of the logits, of one model and of several, from words and from classes."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
import tiny_runs
from flax import nnx

from t5music.evaluation.likeliest_labels import likeliest
from t5music.model import parameters
from t5music.model.config import EOS_ID
from t5music.training.losses import logits_of

WORDS = np.array([40, 33, 71], np.int32)
COUNTS = (3, 0, 5, 1)  # answers of each example; none in the second, which is padding


def model_of(seed: int, **changes):
    config = dataclasses.replace(tiny_runs.CONFIG, **changes)
    graphdef, params = parameters.initialise(config, jax.random.key(seed))
    return nnx.merge(graphdef, params)


@pytest.fixture(scope="module")
def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    targets, weights = np.zeros((4, 7), np.int32), np.zeros((4, 7), np.float32)
    for row, count in enumerate(COUNTS):
        if count:
            targets[row, : count + 1] = [*rng.choice(WORDS, count), EOS_ID]
            weights[row, : count + 1] = 1
    return {
        "encoder_input_tokens": rng.integers(2, 90, (4, 9)).astype(np.int32),
        "decoder_input_tokens": np.pad(targets[:, :-1], ((0, 0), (1, 0))),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": weights,
    }


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_the_likeliest_word_at_every_answer(batch: dict[str, np.ndarray], seeds: tuple[int, ...]):
    models = [model_of(seed) for seed in seeds]
    mean = np.mean([np.asarray(nnx.jit(logits_of)(model, batch), np.float64) for model in models], axis=0)
    halves = [{name: array[rows] for name, array in batch.items()} for rows in (slice(2), slice(2, 4))]
    found = likeliest([lambda model=model: model for model in models], halves, WORDS)
    expected = [mean[row, :count][:, WORDS].argmax(axis=-1).tolist() for row, count in enumerate(COUNTS) if count]
    assert [answers.tolist() for answers in found] == expected
    assert len({index for answers in expected for index in answers}) > 1


@pytest.mark.parametrize("head", [pytest.param("notes", marks=pytest.mark.slow), "sequence"])
def test_a_classifier_s_likeliest_class_wherever_it_is_asked(batch: dict[str, np.ndarray], head: str):
    model = model_of(3, architecture="encoder", num_decoder_layers=0, head=head, num_labels=4)
    size = 9 if head == "notes" else 1
    weights = np.zeros((4, size), np.float32)
    weights[0, :1], weights[2:, size // 2 :] = 1, 1
    asked = {
        "encoder_input_tokens": batch["encoder_input_tokens"],
        "decoder_target_tokens": np.ones((4, size), np.int32),  # class 1, which is no end
        "decoder_loss_weights": weights,
    }
    logits = np.asarray(nnx.jit(lambda model, tokens: model(tokens, None))(model, batch["encoder_input_tokens"]))
    found = likeliest([lambda: model], [asked])
    assert [answers.tolist() for answers in found] == [
        logits[row][weights[row] > 0].argmax(axis=-1).tolist() for row in (0, 2, 3)
    ]
