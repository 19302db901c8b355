import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from t5music.model import attention, config, parameters, products
from t5music.model.config import T5Config
from t5music.training.losses import cross_entropy

pytestmark = pytest.mark.usefixtures("optimised")


def rounded(x):
    return np.asarray(jnp.asarray(x, jnp.bfloat16), np.float64)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def assert_close(arrays, expected, share):
    """Within a share of each array's largest entry."""
    for one, other in zip(arrays, expected, strict=True):
        assert one.dtype == jnp.float32
        assert np.abs(np.asarray(one) - np.asarray(other)).max() < share * np.abs(np.asarray(other)).max()


def test_factors_and_the_gradient_are_rounded_and_nothing_else():
    rows, kernel, gradient = normal(0, 64, 48), normal(1, 48, 32), normal(2, 64, 32)
    value, backward = jax.vjp(products.in_bfloat16, rows, kernel)
    exact_rows, exact_kernel, exact_gradient = map(rounded, (rows, kernel, gradient))
    expected = exact_rows @ exact_kernel, exact_gradient @ exact_kernel.T, exact_rows.T @ exact_gradient
    assert_close((value, *backward(gradient)), expected, 1e-6)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (4, 2, 3, 5), (1, 1), (2, 1, 5), (2, 5, 1)], ids=str)
def test_turned_exchanges_the_last_two_dimensions(shape):
    x = normal(0, *shape)
    np.testing.assert_array_equal(products.turned(x), np.swapaxes(x, -1, -2))


@pytest.mark.parametrize("packed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_attention_with_bfloat16_products_is_that_in_float32_to_rounding(packed):
    arrays = [normal(i, 2, 3, length, 8) for i, length in enumerate((10, 14, 14))]
    bias, gradient = normal(3, 1, 3, 10, 14), normal(4, 2, 3, 10, 8)
    mask = (np.arange(14) < np.array([14, 9])[:, None])[:, None, None]
    if packed:
        mask = mask & ((np.arange(10)[:, None] < 6) == (np.arange(14) < 7))

    def run(dtype):
        def attend(queries, keys, values, bias):
            return attention.plain(queries, keys, values, bias=bias, mask=mask, dtype=dtype)

        value, backward = jax.vjp(attend, *arrays, bias)
        return value, *backward(gradient)

    assert_close(run("bfloat16"), run("float32"), 0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "dropping"),
    [
        (changes, dropping)
        for changes in ({}, {"scan_layers": True}, {"version": "v1.0"}, {"adapter_dim": 8})
        for dropping in (False, True)
    ],
    ids=str,
)
def test_a_model_s_logits_and_gradients_are_those_in_float32_to_rounding(changes, dropping):
    shape = {"vocab_size": 128, "d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 96}
    exact = T5Config(num_encoder_layers=2, num_decoder_layers=2, **{**shape, **changes})
    _, params = parameters.initialise(exact, jax.random.key(0))
    random = np.random.default_rng(0)
    encoder, targets = (random.integers(2, 128, (3, length), np.int32) for length in (20, 12))
    encoder[1, 15:] = targets[2, 7:] = 0
    segments = np.where(np.arange(20) < 9, 1, 2).astype(np.int32), np.where(np.arange(12) < 5, 1, 2).astype(np.int32)
    encoder_segments, decoder_segments = (np.broadcast_to(s, (3, len(s))) for s in segments)

    def run(dtype):
        graphdef, _ = parameters.abstract(dataclasses.replace(exact, dtype=dtype))

        def loss(params):
            model = nnx.merge(graphdef, params)
            logits = model(
                encoder,
                np.pad(targets[:, :-1], ((0, 0), (1, 0))),
                encoder_segment_ids=encoder_segments,
                decoder_segment_ids=decoder_segments,
                deterministic=not dropping,
                rngs=jax.random.key(1),
            )
            return cross_entropy(logits, targets, targets != 0).loss, logits

        (_, logits), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
        return logits, gradient

    (logits, gradient), (expected, expected_gradient) = run("bfloat16_products"), run("float32")
    assert_close([logits], [expected], 0.03)
    assert np.abs(logits - expected).max() > 0

    def distance(other):
        return optax.tree.norm(jax.tree.map(jnp.subtract, other, expected_gradient))

    limit = 0.03 * optax.tree.norm(expected_gradient)
    if exact.version == "v1.0":  # whose first logits are so large that all arrays in bfloat16 take it as far
        limit = max(limit, 1.1 * distance(run("bfloat16")[1]))
    assert distance(gradient) < limit


@pytest.mark.parametrize(
    ("d_model", "fast", "dtype", "expected"),
    [
        (128, True, "auto", "bfloat16"),
        (64, True, "auto", "float32"),
        (128, False, "auto", "float32"),
        (64, False, "bfloat16_products", "bfloat16"),
        (512, True, "float32", "float32"),
    ],
)
def test_auto_takes_bfloat16_where_it_pays(monkeypatch, d_model, fast, dtype, expected):
    monkeypatch.setattr(config, "pay_in_bfloat16", lambda: fast)
    sizes = {"vocab_size": 128, "d_kv": 8, "num_heads": 2, "d_ff": 16, "num_encoder_layers": 1, "num_decoder_layers": 1}
    model = T5Config(d_model=d_model, dtype=dtype, **sizes)
    assert (model.products, model.activations) == (expected, "float32")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("model name: x\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n", True),
        ("model name: x\nflags\t\t: fpu avx512f avx512_bf16\n", False),
        ("model name: amx_bf16\nFeatures: fp asimd bf16\n", False),
    ],
)
def test_amx_is_read_from_the_processor_s_flags(monkeypatch, cpuinfo, expected):
    monkeypatch.setattr(Path, "read_text", lambda self: cpuinfo)
    assert products.pay_in_bfloat16.__wrapped__() == expected
