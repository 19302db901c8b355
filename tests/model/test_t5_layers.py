import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from t5music.model import layers, parameters
from t5music.model.config import T5Config
from t5music.model.layers import (
    Attention,
    EncoderLayer,
    FeedForward,
    RelativePositionBias,
    RMSNorm,
    dropout,
    relative_position_bucket,
)
from t5music.model.network import T5, Stack

# n = query - key -> bucket, of t5x `_relative_position_bucket` with 32 buckets up to distance 128.
ENCODER = {n: n for n in range(8)} | {8: 8, 12: 9, 16: 10, 23: 11, 32: 12, 46: 13, 64: 14, 91: 15}
ENCODER_FUTURE = {1: 17, 8: 24, 128: 31}
DECODER_WIDE = [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]
DECODER = {n: n for n in range(16)} | dict(zip(DECODER_WIDE, range(16, 32), strict=True))


def bucket(relative, *, bidirectional):
    return np.asarray(
        relative_position_bucket(np.asarray(relative), bidirectional=bidirectional, buckets=32, max_distance=128)
    )


def first_of_each(buckets):
    """Distance at which each bucket begins, for distances 0, 1, 2, ..."""
    return {int(np.argmax(buckets == b)): int(b) for b in np.unique(buckets)}


def test_encoder_buckets_are_t5_s():
    past = bucket(-np.arange(200), bidirectional=True)
    assert first_of_each(past) == ENCODER
    assert (np.diff(past) >= 0).all()
    future = dict(zip(ENCODER_FUTURE, bucket(list(ENCODER_FUTURE), bidirectional=True).tolist(), strict=True))
    assert future == ENCODER_FUTURE
    np.testing.assert_array_equal(bucket(np.arange(1, 200), bidirectional=True), past[1:] + 16)


def test_decoder_buckets_are_t5_s():
    past = bucket(-np.arange(500), bidirectional=False)
    assert first_of_each(past) == DECODER
    assert (np.diff(past) >= 0).all()
    assert not bucket(np.arange(1, 500), bidirectional=False).any()


@pytest.mark.parametrize(
    ("queries", "keys", "bidirectional"), [(1, 1, True), (1, 6, False), (6, 1, True), (40, 25, True), (25, 40, False)]
)
def test_the_bias_of_a_pair_is_its_distance_s_row_of_the_table(queries, keys, bidirectional):
    bias = RelativePositionBias(
        config(relative_attention_max_distance=17), bidirectional=bidirectional, rngs=nnx.Rngs(0)
    )
    table = np.asarray(bias.table[...])
    relative = np.arange(keys)[None, :] - np.arange(queries)[:, None]
    rows = np.asarray(relative_position_bucket(relative, bidirectional=bidirectional, buckets=32, max_distance=17))
    np.testing.assert_array_equal(np.asarray(bias(queries, keys)), table[:, rows][None])


def config(**changes):
    shape = {"vocab_size": 640, "d_model": 256, "d_kv": 16, "num_heads": 20, "d_ff": 512}
    return T5Config(**{**shape, "num_encoder_layers": 1, "num_decoder_layers": 1, **changes})


def assert_spread(param, stddev, *, normal=True):
    """Mean and standard deviation within five standard errors; `normal` tells the shape by its fourth moment."""
    x = np.asarray(param[...], np.float64).ravel()
    assert abs(x.mean()) < 5 * stddev / np.sqrt(x.size)
    assert abs(x.std() / stddev - 1) < 5 / np.sqrt(2 * x.size)
    kurtosis = (x**4).mean() / (x**2).mean() ** 2
    assert abs(kurtosis - 3) < 0.15 if normal else kurtosis < 2.8


def test_initial_attention_is_t5_s():
    attention = Attention(config(), rngs=nnx.Rngs(0))
    assert_spread(attention.query, (256 * 16) ** -0.5)
    assert_spread(attention.key, 256**-0.5)
    assert_spread(attention.value, 256**-0.5)
    assert_spread(attention.out, (20 * 16) ** -0.5)


def test_initial_feed_forward_is_a_truncated_normal_by_fan_in():
    for version, names in (("v1.0", ["wi"]), ("v1.1", ["wi_0", "wi_1"])):
        mlp = FeedForward(config(version=version), rngs=nnx.Rngs(0))
        for name in names:
            assert_spread(getattr(mlp, name), 256**-0.5, normal=False)
            assert np.abs(getattr(mlp, name)[...]).max() < 2.3 * 256**-0.5  # cut at two deviations before rescaling
        assert_spread(mlp.wo, 512**-0.5, normal=False)


def test_initial_embedding_head_norms_and_bias_tables_are_t5_s():
    model = T5(config(), rngs=nnx.Rngs(0))
    assert_spread(model.embedding, 1.0)
    assert_spread(model.head, 256**-0.5, normal=False)
    for stack in (model.encoder, model.decoder):
        np.testing.assert_array_equal(stack.norm.scale[...], np.ones(256))
        table = np.asarray(stack.relative_bias.table[...])
        limit = np.sqrt(6 / (20 + 32))  # Glorot-uniform over [heads, buckets]
        assert 0.95 * limit < np.abs(table).max() <= limit
        assert abs(table.std() - limit / np.sqrt(3)) < 0.03


def test_layers_start_differently_from_each_other():
    model = T5(config(num_encoder_layers=2), rngs=nnx.Rngs(0))
    first, second = (layer.attention for layer in model.encoder.layers)
    assert not np.array_equal(first.query[...], second.query[...])
    assert not np.array_equal(first.key[...], first.value[...])


def test_norm_is_root_mean_square_in_float32():
    norm = RMSNorm(config(dtype="bfloat16"))
    norm.scale[...] = jnp.linspace(0.5, 2, 256)
    x = np.random.default_rng(0).normal(3, 2, (2, 256)).astype(np.float32)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * np.linspace(0.5, 2, 256)
    got = norm(jnp.asarray(x))
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(got, np.float32), expected, rtol=2**-8)
    np.testing.assert_allclose(norm(jnp.zeros((1, 256))), 0)
    assert RMSNorm(config())(jnp.full((1, 256), 1e-3))[0, 0] == pytest.approx(2**-0.5, rel=1e-5)  # epsilon is 1e-6


def test_feed_forward_formulas():
    x = np.random.default_rng(0).normal(size=(1, 3, 256)).astype(np.float32)
    plain, gated = (FeedForward(config(version=v), rngs=nnx.Rngs(0)) for v in ("v1.0", "v1.1"))
    weights = {name: np.asarray(getattr(plain, name)[...]) for name in ("wi", "wo")}
    np.testing.assert_allclose(plain(x), np.maximum(x @ weights["wi"], 0) @ weights["wo"], atol=1e-5)
    weights = {name: np.asarray(getattr(gated, name)[...]) for name in ("wi_0", "wi_1", "wo")}
    gate = x @ weights["wi_0"]
    gelu = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
    np.testing.assert_allclose(gated(x), (gelu * (x @ weights["wi_1"])) @ weights["wo"], atol=1e-5)


def attend(length=4, *, mask=None, bias=None):
    attention = Attention(config(num_heads=2, d_kv=8, d_model=16), rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (1, length, 16))
    queries, (keys, values) = attention.project_queries(x), attention.project_keys_values(x)
    out = attention.attend(queries, keys, values, mask=mask, bias=bias)
    return attention, np.asarray(x), np.asarray(out)


def test_attention_is_not_scaled():
    attention, x, out = attend()
    q, k, v = (
        (x[0] @ np.asarray(getattr(attention, name)[...])).reshape(4, 2, 8).transpose(1, 0, 2)
        for name in ("query", "key", "value")
    )
    logits = q @ k.transpose(0, 2, 1)  # [heads, 4, 4]
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    joined = (weights @ v).transpose(1, 0, 2).reshape(4, 16)
    np.testing.assert_allclose(out[0], joined @ np.asarray(attention.out[...]), atol=1e-5)


def test_a_masked_key_does_not_count_and_a_row_without_keys_stays_finite():
    _, _, alone = attend(mask=jnp.asarray([True, False, False, False]))
    np.testing.assert_allclose(alone[0, 1], alone[0, 0], atol=1e-6)  # every query sees key 0 and nothing else
    _, _, nothing = attend(mask=jnp.zeros(4, bool))
    assert np.isfinite(nothing).all()


def test_bias_decides_where_a_query_looks():
    strong = jnp.zeros((1, 1, 4, 4)).at[..., 2].set(50.0)
    _, _, biased = attend(bias=strong)
    _, _, masked = attend(mask=jnp.asarray([False, False, True, False]))
    np.testing.assert_allclose(biased, masked, atol=1e-5)


def test_dropout_is_one_mask_for_all_positions():
    x = jnp.ones((50, 7, 40))
    dropped = np.asarray(dropout(x, 0.25, jax.random.key(0)))
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:, :1], dropped.shape))
    assert set(np.unique(dropped).tolist()) == {0.0, np.float32(1 / 0.75)}
    assert abs((dropped == 0).mean() - 0.25) < 0.05
    assert (dropped[0] != dropped[1]).any()  # but another one for every row


@pytest.mark.parametrize(("rate", "key"), [(0.0, jax.random.key(0)), (0.5, None)])
def test_no_rate_or_no_key_is_no_dropout(rate, key):
    x = jnp.ones((2, 3, 4))
    np.testing.assert_array_equal(dropout(x, rate, key), x)


@pytest.mark.slow
def test_every_rematerialisation_gives_the_same_gradients_in_both_forms():
    x = jax.random.normal(jax.random.key(0), (2, 6, 16))
    bias, mask = jnp.zeros((1, 2, 6, 6)), jnp.ones((1, 1, 6, 6), bool)
    key = jax.random.key(1, impl="unsafe_rbg")
    shape = {"d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 32, "num_encoder_layers": 2, "dropout_rate": 0.3}

    def gradients(**changes):
        stack = Stack(config(**shape, **changes), EncoderLayer, 2, bidirectional=True, rngs=nnx.Rngs(0))
        graphdef, params = nnx.split(stack)

        def loss(params, x):
            stack = nnx.merge(graphdef, params)
            return jnp.sum(jnp.sin(stack.run(lambda layer, x, key: layer(x, bias, mask, key)[0], x, key)))

        def both(params, x):
            ours, of_x = jax.grad(loss, argnums=(0, 1))(params, x)
            layers = parameters.unstack_layers(nnx.State({"encoder": ours}))
            return [value[...] for _, value in nnx.to_flat_state(layers)], of_x

        return jax.tree.leaves(jax.jit(both)(params, x))

    expected = gradients()
    assert max(float(np.abs(value).max()) for value in expected) > 0.1
    for scan_layers in (False, True):
        for remat in ("none", "full", "dots"):
            for got, want in zip(gradients(scan_layers=scan_layers, remat_policy=remat), expected, strict=True):
                np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * max(np.abs(want).max(), 1))


def test_norms_and_softmax_compute_in_float32_under_bfloat16_forward_and_backward():
    layer = EncoderLayer(config(dtype="bfloat16", num_heads=2), rngs=nnx.Rngs(0))
    x, bias, mask = jnp.ones((1, 4, 256), jnp.bfloat16), jnp.zeros((1, 2, 4, 4)), jnp.ones((1, 1, 4, 4), bool)

    def backward(x, bias):
        return jax.vjp(lambda x, bias: layer(x, bias, mask)[0], x, bias)[1](x)

    jaxpr = jax.make_jaxpr(backward)(x, bias)
    seen = {"rsqrt": set(), "exp": set(), "dot_general": set()}
    for line in str(jaxpr).splitlines():
        for name in seen:
            if f" = {name}" in line:
                seen[name].add(line.split(" = ")[0].split(":")[1][:3])
    assert seen["rsqrt"] == seen["exp"] == {"f32"}
    assert "bf1" in seen["dot_general"]


def test_linear_is_one_product_over_all_positions():
    x, kernel = jnp.ones((2, 3, 4), jnp.bfloat16), jnp.ones((4, 5))
    assert layers.linear(x, kernel).dtype == jnp.bfloat16
    np.testing.assert_array_equal(layers.linear(x, kernel), np.full((2, 3, 5), 4))
    shapes = [eqn.outvars[0].aval.shape for eqn in jax.make_jaxpr(layers.linear)(x, kernel).eqns]
    assert (6, 5) in shapes
