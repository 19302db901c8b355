"""Loss sums and gradients against double-precision numpy written from T5X's formula with explicit soft targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5music.training import losses

cross_entropy = jax.jit(losses.cross_entropy, static_argnames=("z_loss", "label_smoothing"))


def reference(logits, targets, weights, z_loss, smoothing):
    """T5X's compute_weighted_cross_entropy in float64: loss, z-loss and the gradient with regard to the logits."""
    logits = logits.astype(np.float64)
    rows = logits.shape[-1]
    soft = np.full(logits.shape, smoothing / (rows - 1))
    np.put_along_axis(soft, targets[..., None], 1 - smoothing, axis=-1)
    top = logits.max(-1, keepdims=True)
    log_z = np.log(np.exp(logits - top).sum(-1, keepdims=True)) + top
    probability = np.exp(logits - log_z)
    entropy = -(soft[0, 0] * np.log(soft[0, 0] + 1e-300)).sum()
    loss = -(soft * (logits - log_z)).sum(-1) + z_loss * log_z[..., 0] ** 2 - entropy
    gradient = ((1 + 2 * z_loss * log_z) * probability - soft) * weights[..., None]
    return (loss * weights).sum(), (z_loss * log_z[..., 0] ** 2 * weights).sum(), gradient


@pytest.mark.parametrize(
    ("z_loss", "smoothing", "scale"), [(0.0, 0.0, 1.0), (1e-4, 0.0, 1.0), (1e-4, 0.1, 30.0), (0.1, 0.1, 30.0)]
)
def test_equals_t5x_formula(z_loss, smoothing, scale):
    rng = np.random.default_rng(0)
    logits = (scale * rng.normal(size=(3, 5, 17))).astype(np.float32)
    targets = rng.integers(17, size=(3, 5)).astype(np.int32)
    weights = rng.choice([0.0, 0.5, 1.0], size=(3, 5)).astype(np.float32)

    def loss(logits):
        sums = cross_entropy(
            logits, jnp.asarray(targets), jnp.asarray(weights), z_loss=z_loss, label_smoothing=smoothing
        )
        return sums.loss, sums

    (_, sums), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(jnp.asarray(logits))
    expected_loss, expected_z, expected_gradient = reference(logits, targets, weights, z_loss, smoothing)
    np.testing.assert_allclose(sums.loss, expected_loss, rtol=2e-6)
    np.testing.assert_allclose(sums.z_loss, expected_z, rtol=2e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=2e-6)
    assert sums.weight == weights.sum()
    assert sums.correct == (weights * (logits.argmax(-1) == targets)).sum()


def test_uniform_logits_cost_log_of_the_rows():
    sums = cross_entropy(jnp.zeros((2, 3, 64)), jnp.ones((2, 3), jnp.int32), jnp.ones((2, 3)), z_loss=0.0)
    np.testing.assert_allclose(sums.loss / sums.weight, np.log(64), rtol=1e-6)


def test_smoothed_perfect_prediction_costs_nothing():
    soft = np.full((1, 1, 11), 0.2 / 10)
    soft[0, 0, 4] = 0.8
    sums = cross_entropy(jnp.log(soft), jnp.full((1, 1), 4), jnp.ones((1, 1)), z_loss=0.0, label_smoothing=0.2)
    np.testing.assert_allclose(sums.loss, 0.0, atol=1e-6)


def test_bfloat16_logits_are_summed_in_float32():
    logits = jnp.full((1, 1000, 8), 0.5, jnp.bfloat16)
    sums = cross_entropy(logits, jnp.zeros((1, 1000), jnp.int32), jnp.ones((1, 1000)), z_loss=0.0)
    assert sums.loss.dtype == jnp.float32
    np.testing.assert_allclose(sums.loss, 1000 * np.log(8), rtol=1e-5)


def test_positions_of_weight_zero_leave_no_gradient():
    weights = jnp.array([[1.0, 0.0]])
    gradient = jax.jit(jax.grad(lambda x: cross_entropy(x, jnp.zeros((1, 2), jnp.int32), weights).loss))(
        jnp.ones((1, 2, 4))
    )
    assert not gradient[0, 1].any()
    assert gradient[0, 0].any()
