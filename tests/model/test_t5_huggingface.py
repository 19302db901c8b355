import dataclasses
import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.errors import CheckpointError
from t5music.model import decoding, huggingface, parameters
from t5music.model.config import named

GOLDEN = Path(__file__).parents[1] / "golden"
BOTH = pytest.mark.parametrize("version", ["v1.0", "v1.1"])


@pytest.fixture(scope="module")
def golden():
    return {version: dict(np.load(GOLDEN / f"t5_{version}.npz")) for version in ("v1.0", "v1.1")}


@BOTH
@pytest.mark.parametrize("scan_layers", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_logits_are_pytorch_s(build, apply, shift, golden, version, scan_layers):
    file = golden[version]
    logits = apply(build(version, scan_layers=scan_layers), file["encoder"], shift(file["targets"]))
    np.testing.assert_allclose(logits, file["logits"], rtol=0, atol=1e-4)


@BOTH
def test_the_loss_is_pytorch_s(build, apply, shift, golden, version):
    file = golden[version]
    logits = apply(build(version), file["encoder"], shift(file["targets"])).astype(np.float64)
    likelihood = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = np.take_along_axis(likelihood, file["targets"][..., None], -1)[..., 0]
    loss = -chosen[file["targets"] != 0].mean()
    assert abs(loss - file["loss"]) < 1e-5
    assert abs(loss - {"v1.0": 4.941661, "v1.1": 6.364605}[version]) < 1e-5


@pytest.mark.parametrize("version", [pytest.param("v1.0", marks=pytest.mark.slow), "v1.1"])
def test_greedy_generation_is_pytorch_s(build, golden, version):
    file = golden[version]
    written = decoding.generate(build(version), file["encoder"], max_length=file["greedy"].shape[1])
    np.testing.assert_array_equal(written, file["greedy"])


@BOTH
@pytest.mark.parametrize("scan_layers", [False, True])
def test_there_and_back(build, version, scan_layers):
    model = build(version, scan_layers=scan_layers)
    params = nnx.state(model)
    state_dict = huggingface.to_huggingface(params, model.config)
    assert {name: value.shape for name, value in state_dict.items()} == huggingface.names(model.config)
    assert all(value.dtype == np.float32 and value.flags.c_contiguous for value in state_dict.values())
    back = huggingface.from_huggingface(state_dict, model.config)
    flat, expected = nnx.to_flat_state(back), dict(nnx.to_flat_state(params))
    assert len(flat) == len(expected)
    for path, param in flat:
        np.testing.assert_array_equal(param[...], expected[path][...])
        assert param.get_metadata()["axes"] == expected[path].get_metadata()["axes"]


@pytest.fixture
def state_dict(golden_script, build):
    def make(version):
        config = build(version).config
        return golden_script.fill(huggingface.names(config), 0), config

    return make


def test_tied_copies_and_the_unread_table_are_passed_over(state_dict):
    weights, config = state_dict("v1.0")
    plain = huggingface.from_huggingface(weights, config)
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights["shared.weight"]
    weights["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = np.zeros((32, 3))
    params = huggingface.from_huggingface(weights, config)
    assert parameters.count(params) == parameters.count(plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.block.1.layer.1.DenseReluDense.wo.weight": None}, r"no encoder\.block\.1\.layer\.1.*wo\.weight"),
        (
            {"shared.weight": np.zeros((96, 32), np.float32)},
            r"shared\.weight has shape \(96, 32\); the config says \(128, 32\)",
        ),
        ({"encoder.block.2.layer.0.SelfAttention.q.weight": np.zeros((24, 32))}, r"block\.2.*no parameter.*did you"),
        ({"lm_head.weight": np.zeros((128, 32))}, r"lm_head\.weight differs from shared.*\(tie_word_embeddings\)"),
        ({"decoder.embed_tokens.weight": np.zeros((128, 32))}, r"decoder\.embed_tokens\.weight differs from shared"),
        ({"transformer.shared.weight": np.zeros((128, 32))}, r"both shared\.weight and transformer\.shared\.weight"),
        (
            {"encoder.final_layer_norm.weight": np.ones(32, np.int8)},
            r"encoder\.final_layer_norm\.weight is of type int8",
        ),
        (
            {"classification_head.dense.weight": np.zeros((32, 32))},
            r"classification_head.* is no parameter of this model",
        ),
    ],
)
def test_what_does_not_fit_is_named(state_dict, change, message):
    weights, config = state_dict("v1.0")
    weights.update(change)
    with pytest.raises(CheckpointError, match=message):
        huggingface.from_huggingface({name: value for name, value in weights.items() if value is not None}, config)


def test_the_embedding_is_read_under_each_of_its_names_and_behind_a_prefix(state_dict):
    weights, config = state_dict("v1.0")
    expected = huggingface.to_huggingface(huggingface.from_huggingface(weights, config), config)
    table = weights.pop("shared.weight")
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        arrays = huggingface.from_huggingface({**weights, name: table}, config)
        np.testing.assert_equal(huggingface.to_huggingface(arrays, config), expected)
    prefixed = {f"transformer.{name}": value for name, value in {**weights, "shared.weight": table}.items()}
    arrays = huggingface.from_huggingface(prefixed | {"lm_head.weight": table}, config)
    np.testing.assert_equal(huggingface.to_huggingface(arrays, config), expected)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_weights_of_another_precision_become_float32(state_dict, dtype):
    weights, config = state_dict("v1.1")
    narrow = {name: value.astype(dtype) for name, value in weights.items()}
    arrays = huggingface.to_huggingface(huggingface.from_huggingface(narrow, config), config)
    for name, value in narrow.items():
        np.testing.assert_array_equal(arrays[name], value.astype(np.float32))


def test_rows_for_another_vocabulary_are_drawn_once_for_a_copy_of_the_embedding(state_dict):
    weights, config = state_dict("v1.0")
    weights |= {"lm_head.weight": weights["shared.weight"].copy()}
    arrays = huggingface.with_rows(weights, np.array([[5, 0], [7, 255]]), 256, seed=0)
    params = huggingface.from_huggingface(arrays, dataclasses.replace(config, vocab_size=256))
    table = huggingface.to_huggingface(params, config)["shared.weight"]
    np.testing.assert_array_equal(table[[0, 255]], weights["shared.weight"][[5, 7]])


FIELDS = {"model_type": "t5", "vocab_size": 128, "d_model": 32, "d_kv": 8, "num_heads": 3, "d_ff": 48, "num_layers": 2}


@pytest.mark.parametrize("kind", ["t5", "mt5"])
@pytest.mark.parametrize("projection", ["relu", "gated-gelu"])
@pytest.mark.parametrize("tie", [None, True, False])
@pytest.mark.parametrize("scale", [None, True, False])
def test_logits_are_scaled_where_transformers_scales_them(kind, projection, tie, scale):
    """What transformers 5.23 makes of each combination; test_hugging_face_models computes the logits there."""
    flags = {"tie_word_embeddings": tie, "scale_decoder_outputs": scale}
    fields = {**FIELDS, "model_type": kind, "feed_forward_proj": projection}
    config = huggingface.config_from(fields | {name: flag for name, flag in flags.items() if flag is not None})
    assert config.gated == (projection == "gated-gelu")
    assert config.scaled == (kind == "t5" and (tie is not False if scale is None else scale))


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_a_config_goes_there_and_comes_back(version, tied, scaled):
    config = dataclasses.replace(
        named(version, "tiny", vocab_size=128), tie_word_embeddings=tied, scale_decoder_outputs=scaled
    )
    back = huggingface.config_from(json.loads(json.dumps(huggingface.config_to(config))))
    weights = {name: np.full(shape, index) for index, (name, shape) in enumerate(huggingface.names(config).items())}
    assert dataclasses.replace(back, tie_word_embeddings=huggingface.ties_head(weights)) == config


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({}, "v1.0"),
        ({"model_type": "mt5"}, "v1.1"),
        ({"feed_forward_proj": "gated-gelu_new"}, "v1.1"),
        ({"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu_pytorch_tanh", "is_gated_act": True}, "v1.1"),
        ({"feed_forward_proj": "relu", "dense_act_fn": "gelu_new", "is_gated_act": True}, "v1.1"),
        ({"feed_forward_proj": "gated-gelu", "dense_act_fn": "relu", "is_gated_act": False}, "v1.0"),
        ({"num_decoder_layers": None, "pad_token_id": None, "eos_token_id": [1], "hidden_size": 32}, "v1.0"),
    ],
)
def test_what_a_config_says_in_other_ways_is_read(fields, version):
    config = huggingface.config_from({**FIELDS, **fields})
    assert (config.version, config.num_encoder_layers, config.num_decoder_layers) == (version, 2, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "umt5"}, r"a 'umt5' model; t5music reads t5 and mt5"),
        ({"model_type": ["t5"]}, "t5music reads t5 and mt5"),
        ({"feed_forward_proj": "gelu"}, "feed_forward_proj is 'gelu', not one of relu, gated-gelu"),
        ({"feed_forward_proj": "gated-relu"}, "feed_forward_proj is 'gated-relu'"),
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj is 'gated-silu'"),
        ({"feed_forward_proj": "double-gated-gelu"}, "feed_forward_proj is 'double-gated-gelu'"),
        ({"feed_forward_proj": None}, "feed_forward_proj is None"),
        (
            {"feed_forward_proj": "gated-gelu", "dense_act_fn": "relu"},
            "feed_forward_proj is 'gated-gelu', dense_act_fn is 'relu'",
        ),
        (
            {"feed_forward_proj": "gated-gelu", "is_gated_act": False},
            "feed_forward_proj is 'gated-gelu', is_gated_act is False",
        ),
        ({"is_gated_act": True}, "is_gated_act is True"),
        ({"is_gated_act": 0}, "is_gated_act is 0"),
        ({"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon is not 1e-06 but 1e-05"),
        ({"layer_norm_epsilon": None}, "layer_norm_epsilon is not 1e-06 but None"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder is not True but False"),
        ({"pad_token_id": 1}, "pad_token_id is not 0 but 1"),
        ({"eos_token_id": 2}, "eos_token_id is not 1 but 2"),
        ({"eos_token_id": [1, 2]}, r"eos_token_id is not 1 but \[1, 2\]"),
        ({"decoder_start_token_id": True}, "decoder_start_token_id is not 0 but True"),
        ({"scale_decoder_outputs": None}, "scale_decoder_outputs must be true or false, not None"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false, not 'no'"),
        ({"hidden_size": 64}, "hidden_size is 64 and d_model is 32, which mean the same"),
        ({"num_hidden_layers": 1}, "num_hidden_layers is 1 and num_layers is 2"),
        ({"relative_attention_num_buckets": 33}, "relative_attention_num_buckets must be a multiple of 4, not 33"),
        ({"relative_attention_max_distance": 16}, "relative_attention_max_distance must be more than half"),
        ({"d_ff": None}, r"T5Config\.d_ff is missing"),
        ({"num_layers": 2.0}, r"T5Config\.num_encoder_layers must be a whole number"),
        ({"vocab_size": "128"}, r"T5Config\.vocab_size must be a whole number"),
    ],
)
def test_what_is_no_t5_of_ours_is_refused_by_the_field_s_name(fields, message):
    with pytest.raises(CheckpointError, match=message):
        huggingface.config_from({**FIELDS, **fields})


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*FIELDS, *huggingface._CONSTANTS, *huggingface._SYNONYMS, "dense_act_fn", "is_gated_act",
                         "feed_forward_proj", "scale_decoder_outputs", "tie_word_embeddings", "dropout_rate"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
        | st.lists(st.integers(), max_size=2),
    )
)  # fmt: skip
def test_any_config_is_read_or_refused(fields):
    try:
        huggingface.config_from({**FIELDS, **fields})
        refusal = None
    except CheckpointError as error:
        refusal = str(error)
    assert refusal is None or refusal.startswith("config.json")
