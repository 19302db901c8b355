import dataclasses
import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from t5music.model import parameters, sharding
from t5music.model.config import named

GOLDEN = Path(__file__).parents[1] / "golden"
COUNTS = json.loads((GOLDEN / "t5_counts.json").read_text())


ARCHITECTURES = json.loads((GOLDEN / "t5_architecture_counts.json").read_text())
DECODER_ONLY = {"architecture": "prefix_lm", "num_encoder_layers": 0}
CLASSIFIER = {"architecture": "encoder", "num_decoder_layers": 0, "head": "sequence", "num_labels": 3}


def halved(config):
    return dataclasses.replace(
        config, num_encoder_layers=config.num_encoder_layers // 2, num_decoder_layers=config.num_decoder_layers // 2
    )


@pytest.mark.parametrize(("version", "size"), [(version, size) for version in COUNTS for size in COUNTS[version]])
def test_named_sizes_have_the_published_number_of_parameters(version, size):
    # Scanned, because abstract evaluation of every layer by itself takes a while; the next test ties the two forms.
    config = named(version, size, vocab_size=32128, scan_layers=True)
    configs = {
        "encoder_decoder": config,
        "shared": dataclasses.replace(config, shared_layers=True),
        "half": halved(config),
        "decoder_only": dataclasses.replace(config, **DECODER_ONLY),
    }
    counts = {name: parameters.count(parameters.abstract(config)[1]) for name, config in configs.items()}
    assert counts == ARCHITECTURES[version][size]
    assert counts["encoder_decoder"] == COUNTS[version][size]


def test_the_architectures_have_the_parameters_of_the_study_s_table():
    """Raffel et al. 2020, table 2: 2P for the encoder-decoder, P for all others; its text says P is about 110 million.

    What is shared or halved keeps the attention to the encoder's output, 28 (14) million, which the paper leaves out.
    """
    counts = ARCHITECTURES["v1.0"]["base"]
    p = 110e6
    assert counts["encoder_decoder"] == pytest.approx(2 * p, rel=0.02)
    assert counts["decoder_only"] == pytest.approx(p, rel=0.02)
    cross = 12 * (4 * 768 * 768 + 768)
    assert counts["shared"] == counts["decoder_only"] + cross
    embedding = 32128 * 768
    assert counts["half"] == pytest.approx((counts["encoder_decoder"] + embedding) / 2, rel=1e-4)


def test_the_architectures_cost_what_the_study_s_table_says():
    """Raffel et al. 2020, table 2: M for all but the one of half the layers, M/2. FLOPs as XLA counts them.

    Without vocabulary, whose share depends on what is predicted; attention to the encoder's output comes on top.
    """
    plain = named("v1.0", "base", vocab_size=128, num_encoder_layers=2, num_decoder_layers=2, dropout_rate=0.0)
    length = 128

    def flops(config):
        graphdef, params = parameters.abstract(config)
        tokens = jax.ShapeDtypeStruct((1, length), jnp.int32)
        joint = jax.ShapeDtypeStruct((1, 2 * length), jnp.int32)

        def alone(params, tokens):
            return nnx.merge(graphdef, params)(None, tokens, decoder_causal_attention=tokens)

        def both(params, inputs, targets):
            return nnx.merge(graphdef, params)(inputs, targets)

        if config.decoder_only:
            return jax.jit(alone).lower(params, joint).cost_analysis()["flops"]
        return jax.jit(both).lower(params, tokens, tokens).cost_analysis()["flops"]

    m = flops(plain)
    assert flops(dataclasses.replace(plain, shared_layers=True)) == m
    assert flops(halved(plain)) == pytest.approx(m / 2, rel=0.01)
    prefix_lm = flops(dataclasses.replace(plain, **DECODER_ONLY))
    assert prefix_lm == pytest.approx(m, rel=0.15)
    kernels = 4 * length * 768 * 768  # of the attention to the encoder's output, in a layer
    squares = 2 * length * length * 768  # one more: (2 l)^2 for l^2 in the encoder and twice l^2 in the decoder
    logits = length * 768 * 128  # of the inputs
    assert prefix_lm == pytest.approx(m + 2 * (2 * (squares - kernels) + logits), rel=1e-3)


def test_names_shapes_and_axes_of_every_parameter_are_the_golden_ones():
    spec = importlib.util.spec_from_file_location("make_t5_shapes", GOLDEN / "make_t5_shapes.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    golden = json.loads((GOLDEN / "t5_shapes.json").read_text())
    assert script.shapes() == golden
    assert {axis for table in golden.values() for _, axes in table.values() for axis in axes} <= set(sharding.RULES)


def test_the_published_counts_are_those_of_the_papers():
    millions = {v: {size: round(count / 1e6) for size, count in sizes.items()} for v, sizes in COUNTS.items()}
    assert millions == {
        "v1.0": {"small": 61, "base": 223, "large": 738, "3b": 2852, "11b": 11307},
        "v1.1": {"small": 77, "base": 248, "large": 783, "xl": 2850, "xxl": 11135},
    }


def test_stacking_and_unstacking_are_inverses(build):
    unrolled = nnx.state(build())
    stacked = parameters.stack_layers(unrolled)
    again = parameters.unstack_layers(stacked)
    assert jax.tree.structure(again) == jax.tree.structure(parameters.unstack_layers(unrolled))
    jax.tree.map(np.testing.assert_array_equal, again, parameters.unstack_layers(unrolled))
    kernel = stacked["decoder"]["layers"]["mlp"]["wo"]
    assert kernel.shape == (3, 48, 32)
    assert kernel.get_metadata()["axes"] == ("layers", "mlp", "embed")
    np.testing.assert_array_equal(kernel[...][2], unrolled["decoder"]["layers"][2]["mlp"]["wo"][...])


@pytest.mark.parametrize(
    "changes",
    [{}, {"shared_layers": True}, DECODER_ONLY, CLASSIFIER],
    ids=["encoder_decoder", "shared", "decoder_only", "classifier"],
)
def test_initialise_gives_a_model_by_size_and_key_alone(changes):
    by_form = {}
    for scan_layers in (False, True):
        config = named("v1.1", "tiny", vocab_size=128, scan_layers=scan_layers, **changes)
        graphdef, params = parameters.initialise(config, jax.random.key(0))
        expected_graphdef, expected = parameters.abstract(config)
        assert graphdef == expected_graphdef
        assert nnx.merge(graphdef, params).config == config
        assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, expected)
        by_form[scan_layers] = parameters.unstack_layers(params)
    jax.tree.map(np.testing.assert_array_equal, by_form[False], by_form[True])
