"""Streaming writes what decoding writes, whatever is asked for at once."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.errors import ConfigError
from t5music.model import decoding, decoding_steps, streaming
from t5music.model.config import T5Config
from t5music.model.network import T5

LENGTH = 9


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("tokens_at_once", [1, 4, 100])
def test_the_last_is_what_generate_writes(build, batch, rows, tokens_at_once, monkeypatch):
    monkeypatch.setattr(decoding_steps, "STAGED_FROM", 1)
    model, prompts = build(), batch[0][:rows]
    settings = {"max_length": LENGTH, "temperature": 1.0, "top_p": 0.9, "key": jax.random.key(3)}
    whole = np.asarray(decoding.generate(model, prompts, **settings))
    steps = list(streaming.stream(model, prompts, tokens_at_once=tokens_at_once, **settings))
    assert (steps[-1].tokens == whole).all()
    for written, later in itertools.pairwise(steps):
        assert written.step < later.step <= written.step + tokens_at_once
        assert (written.tokens[:, : written.step] == whole[:, : written.step]).all()
        assert not written.tokens[:, written.step :].any()


def test_a_decoder_alone_and_a_forced_beginning(batch):
    config = T5Config(
        vocab_size=128, d_model=16, d_kv=4, num_heads=2, d_ff=16, num_encoder_layers=0, num_decoder_layers=2,
        architecture="prefix_lm",
    )  # fmt: skip
    model = T5(config, rngs=nnx.Rngs(0))
    prompts = np.minimum(batch[0], 127)
    prefix = np.full((len(prompts), 2), 7)
    settings = {"max_length": LENGTH, "prefix": prefix, "allowed": np.arange(128) > 3}
    whole = np.asarray(decoding.generate(model, prompts, **settings))
    *_, last = streaming.stream(model, prompts, tokens_at_once=2, **settings)
    assert (last.tokens == whole).all()
    assert (whole[:, :2] == 7).all()


def test_settings_are_checked(build, batch):
    with pytest.raises(ConfigError, match="top_p"):
        next(streaming.stream(build(), batch[0], max_length=LENGTH, top_p=0.0))
