"""Tiny models and the golden files of `tests/golden`, shared by the tests of the model."""

import functools
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.model import huggingface, parameters
from t5music.model.config import T5Config

GOLDEN = Path(__file__).parents[1] / "golden"

# The shape of tests/golden/make_t5_golden.py; num_heads * d_kv differs from d_model, the stacks differ in depth.
SHAPE = {
    "vocab_size": 128,
    "d_model": 32,
    "d_kv": 8,
    "num_heads": 3,
    "d_ff": 48,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
}


@pytest.fixture(scope="session")
def golden_script():
    """The script that made the golden files, for the weights it draws."""
    spec = importlib.util.spec_from_file_location("make_t5_golden", GOLDEN / "make_t5_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build(golden_script):
    """`build(version, **changes)` -> a model of SHAPE with the golden files' weights; made once per argument."""

    @functools.cache
    def make(version="v1.1", **changes):
        config = T5Config(version=version, **{**SHAPE, **changes})
        weights = golden_script.fill(huggingface.names(config), golden_script.SEEDS[version])
        return nnx.merge(parameters.abstract(config)[0], huggingface.from_huggingface(weights, config))

    return make


@functools.partial(jax.jit, static_argnames="deterministic")
def _apply(graphdef, params, args, segments, key, deterministic):
    model = nnx.merge(graphdef, params)
    return model(*args, **segments, deterministic=deterministic, rngs=key)


@pytest.fixture(scope="session")
def apply():
    """`apply(model, encoder, decoder, key=None, **segments)` -> logits; compiled once per shape, dropout with a key."""

    def call(model, encoder, decoder, key=None, **segments):
        graphdef, params = nnx.split(model)
        return np.asarray(_apply(graphdef, params, (encoder, decoder), segments, key, deterministic=key is None))

    return call


def shift(targets):
    """Targets shifted right behind the start token, id 0."""
    return np.pad(targets[:, :-1], ((0, 0), (1, 0)))


@pytest.fixture(scope="session", name="shift")
def shift_fixture():
    return shift


@pytest.fixture(scope="session")
def batch():
    """Encoder tokens [3, 12] and targets [3, 9] over 128 ids, padded after rows of different lengths."""
    random = np.random.default_rng(0)
    encoder, targets = random.integers(2, 128, (3, 12)), random.integers(2, 128, (3, 9))
    for row, (source, target) in enumerate([(12, 7), (5, 9), (9, 3)]):
        encoder[row, source:], targets[row, target - 1], targets[row, target:] = 0, 1, 0
    return encoder.astype(np.int32), targets.astype(np.int32)
