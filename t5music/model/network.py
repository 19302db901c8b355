"""T5: the network, in every architecture of its study and as an encoder alone, trainable under plain `jax.jit`.

`T5Config` chooses among an encoder-decoder, one whose encoder and decoder share their parameters, the decoder-only
language model and prefix LM (Raffel et al. 2020, section 3.2), and an encoder under the head of a BERT. All are called
alike:

    graphdef, params = nnx.split(T5(config, rngs=nnx.Rngs(0)))

    @jax.jit
    def apply(graphdef, params, batch, dropout_key):
        model = nnx.merge(graphdef, params)
        return model(
            batch.get("encoder_input_tokens"),  # None of a decoder-only model, as are the encoder's segments
            batch.get("decoder_input_tokens"),  # None of an encoder alone
            encoder_segment_ids=batch.get("encoder_segment_ids"),
            decoder_segment_ids=batch.get("decoder_segment_ids"),
            decoder_causal_attention=batch.get("decoder_causal_attention"),  # read by a prefix LM
            deterministic=False,
            rngs=dropout_key,
        )

    logits = apply(graphdef, params, batch, jax.random.key(0))

All random numbers come in from outside, so a model's state is its parameters and nothing else, and a training step is
a pure function of (static graph, parameters, batch, dropout key). A key, not an `nnx.Rngs`, is what such a function
should take: it is a plain array, the step number folds into it, and a resumed run repeats the same masks. Outside of
jit an `nnx.Rngs` does as well.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from t5music.model.config import PAD_ID, PREFIX_LM, WORDS, T5Config
from t5music.model.heads import Classifier
from t5music.model.layers import DecoderLayer, EncoderLayer, dropout, linear, split_key
from t5music.model.sharding import gather_table
from t5music.model.stack import Layer, Stack, encoder_sharing


class T5(nnx.Module):
    """T5 v1.0 and v1.1, encoder-decoder, decoder-only, or the encoder alone.

    Attributes:
        embedding: [vocab_size, d_model], shared by all stacks and, of a tied model (v1.0), by the logits.
        encoder: `Stack` of `EncoderLayer`, with `shared_layers` of the decoder's parameters; None in a decoder-only
            model.
        decoder: `Stack` of `DecoderLayer` or, in a decoder-only model, of `EncoderLayer`; not in an encoder alone.
        places: [position_period, d_model], added to what the decoder reads; only with a `position_period`.
        head: [d_model, vocab_size] of a model that is not tied (v1.1), or the `Classifier` of a head other than
            "words".
    """

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        shape, axes = (config.vocab_size, config.d_model), ("vocab", "embed")
        self.embedding = nnx.Param(jax.nn.initializers.normal(1.0)(rngs.params(), shape), axes=axes)
        encoder = None
        if not config.decoder_only and not config.shared_layers:
            encoder = Stack(config, EncoderLayer, config.num_encoder_layers, bidirectional=True, rngs=rngs)
        layer = EncoderLayer if config.decoder_only else DecoderLayer
        # A prefix LM has bidirectional buckets, as Mesh TensorFlow gives to all that is not `fully_autoregressive`. (In
        # T5X's, which came after the study, all keys ahead share bucket 0.)
        ahead = config.architecture == PREFIX_LM
        if not config.encoder_only:
            self.decoder = Stack(config, layer, config.num_decoder_layers, bidirectional=ahead, rngs=rngs)
        self.encoder = encoder_sharing(self.decoder) if config.shared_layers else encoder
        if config.head != WORDS:
            self.head = Classifier(config, rngs=rngs)
        elif not config.tied:
            initial = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
            self.head = nnx.Param(initial(rngs.params(), shape[::-1]), axes=axes[::-1])
        if config.position_period:
            table = jax.nn.initializers.normal(1.0)(rngs.params(), (config.position_period, config.d_model))
            self.places = nnx.Param(table, axes=("buckets", "embed"))
        self.config = config

    def __call__(
        self,
        encoder_input_tokens: jax.Array | None,
        decoder_input_tokens: jax.Array | None,
        *,
        encoder_segment_ids: jax.Array | None = None,
        decoder_segment_ids: jax.Array | None = None,
        decoder_target_tokens: jax.Array | None = None,
        decoder_causal_attention: jax.Array | None = None,
        deterministic: bool = True,
        rngs: nnx.Rngs | jax.Array | None = None,
    ) -> jax.Array:
        """Returns the logits of every next target token or, of an encoder alone, of what its head says.

        Args:
            encoder_input_tokens: int [batch, source]; id 0 is padding. None for a decoder-only model.
            decoder_input_tokens: int [batch, target], the targets (of a decoder-only model: the inputs and targets, in
                one) shifted right: id 0, then all but the last target, and id 0 again where a packed segment begins.
                None for an encoder alone, which reads no other argument of the decoder's either.
            encoder_segment_ids: int [batch, source] when rows are packed (1, 2, ...; 0 for padding): positions see
                only their own segment.
            decoder_segment_ids: int [batch, target], given together with `encoder_segment_ids` where there is an
                encoder.
            decoder_target_tokens: int [batch, target]; hides the positions whose target is padding from the other
                positions, as T5X does. No logit that a loss counts depends on it.
            decoder_causal_attention: int [batch, target], not 0 where a prefix LM reads the inputs (seqio's name and
                meaning): these positions of a segment see each other in both directions. Nothing else reads it.
            deterministic: without dropout.
            rngs: a dropout key, or an `nnx.Rngs` with a "dropout" (or default) stream; needed unless deterministic.

        Returns:
            float32 [batch, target, vocab_size]; of an encoder alone, [batch, source, vocab_size or num_labels] or, of a
            classifier of sequences, [batch, 1, num_labels].
        """
        kind = f"a T5 of architecture {self.config.architecture!r}"
        if (encoder_input_tokens is None) != self.config.decoder_only:
            wanted = "inputs and targets in one sequence, without" if self.config.decoder_only else "batches with"
            raise ValueError(f"{kind} reads {wanted} encoder_input_tokens")
        if (decoder_input_tokens is None) != self.config.encoder_only:
            raise ValueError(f"{kind} reads batches with{'out' * self.config.encoder_only} decoder_input_tokens")
        key = self._dropout_key(deterministic, rngs)
        if encoder_input_tokens is None:
            return self.decode_alone(
                decoder_input_tokens,
                decoder_segment_ids=decoder_segment_ids,
                decoder_target_tokens=decoder_target_tokens,
                decoder_causal_attention=decoder_causal_attention,
                deterministic=key is None,
                rngs=key,
            )
        encoder_key, decoder_key = (key, None) if self.config.encoder_only else split_key(key, 2)
        encoded = self.encode(
            encoder_input_tokens,
            encoder_segment_ids=encoder_segment_ids,
            deterministic=key is None,
            rngs=encoder_key,
        )
        if self.config.head != WORDS:
            return self.head(encoded, encoder_input_tokens != PAD_ID)
        if decoder_input_tokens is None:
            return self.logits(encoded)
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
        """Runs the encoder: int [batch, source] -> [batch, source, d_model] in the config's `activations`."""
        encoder, body = self._encoding(encoder_input_tokens, encoder_segment_ids)
        return self._through(encoder, body, self.embed(encoder_input_tokens), self._dropout_key(deterministic, rngs))

    def encoder_states(self, encoder_input_tokens: jax.Array) -> jax.Array:
        """Returns what stands between the encoder's layers, without dropout: for probes of a trained model.

        Args:
            encoder_input_tokens: int [batch, source]; id 0 is padding, where states mean nothing.

        Returns:
            [layers + 1, batch, source, d_model] in the config's `activations`: the embeddings, the sum of the residuals
            after each layer but the last, and `encode`'s result, which is the last layer's after the final norm.
            Hugging Face's `output_hidden_states` are the same.
        """
        encoder, body = self._encoding(encoder_input_tokens, None)
        x, states = self.embed(encoder_input_tokens), []  # [batch, source, d_model]
        layers: list[EncoderLayer] = encoder.unstacked()
        for layer in layers:
            states.append(x)
            x = body(layer, x, None)
        return jnp.stack([*states, encoder.norm(x)])

    def _encoding(self, tokens: jax.Array, segment_ids: jax.Array | None) -> tuple[Stack, Callable[..., jax.Array]]:
        """The encoder, and what a layer of it does to the states of these tokens, given its dropout's key or None."""
        if self.encoder is None:
            raise ValueError(f"a T5 of architecture {self.config.architecture!r} has no encoder")
        length = tokens.shape[1]
        bias = self.encoder.relative_bias(length, length)  # [1, heads, source, source]
        mask = visible(padding_mask(tokens), None, segment_ids)  # [batch, 1, 1 or source, source]

        def body(layer: EncoderLayer, x: jax.Array, key: jax.Array | None) -> jax.Array:
            return layer(x, bias, mask, key)[0]

        return self.encoder, body

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
        if self.config.encoder_only:
            raise ValueError("a T5 of architecture 'encoder' has no decoder")
        if (encoder_segment_ids is None) != (decoder_segment_ids is None):
            raise ValueError("encoder_segment_ids and decoder_segment_ids come together or not at all")
        length = decoder_input_tokens.shape[1]
        bias = self.decoder.relative_bias(length, length)  # [1, heads, target, target]
        # [1 or batch, 1, target, target]
        mask = visible(causal_mask(length), decoder_target_tokens, decoder_segment_ids)
        cross_mask = padding_mask(encoder_input_tokens)  # [batch, 1, 1 or target, source]
        if encoder_segment_ids is not None and decoder_segment_ids is not None:
            cross_mask = cross_mask & same_segment(decoder_segment_ids, encoder_segment_ids)

        def body(layer: DecoderLayer, x: jax.Array, key: jax.Array | None) -> jax.Array:
            cross = layer.cross_attention.project_keys_values(encoded)  # each [batch, heads, source, d_kv]
            return layer(x, bias=bias, mask=mask, cross=cross, cross_mask=cross_mask, key=key)[0]

        x = self.embed_at(decoder_input_tokens, positions_of(decoder_segment_ids, length))
        return self.logits(self._through(self.decoder, body, x, self._dropout_key(deterministic, rngs)))

    def decode_alone(
        self,
        decoder_input_tokens: jax.Array,
        *,
        decoder_segment_ids: jax.Array | None = None,
        decoder_target_tokens: jax.Array | None = None,
        decoder_causal_attention: jax.Array | None = None,
        deterministic: bool = True,
        rngs: nnx.Rngs | jax.Array | None = None,
    ) -> jax.Array:
        """Runs a decoder-only model over whole sequences; arguments and result are those of a call."""
        length = decoder_input_tokens.shape[1]
        bias = self.decoder.relative_bias(length, length)  # [1, heads, target, target]
        mask = causal_mask(length)  # [1 or batch, 1, target, target]
        if self.config.architecture == PREFIX_LM:
            if decoder_causal_attention is None:
                raise ValueError("a prefix LM needs decoder_causal_attention, which says where its inputs are")
            mask = mask | within_prefix(decoder_causal_attention)
        mask = visible(mask, decoder_target_tokens, decoder_segment_ids)

        def body(layer: EncoderLayer, x: jax.Array, key: jax.Array | None) -> jax.Array:
            return layer(x, bias, mask, key)[0]

        x = self.embed_at(decoder_input_tokens, positions_of(decoder_segment_ids, length))
        return self.logits(self._through(self.decoder, body, x, self._dropout_key(deterministic, rngs)))

    def _through(
        self,
        stack: Stack,
        body: Callable[[Layer, jax.Array, jax.Array | None], jax.Array],
        x: jax.Array,
        key: jax.Array | None,
    ) -> jax.Array:
        """Runs a stack with its final norm over embedded tokens: [batch, length, d_model] -> the same."""
        keys = split_key(key, 3)
        x = dropout(x, self.config.dropout_rate, keys[0])  # [batch, length, d_model]
        x = stack.run(body, x, keys[1])
        return dropout(stack.norm(x), self.config.dropout_rate, keys[2])

    def embed(self, tokens: jax.Array) -> jax.Array:
        """Looks tokens up, unscaled: int [batch, length] -> [batch, length, d_model] in the config's `activations`."""
        return gather_table(self.embedding[...])[tokens].astype(self.config.activations)

    def embed_at(self, tokens: jax.Array, positions: jax.Array) -> jax.Array:
        """Looks up what a decoder reads, and its places where the model has them: as `embed`.

        Args:
            tokens: int [batch, length].
            positions: int [1 or batch, length], counted from the start token.
        """
        x = self.embed(tokens)  # [batch, length, d_model]
        if not self.config.position_period:
            return x
        return x + gather_table(self.places[...], "buckets")[positions % self.config.position_period].astype(x.dtype)

    def logits(self, x: jax.Array) -> jax.Array:
        """Projects the last stack's normed output to the vocabulary: [..., d_model] -> float32
        [..., vocab_size].
        """
        x = x.astype(jnp.float32)
        if self.config.scaled:
            # Scaling the hidden states is scaling the logits, on far fewer numbers.
            x = x * self.config.d_model**-0.5
        return linear(x, self.embedding[...].T if self.config.tied else self.head[...])

    def _dropout_key(self, deterministic: bool, rngs: nnx.Rngs | jax.Array | None) -> jax.Array | None:
        if deterministic or self.config.dropout_rate == 0.0:
            return None
        if rngs is None:
            raise ValueError("T5 with deterministic=False and a dropout rate needs a dropout key: pass rngs=")
        return rngs.dropout() if isinstance(rngs, nnx.Rngs) else rngs


def padding_mask(tokens: jax.Array) -> jax.Array:
    """Returns True at the keys that are no padding: int [batch, keys] -> bool [batch, 1, 1, keys]."""
    return (tokens != PAD_ID)[:, None, None, :]


def visible(mask: jax.Array, tokens: jax.Array | None, segments: jax.Array | None) -> jax.Array:
    """Returns a stack's own mask without keys that are padding and without those of other segments, where given."""
    if tokens is not None:
        mask = mask & padding_mask(tokens)
    if segments is not None:
        mask = mask & same_segment(segments, segments)
    return mask


def causal_mask(length: int) -> jax.Array:
    """Returns True where the key is not after the query, bool [1, 1, length, length]."""
    positions = jnp.arange(length)
    return (positions[None, :] <= positions[:, None])[None, None]


def positions_of(segments: jax.Array | None, length: int) -> jax.Array:
    """Returns the place of each position in its own segment: int [1 or batch, length]."""
    positions = jnp.arange(length)[None]
    if segments is None:
        return positions
    begins = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)), constant_values=True)  # [batch, length]
    return positions - jax.lax.cummax(jnp.where(begins, positions, 0), axis=1)


def within_prefix(causal_attention: jax.Array) -> jax.Array:
    """Returns True where query and key are both in the prefix: [batch, length] -> bool [batch, 1, length, length]."""
    prefix = causal_attention != 0
    return (prefix[:, :, None] & prefix[:, None, :])[:, None]


def same_segment(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Returns True where segments agree: int [batch, queries], [batch, keys] -> bool [batch, 1, queries, keys]."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]
