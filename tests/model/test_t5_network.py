import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from t5music.model import layers, network, parameters
from t5music.model.config import named
from t5music.model.layers import EncoderLayer
from t5music.model.stack import Stack

KEY = jax.random.key(7, impl="unsafe_rbg")  # compiles faster than the default generator


def restacked(model, **changes):
    """The same parameters under another config."""
    config = dataclasses.replace(model.config, **changes)
    params = nnx.state(model)
    form = parameters.stack_layers if config.scan_layers else parameters.unstack_layers
    return nnx.merge(parameters.abstract(config)[0], jax.jit(form)(params))


@pytest.fixture(scope="module")
def mild(build):
    """Half the golden weights: rounding is magnified less, so that logits can be compared to 1e-5."""
    graphdef, params = nnx.split(build())
    return nnx.merge(graphdef, jax.tree.map(lambda x: 0.5 * x, params))


def loss_and_gradients(model, batch, shift):
    encoder, targets = batch
    graphdef, params = nnx.split(model)

    def loss(params):
        model = nnx.merge(graphdef, params)
        logits = model(encoder, shift(targets), deterministic=False, rngs=KEY)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1)[..., 0]
        return -jnp.sum(jnp.where(targets != 0, chosen, 0))

    @jax.jit
    def both(params):
        value, gradients = jax.value_and_grad(loss)(params)
        return value, parameters.unstack_layers(gradients)

    return both(params)


def assert_close(one, other, *, rtol=2e-5):
    """Within `rtol` of each array's largest entry."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(np.abs(a).max(), 1e-6))


@pytest.fixture(scope="module")
def plain(build, batch, shift):
    """Loss and gradients under dropout of the unrolled model without rematerialisation."""
    return loss_and_gradients(build(dropout_rate=0.3), batch, shift)


@pytest.mark.parametrize(
    "changes",
    [
        {"scan_layers": True, "remat_policy": "full"},
        pytest.param({"scan_layers": True}, marks=pytest.mark.slow),
        pytest.param({"remat_policy": "dots"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_scanning_and_rematerialising_change_no_number(build, batch, shift, plain, changes):
    assert_close(loss_and_gradients(restacked(build(dropout_rate=0.3), **changes), batch, shift), plain)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_rematerialising_keeps_less_for_the_backward_pass(build, batch, shift, scan_layers):
    encoder, targets = batch

    def residual_size(remat):
        graphdef, params = nnx.split(restacked(build(), remat_policy=remat, scan_layers=scan_layers))

        def forward(params):
            return nnx.merge(graphdef, params)(encoder, shift(targets)).sum()

        residuals = jax.eval_shape(lambda params: jax.vjp(forward, params)[1], params)
        return sum(leaf.size for leaf in jax.tree.leaves(residuals))

    none, dots, full = residual_size("none"), residual_size("dots"), residual_size("full")
    assert full < dots < none


def test_initial_values_do_not_depend_on_the_form(build):
    def initial_state(scan_layers):
        config = dataclasses.replace(build().config, scan_layers=scan_layers)
        stack = Stack(config, EncoderLayer, 2, bidirectional=True, rngs=nnx.Rngs(3))
        return parameters.unstack_layers(nnx.State({"encoder": nnx.state(stack)}))

    stacked, unrolled = jax.jit(lambda: (initial_state(True), initial_state(False)))()
    assert_close(stacked, unrolled, rtol=1e-6)


def test_dropout_stands_where_t5_has_it(build, batch, shift, monkeypatch):
    seen = []

    def record(x, rate, key):
        seen.append((x.shape, rate, key))
        return x

    monkeypatch.setattr(layers, "dropout", record)
    monkeypatch.setattr(network, "dropout", record)
    encoder, targets = batch
    model = build(dropout_rate=0.3)
    jax.eval_shape(lambda key: model(encoder, shift(targets), deterministic=False, rngs=key), KEY)
    hidden, source, target = (3, 12, 48), (3, 12, 32), (3, 9, 32)
    encoder_layer = [(3, 3, 12, 12), source, hidden, source]
    decoder_layer = [(3, 3, 9, 9), target, (3, 3, 9, 12), target, (3, 9, 48), target]
    expected = [source, *encoder_layer * 2, source, target, *decoder_layer * 3, target]
    assert [shape for shape, _, _ in seen] == expected
    assert {rate for _, rate, _ in seen} == {0.3}
    assert len({id(key) for _, _, key in seen}) == len(seen)  # a mask of its own everywhere


def test_dropout_needs_a_key_and_takes_rngs(build, batch, shift, apply):
    tokens = batch[0], shift(batch[1])
    model = build(dropout_rate=0.3, num_encoder_layers=1, num_decoder_layers=1)
    with pytest.raises(ValueError, match="dropout key"):
        jax.eval_shape(lambda: model(*tokens, deterministic=False))
    logits = apply(model, *tokens, KEY)
    np.testing.assert_array_equal(logits, apply(model, *tokens, KEY))
    assert np.abs(logits - apply(model, *tokens, jax.random.key(8, impl="unsafe_rbg"))).max() > 0.1
    rngs = jax.make_jaxpr(lambda: model(*tokens, deterministic=False, rngs=nnx.Rngs(dropout=1)))()
    key = jax.make_jaxpr(lambda: model(*tokens, deterministic=False, rngs=nnx.Rngs(dropout=1).dropout()))()
    assert str(rngs) == str(key)


def test_padding_does_not_reach_any_token(mild, batch, shift, apply):
    encoder, targets = batch
    logits = apply(mild, encoder, shift(targets))
    wider = np.pad(encoder, ((0, 0), (0, 4))), np.pad(shift(targets), ((0, 0), (0, 3)))
    np.testing.assert_allclose(apply(mild, *wider)[:, :9], logits, atol=1e-5)


def test_a_position_depends_on_earlier_targets_only(mild, batch, shift, apply):
    encoder, targets = batch
    logits = apply(mild, encoder, shift(targets))
    changed = shift(targets)
    changed[:, 5] = 100
    difference = np.abs(apply(mild, encoder, changed) - logits).max(axis=(0, 2))
    assert difference[:5].max() < 1e-5
    assert (difference[5:] > 1e-3).all()


def test_packed_equals_unpacked(mild, shift, apply):
    random = np.random.default_rng(1)
    sources = [random.integers(2, 128, (1, n)).astype(np.int32) for n in (7, 10)]
    targets = [random.integers(2, 128, (1, n)).astype(np.int32) for n in (6, 4)]
    alone = [apply(mild, source, shift(target)) for source, target in zip(sources, targets, strict=True)]

    def packed(rows, pad):
        return np.pad(np.concatenate(rows, axis=1), ((0, 0), (0, pad)))

    tokens = packed(sources, 3), packed([shift(target) for target in targets], 2)
    segments = {
        "encoder_segment_ids": packed([np.full_like(row, i + 1) for i, row in enumerate(sources)], 3),
        "decoder_segment_ids": packed([np.full_like(row, i + 1) for i, row in enumerate(targets)], 2),
    }
    together = apply(mild, *tokens, **segments)
    np.testing.assert_allclose(together[:, :6], alone[0], atol=1e-5)
    np.testing.assert_allclose(together[:, 6:10], alone[1], atol=1e-5)
    assert np.isfinite(together).all()
    assert np.abs(apply(mild, *tokens)[:, 6:10] - alone[1]).max() > 1e-2  # the segments did it


def test_segment_ids_come_together(build, batch, shift):
    encoder, targets = batch
    with pytest.raises(ValueError, match="come together"):
        jax.eval_shape(lambda: build()(encoder, shift(targets), encoder_segment_ids=np.ones_like(encoder)))


def test_target_padding_is_hidden_without_touching_any_logit_that_counts(mild, batch, shift, apply):
    encoder, targets = batch
    with_targets = apply(mild, encoder, shift(targets), decoder_target_tokens=targets)
    without = apply(mild, encoder, shift(targets))
    np.testing.assert_allclose(with_targets[targets != 0], without[targets != 0], atol=1e-5)
    assert (np.abs(with_targets - without)[targets == 0] > 1e-4).any()


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
def test_bfloat16_computes_in_bfloat16_but_keeps_parameters_and_logits_in_float32(build, batch, shift, apply, version):
    encoder, targets = batch
    exact, model = build(version), build(version, dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model))} == {jnp.dtype("float32")}
    assert jax.eval_shape(model.encode, encoder).dtype == jnp.bfloat16
    logits, expected = (apply(m, encoder, shift(targets)) for m in (model, exact))
    assert logits.dtype == jnp.float32
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    assert 1e-4 < error < 0.1


def test_attention_logits_and_softmax_are_float32_under_bfloat16(build, batch, shift):
    encoder, targets = batch
    jaxpr = str(jax.make_jaxpr(build(dtype="bfloat16"))(encoder, shift(targets)))
    exponentials = [line for line in jaxpr.splitlines() if " = exp " in line]
    assert exponentials
    assert all("f32[" in line for line in exponentials)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_logits_come_from_the_embedding_or_a_matrix_scaled_or_not(tied, scaled):
    config = dataclasses.replace(
        named("v1.1", "tiny", vocab_size=128), tie_word_embeddings=tied, scale_decoder_outputs=scaled
    )
    model = nnx.merge(*parameters.initialise(config, KEY))
    assert hasattr(model, "head") == (not tied)
    x = np.random.default_rng(0).standard_normal((2, 3, config.d_model)).astype(np.float32)
    kernel = np.asarray(model.embedding[...]).T if tied else np.asarray(model.head[...])
    expected = x.astype(np.float64) @ kernel.astype(np.float64) / (np.sqrt(config.d_model) if scaled else 1)
    np.testing.assert_allclose(model.logits(x), expected, rtol=1e-4, atol=1e-5)
