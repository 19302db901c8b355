"""The study's other architectures: shared parameters, and the decoder-only language model and prefix LM."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from t5music.model import decoding, decoding_steps, parameters
from t5music.model.config import T5Config

GOLDEN = Path(__file__).parents[1] / "golden"
KEY = jax.random.key(7, impl="unsafe_rbg")  # compiles faster than the default generator
LENGTH = 9
OWN_NAMES = {
    "attention": "self_attention",
    "attention_norm": "self_attention_norm",
    "mlp": "mlp",
    "mlp_norm": "mlp_norm",
}


def flat(params):
    return dict(nnx.to_flat_state(params))


def with_params(config, values):
    """A model of a config, given path -> array of each of its parameters, unrolled."""
    graphdef, params = parameters.abstract(dataclasses.replace(config, scan_layers=False))
    filled = nnx.from_flat_state({path: param.replace(values(path)) for path, param in nnx.to_flat_state(params)})
    if config.scan_layers:
        graphdef, filled = parameters.abstract(config)[0], parameters.stack_layers(filled)
    return nnx.merge(graphdef, filled)


@pytest.fixture(scope="module")
def decoder_only(build):
    """`decoder_only(architecture, version, scale=1, **changes)` -> the golden files' decoder, alone."""

    def make(architecture, version="v1.1", scale=1.0, **changes):
        source = build(version)
        config = dataclasses.replace(source.config, architecture=architecture, num_encoder_layers=0, **changes)
        weights = flat(nnx.state(source))

        def value(path):
            if path[:2] == ("decoder", "layers"):
                path = (*path[:3], OWN_NAMES[path[3]], *path[4:])
            return scale * weights[path][...]

        return with_params(config, value)

    return make


@pytest.fixture(scope="module")
def tokens():
    """Tokens behind the start token, int [2, LENGTH], of prefixes of 4 and 1 positions."""
    tokens = np.random.default_rng(3).integers(2, 128, (2, LENGTH)).astype(np.int32)
    tokens[:, 0] = 0
    return tokens, (np.arange(LENGTH) < [[4], [1]]).astype(np.int32)


# --------------------------------------------------------------------------------------------------- decoder-only


@pytest.mark.parametrize("version", ["v1.0", "v1.1"])
@pytest.mark.parametrize("architecture", ["language_model", "prefix_lm"])
def test_decoder_only_logits_are_those_of_pytorch_s_decoder(decoder_only, apply, version, architecture):
    file = np.load(GOLDEN / f"t5_decoder_only_{version}.npz")
    model = decoder_only(architecture, version, scan_layers=version == "v1.1")
    logits = apply(model, None, file["tokens"], decoder_causal_attention=file["prefix"])[:, :: int(file["every"])]
    np.testing.assert_allclose(logits, file[architecture], rtol=0, atol=1e-4)
    assert np.abs(file["prefix_lm"] - file["language_model"]).max() > 1  # the prefix matters


def by_hand(model, tokens, visible):
    """The logits of a v1.0 decoder-only model of one layer, float64, with `visible` bool [queries, keys]."""
    config = model.config
    weights = {path: np.asarray(param[...], np.float64) for path, param in flat(nnx.state(model)).items()}
    layer = {path[3:]: value for path, value in weights.items() if path[:3] == ("decoder", "layers", 0)}
    table = weights["decoder", "relative_bias", "table"]

    def norm(x, scale):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale

    x = weights["embedding",][tokens]
    normed = norm(x, layer["attention_norm", "scale"])
    mixed = []
    for head in range(config.num_heads):
        columns = slice(head * config.d_kv, (head + 1) * config.d_kv)
        query, key, value = (normed @ layer["attention", name][:, columns] for name in ("query", "key", "value"))
        weight = np.zeros((len(tokens), len(tokens)))
        for q in range(len(tokens)):
            for k in range(len(tokens)):
                if visible[q, k]:  # ahead is the second half of the buckets; 8 positions off is the first wide one
                    weight[q, k] = np.exp(query[q] @ key[k] + table[head, abs(q - k) + 16 * (k > q)])
        mixed.append(weight / weight.sum(-1, keepdims=True) @ value)
    x = x + np.concatenate(mixed, -1) @ layer["attention", "out"]
    hidden = np.maximum(norm(x, layer["mlp_norm", "scale"]) @ layer["mlp", "wi"], 0)
    x = norm(x + hidden @ layer["mlp", "wo"], weights["decoder", "norm", "scale"])
    return x @ weights["embedding",].T * config.d_model**-0.5


@pytest.mark.parametrize("prefix", [0, 1, 4, LENGTH])
def test_a_prefix_lm_of_one_layer_by_hand(decoder_only, apply, tokens, prefix):
    model = decoder_only("prefix_lm", "v1.0", num_decoder_layers=1)
    row = tokens[0][:1]
    region = (np.arange(LENGTH) < prefix).astype(np.int32)[None]
    visible = np.array([[k <= q or max(q, k) < prefix for k in range(LENGTH)] for q in range(LENGTH)])
    expected = by_hand(model, row[0], visible)
    np.testing.assert_allclose(apply(model, None, row, decoder_causal_attention=region)[0], expected, atol=1e-4)


@pytest.mark.parametrize("architecture", ["language_model", "prefix_lm"])
def test_who_sees_whom(decoder_only, apply, tokens, architecture):
    """Changing the token at one position changes the logits of those that see it, and of no other."""
    model = decoder_only(architecture, scale=0.5)
    row, prefix = tokens[0][:1], tokens[1][:1]
    changed = np.tile(row, (LENGTH, 1))
    changed[np.arange(LENGTH), np.arange(LENGTH)] = 100
    logits = apply(
        model, None, np.concatenate([row, changed]), decoder_causal_attention=np.tile(prefix, (LENGTH + 1, 1))
    )
    difference = np.abs(logits[1:] - logits[0]).max(-1).T  # [seeing, seen]
    seen = np.tril(np.ones((LENGTH, LENGTH), bool))
    if architecture == "prefix_lm":
        seen[:4, :4] = True
    np.testing.assert_array_equal(difference > 1e-3, seen)
    assert difference[~seen].max() < 1e-5


def test_padded_targets_are_hidden_without_touching_any_logit_that_counts(decoder_only, apply, tokens):
    model = decoder_only("prefix_lm", scale=0.5, num_decoder_layers=2)
    rows, prefix = tokens
    targets = np.pad(rows[:, 1:6], ((0, 0), (0, LENGTH - 5)))
    with_targets = apply(model, None, rows, decoder_causal_attention=prefix, decoder_target_tokens=targets)
    without = apply(model, None, rows, decoder_causal_attention=prefix)
    np.testing.assert_allclose(with_targets[:, :5], without[:, :5], atol=1e-5)
    assert np.abs(with_targets - without)[:, 5:].max() > 1e-4


def test_bfloat16_computes_in_bfloat16(decoder_only, apply, tokens):
    rows, prefix = tokens
    exact, model = (decoder_only("prefix_lm", dtype=dtype, num_decoder_layers=1) for dtype in ("float32", "bfloat16"))
    logits, expected = (apply(m, None, rows, decoder_causal_attention=prefix) for m in (model, exact))
    assert logits.dtype == jnp.float32
    assert 1e-4 < np.abs(logits - expected).max() / np.abs(expected).max() < 0.1


def test_tokens_of_another_architecture_are_refused(build, decoder_only, tokens):
    rows, _ = tokens

    def refused(model, match, *arguments):
        with pytest.raises(ValueError, match=match):
            jax.eval_shape(model, *arguments)

    refused(build(), "'encoder_decoder' reads batches with encoder_input_tokens", None, rows)
    refused(decoder_only("language_model"), "'language_model' reads inputs and targets in one", rows, rows)
    refused(decoder_only("prefix_lm"), "prefix LM needs decoder_causal_attention", None, rows)
    refused(decoder_only("prefix_lm").encode, "has no encoder", rows)


# --------------------------------------------------------------------------------------------- shared parameters


SHARED = T5Config(
    vocab_size=128,
    d_model=32,
    d_kv=8,
    num_heads=3,
    d_ff=48,
    num_encoder_layers=2,
    num_decoder_layers=2,
    shared_layers=True,
)


@pytest.fixture(scope="module")
def weights():
    """path -> array for every parameter of the unrolled shared model."""
    rng = np.random.default_rng(0)
    shapes = {path: param.shape for path, param in nnx.to_flat_state(parameters.abstract(SHARED)[1])}
    return {
        path: jnp.asarray((path[-1] == "scale") + rng.normal(scale=0.15, size=shape), jnp.float32)
        for path, shape in shapes.items()
    }


def shared_path(path):
    """The path of the parameter that the shared model has for one of the plain model."""
    if path[0] != "encoder":
        return path
    if path[1] == "layers":
        return ("decoder", "layers", path[2], OWN_NAMES[path[3]], *path[4:])
    return ("decoder", *path[1:])


def gradients(model, batch, shift):
    """The loss under dropout and its gradients by path, of unrolled parameters."""
    encoder, targets = batch
    graphdef, params = nnx.split(model)

    def loss(params):
        logits = nnx.merge(graphdef, params)(encoder, shift(targets), deterministic=False, rngs=KEY)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1)[..., 0]
        return -jnp.sum(jnp.where(targets != 0, chosen, 0))

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    return value, {path: np.asarray(param[...]) for path, param in flat(parameters.unstack_layers(gradient)).items()}


@pytest.mark.slow
def test_the_gradient_of_what_is_shared_is_the_sum_of_its_uses(weights, batch, shift):
    """Against the encoder-decoder that shares nothing but has equal weights."""
    shared = dataclasses.replace(SHARED, scan_layers=True)
    apart = dataclasses.replace(SHARED, scan_layers=True, shared_layers=False)
    value, gradient_of = gradients(with_params(shared, weights.get), batch, shift)
    plain_value, plain = gradients(with_params(apart, lambda path: weights[shared_path(path)]), batch, shift)
    np.testing.assert_allclose(value, plain_value, rtol=1e-6)
    summed = {}
    for path, gradient in plain.items():
        summed[shared_path(path)] = summed.get(shared_path(path), 0) + gradient
    assert gradient_of.keys() == summed.keys() == weights.keys()
    assert sum(path[0] == "encoder" for path in plain) == len(plain) - len(summed) > 0
    for path, gradient in gradient_of.items():
        np.testing.assert_allclose(gradient, summed[path], rtol=0, atol=2e-5 * np.abs(summed[path]).max())


def test_unrolled_shared_layers_compute_what_scanned_ones_compute(weights, batch, shift, apply):
    encoder, targets = batch
    unrolled, scanned = (
        apply(with_params(dataclasses.replace(SHARED, scan_layers=form), weights.get), encoder, shift(targets))
        for form in (False, True)
    )
    np.testing.assert_allclose(scanned, unrolled, atol=1e-5)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_the_encoder_is_made_of_the_decoder_s_own_parameters(scan_layers):
    model = nnx.merge(*parameters.abstract(dataclasses.replace(SHARED, scan_layers=scan_layers)))
    encoder, decoder = (
        {id(node) for _, node in nnx.iter_graph(stack) if isinstance(node, nnx.Param)}
        for stack in (model.encoder, model.decoder)
    )
    assert encoder < decoder
    assert model.encoder.relative_bias.table is model.decoder.relative_bias.table
    assert model.encoder.relative_bias.bidirectional
    assert not model.decoder.relative_bias.bidirectional


@pytest.fixture(scope="module")
def answered(decoder_only, apply):
    """`answered(architecture)` -> model, prompts, answers, and the teacher-forced logits of each answer's tokens."""

    def make(architecture, **changes):
        model = decoder_only(architecture, **changes)
        random = np.random.default_rng(5)
        prompts, targets = (random.integers(2, 128, (3, length)).astype(np.int32) for length in (LENGTH, 6))
        prompts[1, 4:] = 0
        prompts[2] = 0  # nothing but the start token
        expected = []
        for prompt, target in zip(prompts, targets, strict=True):
            given = prompt[prompt != 0]
            row = np.concatenate([[0], given, target[:-1]])[None]
            prefix = (np.arange(row.shape[1]) <= len(given)).astype(np.int32)[None]
            expected.append(apply(model, None, row, decoder_causal_attention=prefix)[0, len(given) :])
        return model, prompts, targets, np.stack(expected)

    return make


@pytest.mark.parametrize("architecture", [pytest.param("language_model", marks=pytest.mark.slow), "prefix_lm"])
def test_decoder_only_steps_give_the_teacher_forced_logits(answered, architecture):
    """Of prompts of several lengths in a batch, in the layouts of one row and of several, and as `score` sums them."""
    model, prompts, targets, expected = answered(architecture, scan_layers=architecture == "prefix_lm")
    graphdef, params = nnx.split(model)

    @jax.jit
    def run(params, prompts, targets):
        model = nnx.merge(graphdef, params)
        prepared = decoding_steps.prepare_steps(model, prompts)
        caches = decoding_steps.longer_caches(prepared.caches, prepared.offset + targets.shape[1])
        inputs, logits = jnp.concatenate([prepared.first[:, None], targets[:, :-1]], axis=1), []
        for step in range(targets.shape[1]):
            step_logits, caches = decoding_steps.next_logits(model, prepared, inputs[:, step], step, caches)
            logits.append(step_logits)
        return jnp.stack(logits, axis=1)

    np.testing.assert_allclose(run(params, prompts, targets), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(run(params, prompts[1:2], targets[1:2]), expected[1:2], rtol=0, atol=1e-4)
    likelihoods = np.asarray(decoding.score(model, prompts, targets))  # every answer after every prompt
    chosen = np.take_along_axis(np.asarray(jax.nn.log_softmax(expected)), targets[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(np.diagonal(likelihoods), chosen.sum(-1), rtol=0, atol=1e-3)


def test_a_language_model_writes_what_it_would_choose(answered, apply):
    model, prompts, _, _ = answered("language_model")
    written = np.asarray(decoding.generate(model, prompts, max_length=5))
    for prompt, answer in zip(prompts, written, strict=True):
        given = prompt[prompt != 0]
        logits = apply(model, None, np.concatenate([[0], given, answer[:-1]])[None])[0, len(given) :]
        length = len(answer) if 1 not in answer else list(answer).index(1) + 1
        np.testing.assert_array_equal(logits.argmax(-1)[:length], answer[:length])


# ------------------------------------------------------------------------------------------ layers in either form


@pytest.mark.slow
def test_scanning_and_rematerialising_change_no_number_of_a_decoder_only_model(decoder_only, tokens):
    rows, prefix = tokens

    def loss_and_gradients(**changes):
        model = decoder_only("prefix_lm", dropout_rate=0.3, num_decoder_layers=2, **changes)
        graphdef, params = nnx.split(model)

        def loss(params):
            model = nnx.merge(graphdef, params)
            logits = model(None, rows, decoder_causal_attention=prefix, deterministic=False, rngs=KEY)
            return -jnp.take_along_axis(jax.nn.log_softmax(logits[:, :-1]), rows[:, 1:, None], -1).mean()

        value, gradient = jax.jit(jax.value_and_grad(loss))(params)
        return value, parameters.unstack_layers(gradient)

    plain, other = loss_and_gradients(), loss_and_gradients(scan_layers=True, remat_policy="dots")
    assert jax.tree.structure(plain) == jax.tree.structure(other)
    for one, two in zip(jax.tree.leaves(plain), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=2e-5 * max(np.abs(one).max(), 1e-6))


@pytest.mark.parametrize("changes", [{"shared_layers": True}, {"architecture": "prefix_lm", "num_encoder_layers": 0}])
def test_stacking_and_unstacking_are_inverses(changes):
    config = dataclasses.replace(SHARED, **{"shared_layers": False, **changes})
    rng = np.random.default_rng(1)
    unrolled = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), parameters.abstract(config)[1]
    )
    stacked = parameters.stack_layers(unrolled)
    form = parameters.abstract(dataclasses.replace(config, scan_layers=True))[1]
    assert {path: (param.shape, param.get_metadata()["axes"]) for path, param in flat(stacked).items()} == {
        path: (param.shape, param.get_metadata()["axes"]) for path, param in flat(form).items()
    }
    again = parameters.unstack_layers(stacked)
    assert flat(again).keys() == flat(unrolled).keys()
    for path, param in flat(unrolled).items():
        np.testing.assert_array_equal(flat(again)[path][...], param[...])
