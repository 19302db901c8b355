"""The table of places: what a decoder reads by position modulo a period, whole, packed, and step by step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from t5music.errors import ConfigError
from t5music.model import decoding, decoding_steps, huggingface, parameters
from t5music.model.config import T5Config
from t5music.model.network import T5, positions_of

PERIOD = 3
SHAPE = {"vocab_size": 128, "d_model": 16, "d_kv": 4, "num_heads": 2, "d_ff": 24, "num_decoder_layers": 2}
LAYERS = {"encoder_decoder": 1, "language_model": 0, "prefix_lm": 0}
every_architecture = pytest.mark.parametrize(
    "architecture",
    [name if name == "prefix_lm" else pytest.param(name, marks=pytest.mark.slow) for name in LAYERS],
)


def model_of(architecture: str, **changes) -> T5:
    fields = {**SHAPE, "num_encoder_layers": LAYERS[architecture], "position_period": PERIOD, **changes}
    config = T5Config(architecture=architecture, **fields)
    return nnx.merge(*parameters.initialise(config, jax.random.key(0)))


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Prompts [3, 5], two of them shorter, and answers [3, 7]."""
    rng = np.random.default_rng(0)
    prompts, answers = (rng.integers(2, 128, (3, length)).astype(np.int32) for length in (5, 7))
    prompts[1, 3:] = prompts[2, 1:] = 0
    return prompts, answers


def teacher_forced(model: T5, apply, prompts: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Logits of the answers' tokens, each row by itself."""
    logits = []
    for prompt, answer in zip(prompts, answers, strict=True):
        read = np.append(0, answer[:-1])[None].astype(np.int32)
        if not model.config.decoder_only:
            logits.append(apply(model, prompt[None], read)[0])
            continue
        before = prompt[prompt != 0]
        whole = np.concatenate([[0], before, answer[:-1]])[None].astype(np.int32)
        prefix = (np.arange(whole.shape[1]) <= len(before)).astype(np.int32)[None]
        logits.append(apply(model, None, whole, decoder_causal_attention=prefix)[0, len(before) :])
    return np.stack(logits)


@every_architecture
@pytest.mark.slow
@pytest.mark.parametrize("scan_layers", [False, True])
def test_steps_give_the_teacher_forced_logits(architecture, scan_layers, rows, apply):
    prompts, answers = rows
    model = model_of(architecture, scan_layers=scan_layers)
    expected = teacher_forced(model, apply, prompts, answers)
    prepared = decoding_steps.prepare_steps(model, jnp.asarray(prompts))
    caches = decoding_steps.longer_caches(prepared.caches, prepared.offset + answers.shape[1])
    read = np.concatenate([np.asarray(prepared.first)[:, None], answers[:, :-1]], axis=1)
    for step in range(answers.shape[1]):
        logits, caches = decoding_steps.next_logits(model, prepared, read[:, step], step, caches)
        np.testing.assert_allclose(logits, expected[:, step], rtol=0, atol=1e-4)
    likelihoods = np.diagonal(np.asarray(decoding.score(model, prompts, answers)))
    chosen = np.take_along_axis(np.asarray(jax.nn.log_softmax(expected)), answers[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(likelihoods, chosen.sum(-1), rtol=0, atol=1e-3)


def test_places_are_the_table_s_rows_in_turn(rows, apply):
    """With rows of the table that are all alike, a model is one without places whose embedding is moved by them."""
    model = model_of("language_model")
    tokens = np.append(np.zeros((3, 1), np.int32), rows[1], axis=1)
    embedded = np.asarray(model.embed_at(tokens, np.arange(tokens.shape[1])[None]))
    places = np.asarray(model.places[...])
    assert places.shape == (PERIOD, 16)
    for position in range(tokens.shape[1]):
        expected = np.asarray(model.embedding[...])[tokens[:, position]] + places[position % PERIOD]
        np.testing.assert_allclose(embedded[:, position], expected, atol=1e-6)
    logits = apply(model, None, tokens)
    changed = nnx.clone(model)
    changed.places.set_value(jnp.roll(model.places[...], 1, axis=0))
    assert (np.abs(apply(changed, None, tokens) - logits).max(axis=-1) > 1e-4).all()


def test_places_count_from_the_beginning_of_a_packed_segment(rows, apply):
    assert positions_of(None, 3).tolist() == [[0, 1, 2]]
    segments = np.array([[1, 1, 2, 2, 2, 0, 0], [1, 2, 3, 3, 3, 3, 3]], np.int32)
    assert positions_of(jnp.asarray(segments), 7).tolist() == [[0, 1, 0, 1, 2, 0, 1], [0, 0, 0, 1, 2, 3, 4]]
    model = model_of("language_model")
    first, second = (np.append(0, answer).astype(np.int32) for answer in (rows[1][0, :3], rows[1][1, :4]))
    packed = np.concatenate([first, second])[None]
    ids = np.repeat([1, 2], [len(first), len(second)])[None].astype(np.int32)
    together = apply(model, None, packed, decoder_segment_ids=ids)[0]
    alone = [apply(model, None, row[None])[0] for row in (first, second)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-4)


@every_architecture
def test_without_a_period_there_is_no_table_and_no_other_number(architecture):
    _, plain = parameters.initialise(model_of(architecture, position_period=0).config, jax.random.key(0))
    _, placed = parameters.initialise(model_of(architecture).config, jax.random.key(0))
    plain, placed = (dict(nnx.to_flat_state(params)) for params in (plain, placed))
    assert set(placed) - set(plain) == {("places",)}
    for path, param in plain.items():
        np.testing.assert_array_equal(param[...], placed[path][...])


def test_what_cannot_have_places():
    with pytest.raises(ConfigError, match=r"T5Config\.position_period must be 0 in an encoder, not 3"):
        T5Config(**{**SHAPE, "num_decoder_layers": 0}, num_encoder_layers=1, architecture="encoder", position_period=3)
    with pytest.raises(ConfigError, match=r"T5Config\.position_period must be a whole number from 0"):
        T5Config(**SHAPE, num_encoder_layers=1, position_period=-1)
    with pytest.raises(ConfigError, match=r"no table of places; this model has one of 3 \(position_period\)"):
        huggingface.config_to(model_of("encoder_decoder").config)
