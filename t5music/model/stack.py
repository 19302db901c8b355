"""Stacks of layers: an encoder, a decoder, or an encoder made of a decoder's parameters.

Layers of a stack are kept in one of two forms (`T5Config.scan_layers`): an `nnx.List` of layer modules, or one layer
module whose parameters are stacked under a leading axis. Initial values, logits, gradients and dropout masks are the
same in both; `parameters.stack_layers` and `unstack_layers` convert parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from t5music.model.config import T5Config
from t5music.model.layers import EncoderLayer, RelativePositionBias, RMSNorm
from t5music.model.sharding import constrain_batch

Layer = TypeVar("Layer", bound=nnx.Module)


def _unstacked(stacked: Layer) -> list[Layer]:
    graphdef, states = nnx.split(stacked)
    leaves, tree = jax.tree.flatten(states)
    layers = zip(*map(jnp.unstack, leaves), strict=True)  # one operation each: indices take long to trace
    return [nnx.merge(graphdef, jax.tree.unflatten(tree, layer)) for layer in layers]


class Stack(nnx.Module):
    """Layers one after another, with the bias table they share and the final norm.

    `run` is the one way through the layers, scanned or unrolled, rematerialised or not.
    """

    def __init__(
        self,
        config: T5Config,
        layer: Callable[..., Layer],
        count: int,
        *,
        bidirectional: bool,
        rngs: nnx.Rngs,
    ) -> None:
        def make(key: jax.Array) -> Layer:
            return layer(config, rngs=nnx.Rngs(params=key))

        # Made at once in either form: the numbers agree, and drawing layer after layer takes long to compile.
        stacked = nnx.vmap(make)(jax.random.split(rngs.params(), count))
        if config.scan_layers:
            self.layers = stacked
            for _, node in nnx.iter_graph(self.layers):
                if isinstance(node, nnx.Param):
                    node.set_metadata(axes=("layers", *node.get_metadata()["axes"]))
        else:
            self.layers = nnx.List(_unstacked(stacked))
        self.relative_bias = RelativePositionBias(config, bidirectional=bidirectional, rngs=rngs)
        self.norm = RMSNorm(config)
        self.count = count
        self.config = config

    def unstacked(self) -> list[Layer]:
        """Returns the layers one by one; a scanned stack's are slices of its parameters."""
        return _unstacked(self.layers) if self.config.scan_layers else list(self.layers)

    def run(
        self, body: Callable[[Layer, jax.Array, jax.Array | None], jax.Array], x: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """Applies `body(layer, x, layer_key)` layer after layer, [batch, length, d_model] -> the same shape."""

        def step(graphdef: nnx.GraphDef, state: nnx.State, x: jax.Array, key: jax.Array | None) -> jax.Array:
            return constrain_batch(body(nnx.merge(graphdef, state), x, key))

        if self.config.remat_policy != "none":
            policies = jax.checkpoint_policies
            policy = policies.dots_with_no_batch_dims_saveable if self.config.remat_policy == "dots" else None
            # Inside a scan the compiler cannot merge recomputation with the forward pass, so it need not be stopped.
            step = jax.checkpoint(step, policy=policy, prevent_cse=not self.config.scan_layers, static_argnums=0)
        keys = None if key is None else jax.random.split(key, self.count)
        x = constrain_batch(x)
        if self.config.scan_layers:
            graphdef, states = nnx.split(self.layers)
            x, _ = jax.lax.scan(lambda x, xs: (step(graphdef, xs[0], x, xs[1]), None), x, (states, keys))
            return x
        for i, layer in enumerate(self.layers):
            graphdef, state = nnx.split(layer)
            x = step(graphdef, state, x, None if keys is None else keys[i])
        return x


def encoder_sharing(decoder: Stack) -> Stack:
    """Returns an encoder whose every parameter is the one of its place in `decoder`, a `Stack` of `DecoderLayer`.

    They are the same `nnx.Param` objects, which `nnx.split` counts once, in the decoder. The relative biases and the
    final norm are shared as well: the study's own configuration names the encoder "decoder", so that Mesh TensorFlow
    gives both stacks every variable of the same name, and only the sublayer that the encoder lacks is not among them.
    Each stack still sorts relative positions into buckets in its own way.
    """
    config = decoder.config
    # Abstract to begin with: all of it is replaced.
    encoder: Stack = nnx.eval_shape(
        lambda: Stack(config, EncoderLayer, config.num_encoder_layers, bidirectional=True, rngs=nnx.Rngs(0))
    )
    stacks = encoder.layers, decoder.layers
    for layer, shared in [stacks] if config.scan_layers else zip(*stacks, strict=True):
        layer.attention_norm, layer.attention = shared.self_attention_norm, shared.self_attention
        layer.mlp_norm, layer.mlp, layer.adapter = shared.mlp_norm, shared.mlp, shared.adapter
    encoder.relative_bias.table = decoder.relative_bias.table
    encoder.norm = decoder.norm
    return encoder
