"""Ensembles: several models evaluated as one, whose logits are averaged before the softmax.

So Raffel et al. 2020 (section 3.6, "Scaling") evaluate their "4x ensembled" models: pre-trained and fine-tuned
separately, or fine-tuned several times from one pre-trained model.

One model is in memory at a time. The logits of all examples would take much more than a model, so the examples are gone
through in parts: each model in turn adds its logits of a part, and is then read again for the next one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.evaluation.likelihood import Batch, mesh_of, prompts, put, scores
from t5music.model.config import PAD_ID
from t5music.model.network import T5
from t5music.training.losses import LossSums, cross_entropy, logits_of

Member = Callable[[], T5]  # reads a model
Logits = Callable[[T5, Mapping[str, Any]], jax.Array]

PART_BYTES = 1 << 30  # of logits that wait for the next model


def evaluate(members: Sequence[Member], batches: Iterable[Batch], is_note: NDArray) -> dict[str, float]:
    """Returns what `likelihood.evaluate` does, of the models' mean logits.

    Args:
        members: read the models, all of one vocabulary and architecture.
        batches: as of `likelihood.evaluate`.
        is_note: likewise.
    """
    totals = np.zeros(5)
    for batch, logits in averaged(members, batches, _teacher_forced):
        sums: LossSums = _cross_entropy(logits, batch["decoder_target_tokens"], batch["decoder_loss_weights"])
        weights = batch["decoder_loss_weights"]
        notes = (weights * np.asarray(is_note, bool)[batch["decoder_target_tokens"]]).sum()
        totals += np.array([sums.loss, sums.weight, sums.correct, notes, weights.any(axis=1).sum()], np.float64)
    return scores(*totals.tolist())


def rank_labels(members: Sequence[Member], batches: Iterable[Batch], label_ids: Sequence[Any]) -> NDArray:
    """Returns what `likelihood.rank_labels` does, of the models' mean logits of every label's tokens."""
    longest = max(len(ids) for ids in label_ids)
    labels = np.stack([np.pad(np.asarray(ids, np.int32), (0, longest - len(ids))) for ids in label_ids])

    def logits(model: T5, batch: Mapping[str, Any]) -> jax.Array:
        graphdef, params = nnx.split(model)
        tokens = np.asarray(prompts(batch))  # [batch, source]
        if "encoder_input_tokens" in batch:
            return _answers(graphdef, params, tokens, labels)
        return _continuations(graphdef, params, tokens, labels)

    answers = []
    for batch, mean in averaged(members, batches, logits):  # [labels, batch, length, rows]
        likelihoods = np.asarray(_likelihoods(mean, labels))  # [labels, batch]
        answers.append(likelihoods.argmax(axis=0)[batch["decoder_loss_weights"].any(axis=1)])
    return np.concatenate(answers) if answers else np.zeros(0, np.int64)


def averaged(
    members: Sequence[Member], batches: Iterable[Batch], logits: Logits
) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Yields every batch with the mean of the models' logits of it."""
    rest = iter(batches)
    for following in rest:
        part: list[Batch] = []
        sums: list[NDArray] = []
        # The first model decides how many batches make a part, for only with it the size of the logits is known.
        for batch, first in _each(members[0](), itertools.chain([following], rest), logits):
            part.append(batch)
            sums.append(first)
        for load in members[1:]:
            for total, (_, summand) in zip(sums, _each(load(), part, logits), strict=True):
                total += summand
        yield from zip(part, (total / np.float32(len(members)) for total in sums), strict=True)


def _each(model: T5, batches: Iterable[Batch], logits: Logits) -> list[tuple[Batch, NDArray[np.float32]]]:
    """Returns batches with one model's logits of them, of all batches or of as many as make a part."""
    part: list[tuple[Batch, NDArray[np.float32]]] = []
    size = 0
    with mesh_of(model) as mesh:
        for batch in batches:
            part.append((batch, np.array(logits(model, put(batch, mesh)), np.float32)))
            size += part[-1][1].nbytes
            if size >= PART_BYTES:
                break
    return part


def _teacher_forced(model: T5, batch: Mapping[str, Any]) -> jax.Array:
    graphdef, params = nnx.split(model)
    return _forward(graphdef, params, batch)


@jax.jit
def _forward(graphdef: nnx.GraphDef, params: nnx.State, batch: Mapping[str, jax.Array]) -> jax.Array:
    """The logits of a batch, [batch, targets, rows]."""
    return logits_of(nnx.merge(graphdef, params), batch)


@jax.jit
def _answers(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, labels: jax.Array) -> jax.Array:
    """The logits of every label as an answer to every row, [labels, batch, length, rows]."""
    model: T5 = nnx.merge(graphdef, params)
    encoded = model.encode(tokens)

    def answer(label: jax.Array) -> jax.Array:
        inputs = jnp.broadcast_to(_shifted(label), (len(tokens), len(label)))
        return model.decode(encoded, tokens, inputs)

    return jax.lax.map(answer, labels)


@jax.jit
def _continuations(graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, labels: jax.Array) -> jax.Array:
    """The logits of every label as what follows every row in one sequence, [labels, batch, length, rows]."""
    model: T5 = nnx.merge(graphdef, params)
    longest = labels.shape[1]
    tokens = jnp.pad(tokens, ((0, 0), (0, longest)))
    positions = jnp.arange(tokens.shape[1])[None]
    ends = jnp.sum(tokens != PAD_ID, axis=1, keepdims=True)  # [batch, 1], where the label begins
    at = ends + jnp.arange(longest)[None]  # [batch, length]
    read = (positions <= ends).astype(jnp.int32)  # as packing.assemble has it

    def answer(label: jax.Array) -> jax.Array:
        inserted = jnp.take(jnp.pad(label, (0, tokens.shape[1])), jnp.maximum(positions - ends, 0))
        whole = jnp.where(positions < ends, tokens, inserted)
        logits = model(None, _shifted(whole), decoder_causal_attention=read)
        return jnp.take_along_axis(logits, at[..., None], axis=1)

    return jax.lax.map(answer, labels)


def _shifted(tokens: jax.Array) -> jax.Array:
    """Tokens as a decoder reads them, [..., length]."""
    return jnp.concatenate([jnp.full_like(tokens[..., :1], PAD_ID), tokens[..., :-1]], axis=-1)


@jax.jit
def _likelihoods(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The log-likelihood of every label, [labels, batch], from logits [labels, batch, length, rows]."""
    log_probabilities = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_probabilities, labels[:, None, :, None], axis=-1)[..., 0]
    return jnp.sum(jnp.where(labels[:, None] != PAD_ID, chosen, 0.0), axis=-1)


_cross_entropy = jax.jit(lambda logits, targets, weights: cross_entropy(logits, targets, weights, z_loss=0.0))
