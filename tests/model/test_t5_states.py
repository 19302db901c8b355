"""The encoder's states layer by layer: those of its own path, in either form of the layers."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.model import parameters
from t5music.model.config import LANGUAGE_MODEL
from t5music.model.network import padding_mask


def restacked(model, **changes):
    """The same parameters under another config."""
    config = dataclasses.replace(model.config, **changes)
    form = parameters.stack_layers if config.scan_layers else parameters.unstack_layers
    return nnx.merge(parameters.abstract(config)[0], form(nnx.state(model)))


def both(model, tokens):
    """(states, encode's result), each by a compiled program of its own."""
    graphdef, params = nnx.split(model)
    states = jax.jit(lambda params: nnx.merge(graphdef, params).encoder_states(tokens))(params)
    return np.asarray(states), np.asarray(jax.jit(lambda params: nnx.merge(graphdef, params).encode(tokens))(params))


def test_the_last_states_are_the_encoders_output_and_the_first_the_embeddings(build, batch):
    model, tokens = build(), batch[0]
    unrolled, encoded = both(model, tokens)
    assert unrolled.shape == (3, *tokens.shape, 32)
    np.testing.assert_array_equal(unrolled[-1], encoded)
    np.testing.assert_array_equal(unrolled[0], np.asarray(model.embedding[...])[tokens])
    scanned, encoded = both(restacked(model, scan_layers=True), tokens)
    np.testing.assert_array_equal(scanned[-1], encoded)
    np.testing.assert_array_equal(scanned, unrolled)


def test_a_state_in_between_is_what_the_first_layer_makes_of_the_embeddings(build, batch):
    model, tokens = build(), batch[0]
    states = both(model, tokens)[0]
    bias, mask = model.encoder.relative_bias(12, 12), padding_mask(tokens)
    first = jax.jit(lambda x: model.encoder.layers[0](x, bias, mask, None)[0])(states[0])
    np.testing.assert_allclose(states[1], first, rtol=0, atol=1e-5)


def test_padding_changes_no_state_of_the_music(build, batch):
    model, tokens = build(), batch[0]
    states = both(model, tokens)[0]
    longer = both(model, np.pad(tokens, ((0, 0), (0, 5))))[0]
    real = tokens != 0
    np.testing.assert_allclose(longer[:, :, : tokens.shape[1]][:, real], states[:, real], rtol=0, atol=2e-5)


def test_a_decoder_only_model_has_no_such_states(build, batch):
    config = dataclasses.replace(build().config, architecture=LANGUAGE_MODEL, num_encoder_layers=0)
    with pytest.raises(ValueError, match="architecture 'language_model' has no encoder"):
        nnx.merge(*parameters.abstract(config)).encoder_states(batch[0])
