"""Adafactor against T5X's formula in double precision, stacked against unstacked, AdamW's mask, and Muon's updates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from optax import contrib

from t5music.model import parameters
from t5music.model.config import T5Config
from t5music.training import optimizers, schedules
from t5music.training.train_state import logical_axes

AXES = {
    "table": ("vocab", "embed"),
    "layer": {"wi": ("embed", "mlp"), "wo": ("mlp", "embed"), "norm": ("embed",)},
    "bias": ("heads", "buckets"),
    "head": ("embed", "vocab"),
}
SHAPES = {
    "table": (384, 160),
    "layer": {"wi": (160, 256), "wo": (256, 160), "norm": (160,)},
    "bias": (200, 32),
    "head": (160, 384),
}


def random_tree(seed, shapes=SHAPES, scale=1.0):
    """A tree of float32 arrays whose rows and columns differ in size, so that factoring matters."""
    leaves, structure = jax.tree.flatten(shapes, is_leaf=lambda node: isinstance(node, tuple))
    rng = np.random.default_rng(seed)
    arrays = []
    for shape in leaves:
        array = rng.normal(size=shape) * scale
        for axis in range(len(shape)):
            spread = np.exp(rng.normal(size=shape[axis]))
            array *= spread.reshape([-1 if axis == other else 1 for other in range(len(shape))])
        arrays.append(array.astype(np.float32))
    return jax.tree.unflatten(structure, arrays)


class T5XAdafactor:
    """T5X's `Adafactor.apply_param_gradient` for one matrix or vector, in float64."""

    def __init__(self, shape):
        largest = sorted(shape)[-2:]
        self.factored = len(shape) == 2 and min(largest) >= 128
        self.row = self.column = self.full = 0.0

    def step(self, count, parameter, gradient, rate):
        parameter, gradient = parameter.astype(np.float64), gradient.astype(np.float64)
        decay = 1 - (count + 1.0) ** -0.8
        square = gradient**2 + 1e-30
        if self.factored:
            self.row = decay * self.row + (1 - decay) * square.mean(axis=1)
            self.column = decay * self.column + (1 - decay) * square.mean(axis=0)
            update = gradient * ((self.row / self.row.mean())[:, None] * self.column[None, :]) ** -0.5
        else:
            self.full = decay * self.full + (1 - decay) * square
            update = gradient * self.full**-0.5
        update /= max(1.0, np.sqrt((update**2).mean()))
        return parameter - rate * max(np.sqrt((parameter**2).mean()), 1e-3) * update


def run(optimizer, axes, params, gradients):
    transformation = optimizer.transformation(axes)
    state = jax.jit(transformation.init)(params)
    step = jax.jit(transformation.update)
    for gradient in gradients:
        updates, state = step(gradient, state, params)
        params = jax.tree.map(np.add, params, updates)
    return params


def relative_error(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(x - y).max() / np.abs(y).max(), a, b)))


@pytest.mark.parametrize("scale", [1.0, 1e-5])  # the second is below the smallest parameter scale, 1e-3
def test_adafactor_is_t5x_adafactor(scale):
    params = random_tree(0, scale=scale)
    gradients = [random_tree(seed, scale=10.0**seed) for seed in range(1, 7)]
    rate = schedules.warmup_rsqrt(0.5, 3)
    ours = run(optimizers.adafactor(rate), AXES, params, gradients)

    references = jax.tree.map(lambda p: T5XAdafactor(p.shape), params)
    expected = params
    for count, gradient in enumerate(gradients):
        expected = jax.tree.map(
            lambda r, p, g, count=count: r.step(count, p, g, float(rate(count))), references, expected, gradient
        )
    moved = relative_error(expected, params)
    assert moved > 0.01
    assert relative_error(ours, expected) < 2e-6


def test_adafactor_is_optax_adafactor_on_unstacked_parameters():
    params = random_tree(0)
    gradients = [random_tree(seed) for seed in range(1, 5)]
    ours = run(optimizers.adafactor(schedules.constant(0.1)), AXES, params, gradients)
    plain = optax.adafactor(0.1)
    theirs = run(optimizers.Optimizer(schedules.constant(0.1), lambda axes: plain, {}), AXES, params, gradients)
    assert relative_error(ours, theirs) < 2e-6


LAYERS = 3


def stack(trees):
    return {"stack": jax.tree.map(lambda *arrays: np.stack(arrays), *trees)}


def stacked_and_side_by_side(optimizer):
    """Parameters that started equal, after two steps: of layers in one stack, and of the same layers by themselves."""
    side = [random_tree(seed, SHAPES["layer"], scale=4.0**seed) for seed in range(LAYERS)]
    side_gradients = [
        [random_tree(10 * n + seed, SHAPES["layer"], 9.0**seed) for seed in range(LAYERS)] for n in (1, 2)
    ]
    axes = {"stack": {name: ("layers", *names) for name, names in AXES["layer"].items()}}
    stacked = run(optimizer, axes, stack(side), [stack(gradients) for gradients in side_gradients])
    return stacked, stack(run(optimizer, [AXES["layer"]] * LAYERS, side, side_gradients))


@pytest.mark.parametrize("make", [optimizers.adafactor, optimizers.muon])
def test_stacked_layers_train_as_the_same_layers_side_by_side(make):
    stacked, expected = stacked_and_side_by_side(make(schedules.constant(0.1), clip_norm=None))
    assert relative_error(stacked, expected) < (1e-6 if make is optimizers.adafactor else 2e-5)


def test_plain_adafactor_takes_a_stack_for_one_parameter():
    plain = optimizers.Optimizer(schedules.constant(0.1), lambda axes: optax.adafactor(0.1), {})
    stacked, expected = stacked_and_side_by_side(plain)
    assert relative_error(stacked, expected) > 0.01


@pytest.mark.parametrize(
    ("shape", "row", "column"),
    [
        ((128, 128), (128,), (128,)),  # factored from 128 on
        ((512, 384), (384,), (512,)),
        ((12, 32), (1,), (1,)),  # the position bias
        ((127, 4096), (1,), (1,)),
        ((512,), (1,), (1,)),
    ],
)
def test_factored_when_both_largest_dimensions_reach_128(shape, row, column):
    transformation = optimizers.adafactor(schedules.constant()).transformation({"p": ("a", "b")[: len(shape)]})
    moments = transformation.init({"p": jnp.zeros(shape)})[0]["p"][0]
    assert (moments.v_row.shape, moments.v_col.shape) == (row, column)
    assert moments.v.shape == ((1,) if row != (1,) else shape)


def test_decay_leaves_out_norms_embedding_and_position_bias():
    stacked = {"wi": ("layers", "embed", "mlp"), "norm": ("layers", "embed")}
    assert optimizers.decayed({**AXES, "stack": stacked}) == {
        "table": False,
        "layer": {"wi": True, "wo": True, "norm": False},
        "bias": False,
        "head": True,
        "stack": {"wi": True, "norm": False},
    }


def test_adamw_decays_kernels_only():
    params = random_tree(0)
    still = jax.tree.map(np.zeros_like, params)
    rate, decay = 0.5, 0.1
    after = run(optimizers.adamw(schedules.constant(rate), weight_decay=decay), AXES, params, [still])
    np.testing.assert_allclose(after["layer"]["wi"], params["layer"]["wi"] * (1 - rate * decay), rtol=1e-6)
    np.testing.assert_array_equal(after["layer"]["norm"], params["layer"]["norm"])
    np.testing.assert_array_equal(after["table"], params["table"])


@pytest.mark.parametrize("make", [optimizers.adafactor, optimizers.adamw, optimizers.muon])
def test_clipping_bounds_the_global_norm_before_anything_else(make):
    params = random_tree(0)
    small, large = random_tree(1, scale=1e-3), random_tree(2, scale=1e3)
    norm = optax.tree.norm(large)
    clipped = jax.tree.map(lambda x: x / norm, large)
    rate = schedules.constant(0.1)
    ours = run(make(rate, clip_norm=1.0), AXES, params, [small, large])
    small_norm = float(optax.tree.norm(small))
    scaled = small if small_norm < 1 else jax.tree.map(lambda x: x / small_norm, small)
    expected = run(make(rate, clip_norm=None), AXES, params, [scaled, clipped])
    assert relative_error(ours, expected) < 1e-5


def test_muon_turns_kernels_by_orthogonal_updates_of_adamw_s_size():
    params, gradient = random_tree(0), random_tree(1)
    after = run(optimizers.muon(schedules.constant(0.1), weight_decay=0.0), AXES, params, [gradient])
    for before, now in ((params["layer"]["wi"], after["layer"]["wi"]), (params["head"], after["head"])):
        update = (before - now) / 0.1
        wanted = optimizers.ADAMW_RMS * np.sqrt(max(update.shape))  # all singular values, of a perfect one
        sizes = np.linalg.svd(update, compute_uv=False) / wanted
        assert sizes.max() < 1.3
        assert np.median(sizes) > 0.6  # the steps of Newton and Schulz bring what is not tiny to about 1


def test_the_first_update_of_muon_is_that_of_optax():
    params, gradient = random_tree(0), random_tree(1)
    rate = schedules.constant(0.1)
    matrix = contrib.MuonDimensionNumbers(reduction_axis=-2, output_axis=-1)
    matrices = jax.tree.map(lambda is_kernel: matrix if is_kernel else None, optimizers.decayed(AXES))
    of_optax = contrib.muon(
        rate, consistent_rms=optimizers.ADAMW_RMS, weight_decay=0.01, muon_weight_dimension_numbers=matrices
    )  # later ones differ by its correction of the momentum's bias
    expected = run(optimizers.Optimizer(rate, lambda axes: of_optax, {}), AXES, params, [gradient])
    assert relative_error(run(optimizers.muon(rate, clip_norm=None), AXES, params, [gradient]), expected) < 2e-5


def test_muon_has_the_momentum_of_nesterov():
    zero, beta = jax.tree.map(np.zeros_like, random_tree(0)), 0.9
    gradients = [random_tree(seed) for seed in (1, 2, 3)]
    muon = optimizers.muon(schedules.constant(0.1), beta=beta, weight_decay=0.0, clip_norm=None)
    before, after = (run(muon, AXES, zero, gradients[:count]) for count in (2, 3))
    momentum = zero
    for gradient in gradients:
        momentum = jax.tree.map(lambda mean, new: beta * mean + new, momentum, gradient)
    ahead = jax.tree.map(lambda mean, new: beta * mean + new, momentum, gradients[-1])
    expected = run(muon, AXES, zero, [ahead])  # one update has no size but its rate's
    for pick in (lambda tree: tree["layer"]["wi"], lambda tree: tree["layer"]["wo"], lambda tree: tree["head"]):
        update = pick(after) - pick(before)
        assert np.abs(update - pick(expected)).max() < 1e-4 * np.abs(update).max()


def test_muon_trains_all_but_kernels_as_adamw_without_decay():
    params, gradients = random_tree(0), [random_tree(seed) for seed in (1, 2)]
    rate = schedules.constant(0.1)
    ours = run(optimizers.muon(rate, clip_norm=None), AXES, params, gradients)
    nadam = optimizers.Optimizer(rate, lambda axes: optax.adamw(0.1, weight_decay=0.0, nesterov=True), {})
    expected = run(nadam, AXES, params, gradients)
    for name in ("table", "bias"):
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-6)
    np.testing.assert_allclose(ours["layer"]["norm"], expected["layer"]["norm"], rtol=1e-6)
    assert np.abs(ours["head"] - expected["head"]).max() > 0.01


def test_muon_takes_larger_steps_for_all_but_kernels():
    params, gradient = random_tree(0, scale=1e-3), random_tree(1)  # small, so that differences are not rounded
    rate = schedules.constant(0.01)
    alike, larger = (run(optimizers.muon(rate, others=others), AXES, params, [gradient]) for others in (1.0, 15.0))
    for pick in (lambda tree: tree["table"], lambda tree: tree["bias"], lambda tree: tree["layer"]["norm"]):
        np.testing.assert_allclose(pick(larger) - pick(params), 15 * (pick(alike) - pick(params)), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(larger["layer"]["wi"], alike["layer"]["wi"])
    np.testing.assert_array_equal(larger["head"], alike["head"])


@pytest.mark.parametrize("queries", [1.0, 0.125])
@pytest.mark.parametrize("leading", [(), (2,)])
def test_muon_takes_smaller_steps_for_queries(queries, leading):
    names = ("layers", "embed", "joined_kv")[1 - len(leading) :]
    axes = {"attention": {"key": names, "query": names}}
    kernel, gradient = np.random.default_rng(0).normal(size=(2, *leading, 12, 8)).astype(np.float32)
    params, gradients = ({"attention": {"key": value, "query": value}} for value in (0 * kernel, gradient))
    muon = optimizers.muon(schedules.constant(0.1), queries=queries)
    after = run(muon, axes, params, [gradients])["attention"]
    assert np.abs(after["key"]).max() > 0.01
    np.testing.assert_allclose(after["query"], queries * after["key"], rtol=1e-5)


def test_muon_finds_the_queries_of_a_model():
    config = T5Config(vocab_size=8, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_encoder_layers=1, num_decoder_layers=1)
    abstract = parameters.abstract(config)[1]
    axes = logical_axes(abstract)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), nnx.to_pure_dict(abstract))
    gradient = jax.tree.map(lambda leaf: np.random.default_rng(0).normal(size=leaf.shape).astype(np.float32), zeros)
    rate = schedules.constant(0.1)
    alike, smaller = (run(optimizers.muon(rate, queries=queries), axes, zeros, [gradient]) for queries in (1.0, 0.5))
    pairs = zip(jax.tree.leaves_with_path(alike), jax.tree.leaves(smaller), strict=True)
    differ = [jax.tree_util.keystr(path) for (path, one), other in pairs if not np.array_equal(one, other)]
    assert len(differ) == 3  # the encoder's, the decoder's, and those that look at the encoder
    assert all(name.endswith("['query']") for name in differ)


def test_muon_shrinks_kernels_by_rate_times_decay_and_nothing_else():
    params = random_tree(0)
    still = jax.tree.map(np.zeros_like, params)
    after = run(optimizers.muon(schedules.constant(0.5), weight_decay=0.1), AXES, params, [still])
    np.testing.assert_allclose(after["layer"]["wi"], params["layer"]["wi"] * 0.95, rtol=1e-6)
    np.testing.assert_array_equal(after["table"], params["table"])
