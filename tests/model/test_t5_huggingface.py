from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from t5music.errors import CheckpointError
from t5music.model import decoding, huggingface, parameters

GOLDEN = Path(__file__).parents[1] / "golden"
BOTH = pytest.mark.parametrize("version", ["v1.0", "v1.1"])


@pytest.fixture(scope="module")
def golden():
    return {version: dict(np.load(GOLDEN / f"t5_{version}.npz")) for version in ("v1.0", "v1.1")}


@BOTH
@pytest.mark.parametrize("scan_layers", [False, True])
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


@BOTH
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
        ({"shared.weight": np.zeros((96, 32))}, r"shared\.weight has shape \(96, 32\); the config says \(128, 32\)"),
        ({"encoder.block.2.layer.0.SelfAttention.q.weight": np.zeros((24, 32))}, r"block\.2.*no parameter.*did you"),
        ({"lm_head.weight": np.zeros((128, 32))}, r"lm_head\.weight differs from shared\.weight"),
    ],
)
def test_what_does_not_fit_is_named(state_dict, change, message):
    weights, config = state_dict("v1.0")
    weights.update(change)
    with pytest.raises(CheckpointError, match=message):
        huggingface.from_huggingface({name: value for name, value in weights.items() if value is not None}, config)
