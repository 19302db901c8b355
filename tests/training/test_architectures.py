"""Every architecture of the study under the training step and evaluation: it learns, packed or not, as it should."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
import tiny_runs
from flax import nnx

from t5music.data.loading.packing import Pair, assemble
from t5music.evaluation import likelihood
from t5music.model import parameters, sharding
from t5music.training import losses, optimizers, schedules, train_state, train_step

LENGTHS = {"inputs": 12, "targets": 12}
STEPS = 200
PLAIN = dataclasses.replace(
    tiny_runs.CONFIG, d_model=32, d_kv=16, num_encoder_layers=2, num_decoder_layers=2, dropout_rate=0.0
)
ARCHITECTURES = {
    "encoder_decoder": PLAIN,
    "shared": dataclasses.replace(PLAIN, shared_layers=True),
    "half": dataclasses.replace(PLAIN, num_encoder_layers=1, num_decoder_layers=1),
    "language_model": dataclasses.replace(PLAIN, architecture="language_model", num_encoder_layers=0),
    "prefix_lm": dataclasses.replace(PLAIN, architecture="prefix_lm", num_encoder_layers=0),
}


def drawn(config, seed=0):
    """Parameters of T5's initial size in numpy, which takes no compilation."""
    rng = np.random.default_rng(seed)
    graphdef, abstract = parameters.abstract(config)

    def draw(path, param):
        if path[-1] == "scale":
            return np.ones(param.shape, np.float32)
        spread = 1.0 if path == ("embedding",) else param.shape[-2] ** -0.5
        if path[-1] == "query":
            spread *= config.d_kv**-0.5
        return rng.normal(scale=spread, size=param.shape).astype(np.float32)

    return graphdef, nnx.from_flat_state({path: p.replace(draw(path, p)) for path, p in nnx.to_flat_state(abstract)})


def pairs(seed, count):
    """Examples of two random words, the first of one set of eight and the second of another, to be copied."""
    words = np.random.default_rng(seed).integers([3, 11], [11, 19], (count, 2))
    tokens = np.pad(words, ((0, 0), (0, 1)), constant_values=1).astype(np.int32)
    return [Pair(row, row) for row in tokens]


@pytest.mark.parametrize(
    "name",
    [name if name == "encoder_decoder" else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES],
)
def test_it_learns_to_copy_from_packed_rows(name):
    config = ARCHITECTURES[name]
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    graphdef, params = drawn(config)
    transformation = optax.adam(0.01)
    target = train_state.abstract_state(parameters.abstract(config)[1], transformation, mesh)
    now = train_state.create(config, transformation, target, mesh, seed=0, params=nnx.to_pure_dict(params))
    step = train_step.make_train_step(graphdef, transformation, target)
    seen = []
    for number in range(STEPS):
        copied = pairs(number, 32)
        rows = [copied[start : start + 4] for start in range(0, 32, 4)]
        batch = assemble(rows, LENGTHS, packed=True, decoder_only=config.decoder_only)
        with jax.set_mesh(mesh):
            now, loss = step(now, train_step.put_batch(batch, mesh))
        seen.append(float(loss) / batch["decoder_loss_weights"].sum())
    assert seen[0] > 3
    assert seen[-1] < 0.2  # one who knows the words but not which costs 2 log(8) / 3 = 1.39 a token
    assert now.window.tokens == STEPS * 32 * 3
    assert now.window.input_tokens == STEPS * 32 * 3


@jax.jit
def sums(graphdef, params, batch):
    return losses.teacher_forced(nnx.merge(graphdef, params), batch)


def examples():
    """Examples whose inputs and targets differ in length, EOS included."""
    rng = np.random.default_rng(2)
    sizes = [(4, 3), (0, 2), (5, 4)]
    return [Pair(*(np.append(rng.integers(3, 99, n), 1).astype(np.int32) for n in size)) for size in sizes]


@pytest.mark.parametrize(
    "name",
    [
        "encoder_decoder",
        pytest.param("shared", marks=pytest.mark.slow),
        pytest.param("language_model", marks=pytest.mark.slow),
        "prefix_lm",
    ],
)
def test_the_loss_of_packed_rows_is_that_of_the_same_examples_apart(name):
    model = drawn(ARCHITECTURES[name], seed=1)
    decoder_only = ARCHITECTURES[name].decoder_only
    packed, apart = (
        sums(*model, assemble(rows, LENGTHS, packed=packed, decoder_only=decoder_only))
        for packed, rows in ((True, [examples()]), (False, [[pair] for pair in examples()]))
    )
    assert packed.weight == apart.weight == 12
    np.testing.assert_allclose(packed.loss, apart.loss, rtol=1e-5)


@pytest.mark.parametrize("name", [pytest.param("language_model", marks=pytest.mark.slow), "prefix_lm"])
def test_evaluation_of_decoder_only_models_counts_targets_alone(name):
    model = nnx.merge(*jax.device_put(drawn(ARCHITECTURES[name], seed=1)))
    batch = assemble([*([pair] for pair in examples()), []], LENGTHS, packed=False, decoder_only=True)
    metrics = likelihood.evaluate(model, [{**batch, "example_index": np.arange(4)}], tiny_runs.IS_NOTE)
    targets = np.concatenate([pair.targets for pair in examples()])
    assert (metrics["tokens"], metrics["examples"]) == (12, 3)
    assert metrics["notes"] == tiny_runs.IS_NOTE[targets].sum()
    nats = 0.0
    for pair in examples():
        tokens = np.concatenate([pair.inputs, pair.targets])
        prefix = np.arange(len(tokens)) <= len(pair.inputs)
        logits = np.asarray(
            model(None, np.append(0, tokens[:-1])[None], decoder_causal_attention=prefix[None])[0], np.float64
        )
        log_z = np.log(np.exp(logits).sum(-1))
        nats += (log_z - logits[np.arange(len(tokens)), tokens])[len(pair.inputs) :].sum()
    np.testing.assert_allclose(metrics["loss"], nats / 12, rtol=1e-5)


def test_prompts_are_the_inputs_of_every_architecture():
    apart, joint = (
        assemble([[pair] for pair in examples()], LENGTHS, packed=False, decoder_only=decoder_only)
        for decoder_only in (False, True)
    )
    for rows, pair in zip(
        zip(likelihood.prompts(apart), likelihood.prompts(joint), strict=True), examples(), strict=True
    ):
        for row in rows:
            assert row[row > 0].tolist() == row[: len(pair.inputs)].tolist() == pair.inputs.tolist()


def test_adafactor_factors_what_is_shared_by_layer():
    """The state of scanned, shared layers is that of each layer by itself."""
    config = dataclasses.replace(PLAIN, shared_layers=True, scan_layers=True)
    abstract = parameters.abstract(config)[1]
    transformation = optimizers.adafactor(schedules.constant(0.01)).transformation(train_state.logical_axes(abstract))
    opt_state = jax.eval_shape(transformation.init, nnx.to_pure_dict(abstract))
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(opt_state[0]["decoder"]["layers"]))
    assert "encoder" not in opt_state[0]
