import json
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pallas_tpu

from t5music.model import attention
from t5music.model.sharding import make_mesh


def example(batch=2, heads=1, length=128, source=256, d_kv=8, dtype=jnp.float32):
    """Queries, keys, values, a bias shared by the batch, a packed, padded and causal mask, and a gradient."""
    random = np.random.default_rng(0)
    shapes = [(batch, heads, length, d_kv), (batch, heads, source, d_kv), (batch, heads, source, d_kv)]
    arrays = [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]
    bias = jnp.asarray(random.normal(size=(1, heads, length, source)), jnp.float32)
    queries_segment = np.where(np.arange(length) < length // 2, 1, 2)
    keys_segment = np.select([np.arange(source) < source // 4, np.arange(source) < source - 9], [1, 2], 0)
    mask = (queries_segment[:, None] == keys_segment) & (np.arange(source) <= source // 4 + np.arange(length)[:, None])
    masks = np.stack([mask, np.broadcast_to(keys_segment > 0, mask.shape)] * (batch // 2))[:, None]
    gradient = jnp.asarray(random.normal(size=shapes[0]), dtype)
    return (*arrays, bias), jnp.asarray(masks), gradient


def result_and_gradients(attend, arrays, mask, gradient):
    def run(queries, keys, values, bias):
        return attend(queries, keys, values, bias=bias, mask=mask)

    result, backward = jax.vjp(run, *arrays)
    return [np.asarray(x, np.float32) for x in (result, *backward(gradient))]


def assert_equal(got, expected, tolerance):
    """Within `tolerance` of each array's largest entry: the values, then the gradients."""
    for one, other in zip(got, expected, strict=True):
        assert np.abs(one - other).max() < tolerance * np.abs(other).max()


def test_softmax_and_its_gradient_are_jax_s():
    logits = 5 * jax.random.normal(jax.random.key(0), (4, 7))
    logits = logits.at[1, 2:].set(attention.MASKED).at[2].set(attention.MASKED)
    gradient = jax.random.normal(jax.random.key(1), (4, 7))
    for softmax in (attention.softmax, jax.nn.softmax):
        value, backward = jax.vjp(softmax, logits)
        if softmax is attention.softmax:
            mine = value, backward(gradient)[0]
    np.testing.assert_allclose(mine[0], value, atol=1e-7)
    np.testing.assert_allclose(mine[1], backward(gradient)[0], atol=1e-6)


def test_softmax_keeps_only_its_result_for_the_backward_pass():
    residuals = jax.eval_shape(lambda x: jax.vjp(attention.softmax, x)[1], jnp.zeros((64, 64)))
    assert sum(leaf.size for leaf in jax.tree.leaves(residuals)) == 64 * 64


@pytest.mark.parametrize("keys", [(2, 3), (6,)], ids=["batch and heads", "as a cache has them"])
def test_the_product_with_keys_has_the_gradient_of_an_einsum(keys):
    queries, keys, gradient = (
        jax.random.normal(jax.random.key(i), shape)
        for i, shape in enumerate([(*keys, 5, 4), (*keys, 7, 4), (*keys, 5, 7)])
    )
    value, backward = jax.vjp(lambda *factors: attention.product_with_keys(*factors, "float32"), queries, keys)
    expected, expected_backward = jax.vjp(lambda q, k: jnp.einsum("...qd,...kd->...qk", q, k), queries, keys)
    for one, other in zip((value, *backward(gradient)), (expected, *expected_backward(gradient)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    "shape", [(1, 3, 5, 7), (1, 3, 1, 7), (3, 5, 7), (2, 3, 5, 7), (2, 1, 1, 7), (1, 1, 1, 1), (7,), ()], ids=str
)
def test_the_gradient_of_a_bias_is_summed_over_what_shares_it(shape):
    logits, bias, gradient = (
        jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(2, 3, 5, 7), shape, (2, 3, 5, 7)])
    )
    value, backward = jax.vjp(attention.add_bias, logits, bias)
    expected, expected_backward = jax.vjp(jnp.add, logits, bias)
    np.testing.assert_array_equal(value, expected)
    for one, other in zip(backward(gradient), expected_backward(gradient), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_flash_kernel_is_the_plain_way():
    arrays, mask, gradient = example()
    expected = result_and_gradients(attention.plain, arrays, mask, gradient)
    with pallas_tpu.force_tpu_interpret_mode():
        got = result_and_gradients(attention.flash, arrays, mask, gradient)
    assert_equal(got, expected, 1e-5)


@pytest.mark.gpu
def test_the_cudnn_kernel_is_the_plain_way():
    if jax.default_backend() != "gpu":
        pytest.skip("no GPU at hand")
    arrays, mask, gradient = example(batch=4, heads=6, length=114, source=512, d_kv=64, dtype=jnp.bfloat16)
    assert attention.choose(*arrays[:2], dropping=False, device=jax.devices()[0]) == attention.CUDNN
    exact = [x.astype(jnp.float32) for x in arrays]
    with jax.default_matmul_precision("highest"):
        expected = result_and_gradients(attention.plain, exact, mask, gradient.astype(jnp.float32))
    assert_equal(result_and_gradients(attention.cudnn, arrays, mask, gradient), expected, 0.03)


TPU = types.SimpleNamespace(platform="tpu")
H100, V100 = (types.SimpleNamespace(platform="gpu", compute_capability=c) for c in ("9.0", "7.0"))
AMD = types.SimpleNamespace(platform="gpu", compute_capability="gfx942")
CPU = types.SimpleNamespace(platform="cpu")
FLASH, CUDNN, PLAIN = attention.FLASH, attention.CUDNN, attention.PLAIN


@pytest.mark.parametrize(
    ("device", "changes", "expected"),
    [
        (TPU, {}, FLASH),
        (TPU, {"dtype": "float32"}, FLASH),
        (TPU, {"d_kv": 128}, FLASH),
        (TPU, {"d_kv": 192}, PLAIN),
        (TPU, {"length": 114}, PLAIN),
        (TPU, {"source": 500}, PLAIN),
        (TPU, {"length": 1}, PLAIN),
        (TPU, {"dropping": True}, PLAIN),
        (TPU, {"cached": True}, PLAIN),
        (H100, {}, CUDNN),
        (H100, {"length": 114, "source": 500}, CUDNN),
        (H100, {"d_kv": 128}, CUDNN),
        (H100, {"d_kv": 136}, PLAIN),
        (H100, {"d_kv": 12}, PLAIN),
        (H100, {"dtype": "float32"}, PLAIN),
        (H100, {"length": 113}, PLAIN),
        (H100, {"source": 511}, PLAIN),
        (H100, {"dropping": True}, PLAIN),
        (V100, {}, PLAIN),
        (AMD, {}, PLAIN),
        (CPU, {}, PLAIN),
    ],
    ids=str,
)
def test_a_kernel_is_chosen_where_it_fits(device, changes, expected):
    case = {"dtype": "bfloat16", "d_kv": 64, "length": 128, "source": 512, "dropping": False, "cached": False}
    case |= changes
    queries = jax.ShapeDtypeStruct((4, 6, case["length"], case["d_kv"]), case["dtype"])
    leading = (24,) if case["cached"] else (4, 6)
    keys = jax.ShapeDtypeStruct((*leading, case["source"], case["d_kv"]), case["dtype"])
    assert attention.choose(queries, keys, dropping=case["dropping"], device=device) == expected


@pytest.mark.parametrize(
    ("mesh", "expected"), [((4, 1, 2), FLASH), ((1, 4, 3), FLASH), ((8, 1, 1), PLAIN), ((2, 1, 4), PLAIN)]
)
def test_a_kernel_is_chosen_where_the_mesh_divides_batch_and_heads(mesh, expected):
    queries = jax.ShapeDtypeStruct((4, 6, 128, 64), jnp.bfloat16)
    with jax.sharding.use_abstract_mesh(make_mesh(*mesh, devices=int(np.prod(mesh)))):
        assert attention.choose(queries, queries, dropping=False, device=TPU) == expected


def test_without_a_mesh_a_kernel_is_for_one_device(monkeypatch):
    queries = jax.ShapeDtypeStruct((4, 6, 128, 64), jnp.bfloat16)
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert attention.choose(queries, queries, dropping=False, device=TPU) == PLAIN


def test_the_model_attends_the_chosen_way(monkeypatch):
    arrays, mask, _ = example(length=8, source=16)
    seen = []
    monkeypatch.setattr(attention, "choose", lambda *_, **__: FLASH)
    monkeypatch.setattr(attention, "flash", lambda *args, **rest: seen.append(rest) or args[0])
    attention.attend(*arrays[:3], bias=arrays[3], mask=mask)
    assert [sorted(rest) for rest in seen] == [["bias", "mask"]]


OVER_MESH = """
    import json, jax, numpy as np
    import test_t5_attention as here
    from t5music.model import attention
    from t5music.model.sharding import make_mesh

    arrays, mask, gradient = here.example(batch=4, heads=6, length=8, source=16)
    expected = here.result_and_gradients(attention.plain, arrays, mask, gradient)
    shapes = []
    def kernel(queries, keys, values, *, bias, mask):
        shapes.append([queries.shape, keys.shape, bias.shape, mask.shape])
        return attention.plain(queries, keys, values, bias=bias, mask=mask)
    def attend(*arrays, bias, mask):
        return attention.over_mesh(kernel, *arrays, bias=bias, mask=mask)
    with jax.set_mesh(make_mesh(2, 2, 2)):
        def run(arrays, mask, gradient):
            result, backward = jax.vjp(lambda q, k, v, b: attend(q, k, v, bias=b, mask=mask), *arrays)
            return result, *backward(gradient)
        got = [np.asarray(x) for x in jax.jit(run)(arrays, mask, gradient)]
    off = [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(got, expected, strict=True)]
    print(json.dumps({"off": off, "shapes": shapes[0]}))
"""


def test_over_a_mesh_every_device_attends_for_its_own_examples_and_heads():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OVER_MESH)],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert max(report["off"]) < 1e-5
    assert report["shapes"] == [[1, 3, 8, 8], [1, 3, 16, 8], [1, 3, 8, 16], [1, 1, 8, 16]]
