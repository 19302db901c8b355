"""The encoder alone and its heads: numbers against the formulas in numpy, and what such a model is refused for."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.errors import ConfigError
from t5music.model import decoding, huggingface, parameters, sharding
from t5music.model.config import T5Config, named
from t5music.model.network import T5

SHAPE = {
    "vocab_size": 64,
    "d_model": 24,
    "d_kv": 8,
    "num_heads": 2,
    "d_ff": 32,
    "num_encoder_layers": 1,
    "num_decoder_layers": 0,
}
HEADS = {"words": 0, "notes": 5, "sequence": 3}
TOKENS = np.array([[7, 9, 3, 20, 1, 0, 0], [5, 6, 7, 8, 9, 2, 1]], np.int32)


def config_of(head: str, **changes) -> T5Config:
    return T5Config(**{**SHAPE, "architecture": "encoder", "head": head, "num_labels": HEADS[head], **changes})


def drawn(config: T5Config, seed: int = 0) -> T5:
    """A model with parameters drawn in numpy, which takes no compilation; the same ones in every form."""
    rng = np.random.default_rng(seed)
    _, abstract = parameters.abstract(dataclasses.replace(config, scan_layers=False))
    state = {
        path: param.replace(rng.normal(scale=0.3, size=param.shape).astype(np.float32))
        for path, param in nnx.to_flat_state(abstract)
    }
    params = nnx.from_flat_state(state)
    params = parameters.stack_layers(params) if config.scan_layers else params
    return nnx.merge(parameters.abstract(config)[0], jax.device_put(params))


@jax.jit
def _run(params: nnx.State, graphdef: nnx.GraphDef, tokens: jax.Array, key: jax.Array | None) -> tuple:
    model = nnx.merge(graphdef, params)
    return model(tokens, None, deterministic=key is None, rngs=key), model.encode(tokens)


def run(model: T5, tokens: np.ndarray, key: jax.Array | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Logits, under dropout with a key, and what the encoder makes of the tokens without it."""
    graphdef, params = nnx.split(model)
    return tuple(map(np.asarray, _run(params, graphdef, tokens, key)))


def numbers(param) -> np.ndarray:
    return np.asarray(param[...], np.float64)


def classified(x: np.ndarray, head) -> np.ndarray:
    hidden = np.maximum(x @ numbers(head.hidden.kernel) + numbers(head.hidden.bias), 0)
    return hidden @ numbers(head.out.kernel) + numbers(head.out.bias)


def expected(model: T5, tokens: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What the head makes of the encoder's output, written out."""
    if model.config.head == "notes":
        return classified(x, model.head)
    if model.config.head == "sequence":
        scores = np.tanh(x @ numbers(model.head.pooling.features)) @ numbers(model.head.pooling.aspects)
        assert scores.shape[-1] == 4
        rows = []
        for row, score, length in zip(x, scores, (tokens > 0).sum(1), strict=True):
            weights = np.exp(score[:length]) / np.exp(score[:length]).sum(0)
            rows.append(np.concatenate([weights[:, aspect] @ row[:length] for aspect in range(4)]))
        return classified(np.stack(rows)[:, None], model.head)
    if model.config.version == "v1.0":
        return x @ numbers(model.embedding).T / np.sqrt(model.config.d_model)
    return x @ numbers(model.head)


@pytest.mark.parametrize(
    ("head", "version"), [("words", "v1.0"), ("words", "v1.1"), ("notes", "v1.1"), ("sequence", "v1.1")]
)
def test_logits_are_those_of_the_formula(head: str, version: str):
    model = drawn(config_of(head, version=version))
    tokens = np.pad(TOKENS, ((0, 1), (0, 4)))  # longer rows, and one of padding alone
    (logits, encoded), (padded, _) = run(model, TOKENS), run(model, tokens)
    assert logits.dtype == np.float32
    assert logits.shape == (2, 1 if head == "sequence" else 7, HEADS[head] or 64)
    np.testing.assert_allclose(logits, expected(model, TOKENS, encoded.astype(np.float64)), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(padded[:2, : logits.shape[1]], logits, rtol=2e-5, atol=2e-5)
    assert np.isfinite(padded).all()


def test_scanned_layers_change_no_number_and_dropout_is_the_config_s():
    logits = run(drawn(config_of("sequence")), TOKENS)[0]
    np.testing.assert_allclose(run(drawn(config_of("sequence", scan_layers=True)), TOKENS)[0], logits, rtol=1e-5)
    dropping = drawn(config_of("sequence", dropout_rate=0.4))
    masked = [run(dropping, TOKENS, jax.random.key(seed))[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(masked[0], masked[1])
    assert all(np.abs(a - b).max() > 1e-3 for a, b in ((masked[0], logits), (masked[0], masked[2])))


def test_the_parameters_are_the_encoder_s_and_the_head_s():
    plain = named("v1.1", "base", vocab_size=128)
    for head, added in {
        "notes": 768 * 256 + 256 + 256 * 4 + 4,
        "sequence": 768 * 128 + 128 * 4 + 4 * 768 * 256 + 256 + 256 * 4 + 4,
    }.items():
        _, params = parameters.abstract(
            dataclasses.replace(plain, architecture="encoder", num_decoder_layers=0, head=head, num_labels=4)
        )
        flat = dict(nnx.to_flat_state(params))
        assert {path[0] for path in flat} == {"embedding", "encoder", "head"}
        of_head = {path: param for path, param in flat.items() if path[0] == "head"}
        assert parameters.count(nnx.from_flat_state(of_head)) == added
        whole = dict(nnx.to_flat_state(parameters.abstract(plain)[1]))
        assert all(whole[path].shape == param.shape for path, param in flat.items() if path[0] != "head")
        assert {axis for p in flat.values() for axis in p.get_metadata()["axes"]} <= set(sharding.RULES)


def test_a_mesh_divides_the_classifier():
    mesh = sharding.make_mesh(1, 4, 2, devices=8)  # abstract
    table = sharding.describe(parameters.abstract(config_of("sequence"))[1], mesh)
    cells = {line.split("  ")[0]: [cell.strip() for cell in line.split("  ") if cell] for line in table.splitlines()}
    assert cells["head.hidden.kernel"][1:3] == ["96 x 256", "fsdp, tensor"]
    assert cells["head.hidden.bias"][1:3] == ["256", "tensor"]
    assert cells["head.out.kernel"][1:3] == ["256 x 3", "tensor, None"]
    assert cells["head.pooling.features"][1:3] == ["24 x 128", "fsdp, tensor"]
    assert cells["head.pooling.aspects"][1:3] == ["128 x 4", "tensor, None"]


def test_batches_of_another_architecture_are_refused():
    model = drawn(config_of("notes"))
    with pytest.raises(ValueError, match="'encoder' reads batches without decoder_input_tokens"):
        model(TOKENS, TOKENS)
    with pytest.raises(ValueError, match="'encoder' reads batches with encoder_input_tokens"):
        model(None, None)
    with pytest.raises(ValueError, match="no decoder"):
        model.decode(np.zeros((2, 7, 24)), TOKENS, TOKENS)
    writes = drawn(T5Config(**{**SHAPE, "num_decoder_layers": 1}))
    with pytest.raises(ValueError, match="reads batches with decoder_input_tokens"):
        writes(TOKENS, None)


def test_it_writes_nothing_and_is_not_exported():
    model = drawn(config_of("words"))
    with pytest.raises(ConfigError, match="no decoder"):
        decoding.score(model, TOKENS, TOKENS[:, :2])
    with pytest.raises(ConfigError, match="no decoder"):
        decoding.generate(model, TOKENS, max_length=3)
    with pytest.raises(ConfigError, match="architecture='encoder'"):
        huggingface.config_to(model.config)
