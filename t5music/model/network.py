"""The T5 encoder-decoder, unrolled or scanned over its layers, trainable under plain `jax.jit`.

All random numbers come in from outside, so a model's state is its parameters and nothing else, and a training step is
a pure function of (static graph, parameters, batch, dropout key):

    graphdef, params = nnx.split(T5(config, rngs=nnx.Rngs(0)))

    @jax.jit
    def apply(graphdef, params, batch, dropout_key):
        model = nnx.merge(graphdef, params)
        return model(
            batch["encoder_input_tokens"],
            batch["decoder_input_tokens"],
            encoder_segment_ids=batch.get("encoder_segment_ids"),
            decoder_segment_ids=batch.get("decoder_segment_ids"),
            deterministic=False,
            rngs=dropout_key,
        )

    logits = apply(graphdef, params, batch, jax.random.key(0))

A key, not an `nnx.Rngs`, is what such a function should take: it is a plain array, the step number folds into it, and
a resumed run repeats the same masks. Outside of jit an `nnx.Rngs` does as well.

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

from t5music.model.config import PAD_ID, T5Config
from t5music.model.layers import DecoderLayer, EncoderLayer, Norm, RelativeBias, dropout, split_key
from t5music.model.sharding import constrain_batch, gather_table

Layer = TypeVar("Layer", bound=nnx.Module)


def _unstacked(stacked: Layer, count: int) -> list[Layer]:
    graphdef, states = nnx.split(stacked)
    return [nnx.merge(graphdef, jax.tree.map(lambda x, i=i: x[i], states)) for i in range(count)]


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
            self.layers = nnx.List(_unstacked(stacked, count))
        self.relative_bias = RelativeBias(config, bidirectional=bidirectional, rngs=rngs)
        self.norm = Norm(config)
        self.count = count
        self.config = config

    def unstacked(self) -> list[Layer]:
        """Returns the layers one by one; a scanned stack's are slices of its parameters."""
        return _unstacked(self.layers, self.count) if self.config.scan_layers else list(self.layers)

    def run(
        self, body: Callable[[Layer, jax.Array, jax.Array | None], jax.Array], x: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        """Applies `body(layer, x, layer_key)` layer after layer, [batch, length, d_model] -> the same shape."""

        def step(graphdef: nnx.GraphDef, state: nnx.State, x: jax.Array, key: jax.Array | None) -> jax.Array:
            return constrain_batch(body(nnx.merge(graphdef, state), x, key))

        if self.config.remat != "none":
            policies = jax.checkpoint_policies
            policy = policies.dots_with_no_batch_dims_saveable if self.config.remat == "dots" else None
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


class T5(nnx.Module):
    """The encoder-decoder of T5 v1.0 and v1.1.

    Attributes:
        embedding: [rows, d_model], shared by both stacks, and by the logits of v1.0.
        encoder: `Stack` of `EncoderLayer`.
        decoder: `Stack` of `DecoderLayer`.
        head: [d_model, rows], v1.1 only.
    """

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        shape, axes = (config.rows, config.d_model), ("vocab", "embed")
        self.embedding = nnx.Param(jax.nn.initializers.normal(1.0)(rngs.params(), shape), axes=axes)
        self.encoder = Stack(config, EncoderLayer, config.encoder_layers, bidirectional=True, rngs=rngs)
        self.decoder = Stack(config, DecoderLayer, config.decoder_layers, bidirectional=False, rngs=rngs)
        if not config.tied:
            initial = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
            self.head = nnx.Param(initial(rngs.params(), shape[::-1]), axes=axes[::-1])
        self.config = config

    def __call__(
        self,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        *,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        decoder_target_tokens: jax.Array | None = None,
        deterministic: bool = True,
        rngs: nnx.Rngs | jax.Array | None = None,
    ) -> jax.Array:
        """Returns the logits of every next target token.

        Args:
            encoder_input_tokens: int [batch, source]; id 0 is padding.
            decoder_input_tokens: int [batch, target], the targets shifted right: id 0, then all but the last target,
                and id 0 again where a packed segment begins.
            encoder_segment_ids: int [batch, source] when rows are packed (1, 2, ...; 0 for padding): positions see
                only their own segment.
            decoder_segment_ids: int [batch, target], given together with `encoder_segment_ids`.
            decoder_target_tokens: int [batch, target]; hides the positions whose target is padding from the other
                positions, as T5X does. No logit that a loss counts depends on it.
            deterministic: without dropout.
            rngs: a dropout key, or an `nnx.Rngs` with a "dropout" (or default) stream; needed unless deterministic.

        Returns:
            float32 [batch, target, rows].
        """
        key = self._dropout_key(deterministic, rngs)
        encoder_key, decoder_key = split_key(key, 2)
        encoded = self.encode(
            encoder_input_tokens,
            encoder_segment_ids=encoder_segment_ids,
            deterministic=key is None,
            rngs=encoder_key,
        )
        return self.decode(
            encoded,
            encoder_input_tokens,
            decoder_input_tokens,
            encoder_segment_ids=encoder_segment_ids,
            decoder_segment_ids=decoder_segment_ids,
            decoder_target_tokens=decoder_target_tokens,
            deterministic=key is None,
            rngs=decoder_key,
        )

    def encode(
        self,
        encoder_input_tokens: jax.Array,
        *,
        encoder_segment_ids: jax.Array | None = None,
        deterministic: bool = True,
        rngs: nnx.Rngs | jax.Array | None = None,
    ) -> jax.Array:
        """Runs the encoder: int [batch, source] -> [batch, source, d_model] in the config's dtype."""
        keys = split_key(self._dropout_key(deterministic, rngs), 3)
        length = encoder_input_tokens.shape[1]
        bias = self.encoder.relative_bias(length, length)
        mask = padding_mask(encoder_input_tokens)
        if encoder_segment_ids is not None:
            mask = mask & same_segment(encoder_segment_ids, encoder_segment_ids)
        x = dropout(self.embed(encoder_input_tokens), self.config.dropout_rate, keys[0])
        x = self.encoder.run(lambda layer, x, key: layer(x, bias, mask, key), x, keys[1])
        return dropout(self.encoder.norm(x), self.config.dropout_rate, keys[2])

    def decode(
        self,
        encoded: jax.Array,
        encoder_input_tokens: jax.Array,
        decoder_input_tokens: jax.Array,
        *,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        decoder_target_tokens: jax.Array | None = None,
        deterministic: bool = True,
        rngs: nnx.Rngs | jax.Array | None = None,
    ) -> jax.Array:
        """Runs the decoder over whole targets, given `encode`'s result; arguments and result are those of a call."""
        if (encoder_segment_ids is None) != (decoder_segment_ids is None):
            raise ValueError("encoder_segment_ids and decoder_segment_ids come together or not at all")
        keys = split_key(self._dropout_key(deterministic, rngs), 3)
        length = decoder_input_tokens.shape[1]
        bias = self.decoder.relative_bias(length, length)
        mask = causal_mask(length)
        cross_mask = padding_mask(encoder_input_tokens)
        if decoder_target_tokens is not None:
            mask = mask & padding_mask(decoder_target_tokens)
        if encoder_segment_ids is not None and decoder_segment_ids is not None:
            mask = mask & same_segment(decoder_segment_ids, decoder_segment_ids)
            cross_mask = cross_mask & same_segment(decoder_segment_ids, encoder_segment_ids)

        def body(layer: DecoderLayer, x: jax.Array, key: jax.Array | None) -> jax.Array:
            cross = layer.cross_attention.project_keys_values(encoded)
            return layer(x, bias=bias, mask=mask, cross=cross, cross_mask=cross_mask, key=key)[0]

        x = dropout(self.embed(decoder_input_tokens), self.config.dropout_rate, keys[0])
        x = self.decoder.run(body, x, keys[1])
        return self.logits(dropout(self.decoder.norm(x), self.config.dropout_rate, keys[2]))

    def embed(self, tokens: jax.Array) -> jax.Array:
        """Looks tokens up, unscaled: int [batch, length] -> [batch, length, d_model] in the config's dtype."""
        return gather_table(self.embedding[...])[tokens].astype(self.config.dtype)

    def logits(self, x: jax.Array) -> jax.Array:
        """Projects the decoder's normed output to the vocabulary: [..., d_model] -> float32 [..., rows]."""
        x = x.astype(jnp.float32)
        if self.config.tied:
            # Scaling the hidden states is scaling the logits, on far fewer numbers.
            return (x * self.config.d_model**-0.5) @ self.embedding[...].T
        return x @ self.head[...]

    def _dropout_key(self, deterministic: bool, rngs: nnx.Rngs | jax.Array | None) -> jax.Array | None:
        if deterministic or self.config.dropout_rate == 0.0:
            return None
        if rngs is None:
            raise ValueError("T5 with deterministic=False and a dropout rate needs a dropout key: pass rngs=")
        return rngs.dropout() if isinstance(rngs, nnx.Rngs) else rngs


def padding_mask(tokens: jax.Array) -> jax.Array:
    """Returns True at the keys that are no padding: int [batch, keys] -> bool [batch, 1, 1, keys]."""
    return (tokens != PAD_ID)[:, None, None, :]


def causal_mask(length: int) -> jax.Array:
    """Returns True where the key is not after the query, bool [1, 1, length, length]."""
    positions = jnp.arange(length)
    return (positions[None, :] <= positions[:, None])[None, None]


def same_segment(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Returns True where segments agree: int [batch, queries], [batch, keys] -> bool [batch, 1, queries, keys]."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]
