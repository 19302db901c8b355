"""Adapters: a fresh one changes nothing, a trained one does the same wherever the model runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from t5music.errors import ConfigError
from t5music.model import decoding, huggingface, parameters, sharding
from t5music.model.config import named
from t5music.training.cost import flops, plan

PLAIN = named("v1.1", "tiny", vocab_size=128, dropout_rate=0.0)
ADAPTED = dataclasses.replace(PLAIN, adapter_dim=6)
DECODER_ONLY = {"architecture": "language_model", "num_encoder_layers": 0}


def flat(params):
    return {".".join(map(str, path)): np.asarray(param[...]) for path, param in nnx.to_flat_state(params)}


def flat_names(config):
    return [name for layer_names in parameters.names(parameters.abstract(config)[1]).values() for name in layer_names]


def stirred(params):
    """The parameters with adapters that do something."""
    rng = np.random.default_rng(0)
    return nnx.from_flat_state(
        {
            path: param.replace(jnp.asarray(rng.normal(0, 0.3, param.shape), jnp.float32))
            if "adapter" in path
            else param
            for path, param in nnx.to_flat_state(params)
        }
    )


@pytest.fixture(scope="module")
def adapted():
    """(graphdef, fresh parameters), unrolled."""
    return parameters.initialise(ADAPTED, jax.random.key(0))


def logits(config, params):
    tokens, targets = jnp.array([[5, 9, 31, 7], [8, 8, 1, 0]]), jnp.array([[0, 12, 40], [0, 77, 6]])
    return jax.jit(lambda params: nnx.merge(parameters.abstract(config)[0], params)(tokens, targets))(params)


@pytest.mark.slow
def test_a_fresh_adapter_changes_nothing():
    """Operation by operation: compiled as two programs, the two may differ in the last bit."""
    with jax.disable_jit():
        _, plain = parameters.initialise(PLAIN, jax.random.key(0))
        _, fresh = parameters.initialise(ADAPTED, jax.random.key(0))
        others = {name: value for name, value in flat(fresh).items() if ".adapter." not in name}
        jax.tree.map(np.testing.assert_array_equal, others, flat(plain))
        np.testing.assert_array_equal(logits(ADAPTED, fresh), logits(PLAIN, plain))
        assert np.abs(logits(ADAPTED, stirred(fresh)) - logits(PLAIN, plain)).max() > 0.1


def test_adapters_are_two_kernels_a_layer():
    added = set(flat_names(ADAPTED)) - set(flat_names(PLAIN))
    assert added == {
        f"{stack}.layers.{i}.adapter.{kernel}"
        for stack in ("encoder", "decoder")
        for i in (0, 1)
        for kernel in ("wi", "wo")
    }


@pytest.mark.parametrize(
    ("version", "width"), [("v1.0", 32), ("v1.0", 128), ("v1.0", 512), ("v1.0", 2048), ("v1.1", 32)]
)
def test_adapters_of_base_have_the_parameters_they_should(version, width):
    """Two kernels of 768 x width in each of 24 layers."""
    plain, wide = (
        sum(plan.parameter_counts(named(version, "base", vocab_size=32128, scan_layers=True, adapter_dim=dim)).values())
        for dim in (0, width)
    )
    assert wide - plain == 24 * 2 * 768 * width


def test_it_is_relu_between_two_kernels_on_what_the_feed_forward_layer_adds(adapted):
    model = nnx.merge(adapted[0], stirred(adapted[1]))
    layer = model.encoder.layers[0]
    y = np.random.default_rng(1).normal(size=(2, 3, PLAIN.d_model)).astype(np.float32)
    wi, wo = (np.asarray(layer.adapter.wi[...], np.float64), np.asarray(layer.adapter.wo[...], np.float64))
    np.testing.assert_allclose(layer.adapter(y), y + np.maximum(y @ wi, 0) @ wo, rtol=1e-5, atol=1e-5)


def test_scanned_layers_have_the_same_adapters(adapted):
    params = stirred(adapted[1])
    scanned = dataclasses.replace(ADAPTED, scan_layers=True)
    np.testing.assert_allclose(
        logits(scanned, parameters.stack_layers(params)), logits(ADAPTED, params), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.slow), 2])  # their kernels are laid out in two ways
def test_decoding_step_by_step_is_the_whole_decoder(adapted, rows):
    model = nnx.merge(adapted[0], stirred(adapted[1]))
    tokens = np.array([[5, 9, 31, 7], [8, 8, 1, 0]])[:rows]
    written = np.asarray(decoding.generate(model, tokens, max_length=4))
    shifted = np.pad(written, ((0, 0), (1, 0)))[:, :-1]
    expected = np.asarray(model(tokens, shifted)).argmax(-1)
    for row, wanted in zip(written, expected, strict=True):
        end = list(row).index(1) + 1 if 1 in row else len(row)
        np.testing.assert_array_equal(row[:end], wanted[:end])


def test_shared_layers_share_their_adapters():
    config = dataclasses.replace(ADAPTED, shared_layers=True)
    names = flat_names(config)
    assert any(".adapter." in name for name in names)
    assert not any(name.startswith("encoder") for name in names)
    assert "decoder.layers.1.adapter.wo" in flat_names(dataclasses.replace(ADAPTED, **DECODER_ONLY))


def test_adapters_are_divided_and_counted_like_feed_forward_layers():
    mesh = sharding.make_mesh(2, 2, 2, devices=8)
    table = sharding.describe(parameters.abstract(ADAPTED)[1], mesh)
    line = next(line for line in table.splitlines() if line.startswith("encoder.layers.0.adapter.wi"))
    assert line.split() == ["encoder.layers.0.adapter.wi", "32", "x", "6", "fsdp,", "tensor", str(16 * 3 * 4)]
    sizes = {"rows": 2, "inputs": 16, "targets": 8}
    added = flops.train_flops(ADAPTED, **sizes) - flops.train_flops(PLAIN, **sizes)
    assert added == 3 * 2 * (16 + 8) * 2 * (2 * 2 * 32 * 6)  # rows, tokens, layers, two kernels


def test_hugging_face_has_none():
    with pytest.raises(ConfigError, match="no adapters; this model has adapters of width 6"):
        huggingface.config_to(ADAPTED)


@pytest.mark.parametrize("value", [-1, True, 2.0])
def test_a_width_that_cannot_be_is_refused(value):
    with pytest.raises(ConfigError, match=r"T5Config\.adapter_dim must be a whole number"):
        dataclasses.replace(PLAIN, adapter_dim=value)
