"""Heads: classifiers on an encoder, of every note or of all that was read: the BERT way to understand music.

Those of MidiBERT (Chou et al. 2021), in size and form: two layers with a ReLU between them, at every position for the
notes; for a sequence on the self-attentive pooling of Lin et al. 2017, whose aspects each weigh the positions in a way
of their own. What goes in has been through the dropout that ends T5's encoder, the dropout that MidiBERT puts there.

They compute in float32, as all logits do. Unlike the layers of T5 they have biases, drawn as PyTorch draws them:
Adafactor steps in proportion to a parameter's size, and would hardly move them from zero.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from t5music.model.attention import MASKED
from t5music.model.config import SEQUENCE, T5Config
from t5music.model.layers import linear

HIDDEN = 256  # between the two layers
FEATURES, ASPECTS = 128, 4  # of the pooling

_initial = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


class Affine(nnx.Module):
    """A linear layer with a bias: x kernel + bias."""

    def __init__(self, size: tuple[int, int], axes: tuple[str, str], *, rngs: nnx.Rngs) -> None:
        bound = size[0] ** -0.5
        self.kernel = nnx.Param(_initial(rngs.params(), size), axes=axes)
        bias = jax.random.uniform(rngs.params(), size[1:], minval=-bound, maxval=bound)
        self.bias = nnx.Param(bias, axes=axes[1:])

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., n] -> [..., m]."""
        return linear(x, self.kernel[...]) + self.bias[...]


class Pooling(nnx.Module):
    """Self-attentive pooling: softmax over the positions of tanh(x features) aspects, one mean for each aspect."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.features = nnx.Param(_initial(rngs.params(), (config.d_model, FEATURES)), axes=("embed", "mlp"))
        self.aspects = nnx.Param(_initial(rngs.params(), (FEATURES, ASPECTS)), axes=("mlp", "aspects"))

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """[batch, length, d_model], of which bool [batch, length] counts -> [batch, aspects * d_model]."""
        scores = linear(jnp.tanh(linear(x, self.features[...])), self.aspects[...])  # [batch, length, aspects]
        weights = jax.nn.softmax(jnp.where(mask[..., None], scores, MASKED), axis=1)  # [batch, length, aspects]
        means = jnp.einsum("bla,bld->bad", weights, x)  # [batch, aspects, d_model]
        return means.reshape(len(x), -1)


class Classifier(nnx.Module):
    """Logits of `num_labels` classes for every position or, with the head "sequence", for all of them together."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        pooled = config.head == SEQUENCE
        self.pooling = Pooling(config, rngs=rngs) if pooled else None
        width = config.d_model * (ASPECTS if pooled else 1)
        self.hidden = Affine((width, HIDDEN), ("embed", "mlp"), rngs=rngs)
        self.out = Affine((HIDDEN, config.num_labels), ("mlp", "classes"), rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """Returns the logits of the classes.

        Args:
            x: [batch, length, d_model], what the encoder made of the tokens.
            mask: bool [batch, length], False at padding.

        Returns:
            float32 [batch, length, num_labels], at every position, or [batch, 1, num_labels].
        """
        x = x.astype(jnp.float32)
        if self.pooling is not None:
            x = self.pooling(x, mask)[:, None]  # [batch, 1, aspects * d_model]
        return self.out(jax.nn.relu(self.hidden(x)))  # through [batch, length or 1, HIDDEN]
