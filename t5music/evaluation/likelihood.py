"""Likelihood: teacher-forced evaluation of true targets, and answers by the likeliest label of a set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from numpy.typing import NDArray

from t5music.evaluation import metrics
from t5music.model import decoding, sharding
from t5music.model.config import NOTES, WORDS, T5Config
from t5music.model.network import T5
from t5music.training.losses import teacher_forced
from t5music.training.train_step import MODEL_FEATURES, require_divisible

Batch = Mapping[str, NDArray]


def evaluate(model: T5, batches: Iterable[Batch], is_note: NDArray) -> dict[str, float]:
    """Returns exact means over all target tokens of all examples, however they are batched and padded.

    Args:
        model: on any mesh; with several processes, each passes the same batches.
        batches: of `loader.eval_batches` for the model's architecture; positions of weight 0 count nothing.
        is_note: bool [vocabulary size or rows], True for the tokens that begin a note.

    Returns:
        "loss" (nats per target token, without z-loss), "perplexity", "bits_per_note", "accuracy" (of tokens, each
        predicted from the true ones before it), and the counts "tokens", "notes", "examples". The tokens of a
        classifier are its classes: one for every note, or one for an example, which is no note.
    """
    graphdef, params = nnx.split(model)
    is_note = _notes_among_targets(model.config, is_note)
    totals = np.zeros(5)
    waiting: list[jax.Array] = []
    with mesh_of(model) as mesh:
        for batch in batches:
            waiting.append(_sums(graphdef, params, put(batch, mesh), is_note))
            if len(waiting) > 1:  # one batch is computed while the next is made
                totals += np.asarray(waiting.pop(0), np.float64)
    for sums in waiting:
        totals += np.asarray(sums, np.float64)
    return scores(*totals.tolist())


def _notes_among_targets(config: T5Config, is_note: NDArray) -> NDArray[np.bool_]:
    """Which targets stand for a note: words that begin one, or every class of a classifier of notes."""
    if config.head == WORDS:
        return np.pad(np.asarray(is_note, bool), (0, config.vocab_size - len(is_note)))
    return np.full(config.num_labels, config.head == NOTES)


def scores(nats: float, tokens: float, correct: float, notes: float, examples: float) -> dict[str, float]:
    """Returns what `evaluate` does, from sums over all target tokens."""
    loss = nats / tokens if tokens else float("nan")
    return {
        "loss": loss,
        "perplexity": metrics.perplexity(loss),
        "bits_per_note": metrics.bits_per_note(nats, notes),
        "accuracy": correct / tokens if tokens else float("nan"),
        "tokens": tokens,
        "notes": notes,
        "examples": examples,
    }


@jax.jit
def _sums(graphdef: nnx.GraphDef, params: nnx.State, batch: Mapping[str, jax.Array], is_note: jax.Array) -> jax.Array:
    """Sums over a batch: float32 [nats, tokens, correct, notes, examples]."""
    sums = teacher_forced(nnx.merge(graphdef, params), batch, z_loss=0.0)
    weights = batch["decoder_loss_weights"]  # [batch, target]
    notes = jnp.sum(weights * is_note[batch["decoder_target_tokens"]])
    examples = jnp.sum(jnp.any(weights > 0, axis=-1))
    return jnp.stack([sums.loss, sums.weight, sums.correct, notes, examples.astype(jnp.float32)])


def rank_labels(model: T5, batches: Iterable[Batch], label_ids: Sequence[Any]) -> NDArray:
    """Answers every example with the label whose tokens are likeliest: int [examples], indices into `label_ids`.

    No answer outside of the set is possible. Rows without any target weight are padding and are left out.

    Args:
        model: as of `evaluate`.
        batches: as of `evaluate`, in order.
        label_ids: each label's target tokens, with the EOS that its targets end with.
    """
    longest = max(len(ids) for ids in label_ids)
    candidates = np.stack([np.pad(np.asarray(ids, np.int32), (0, longest - len(ids))) for ids in label_ids])
    answers = []
    with mesh_of(model) as mesh:
        for batch in batches:
            tokens = prompts(put(batch, mesh))
            likelihoods = np.asarray(decoding.score(model, tokens, candidates))  # [batch, labels]
            answers.append(likelihoods.argmax(axis=1)[batch["decoder_loss_weights"].any(axis=1)])
    return np.concatenate(answers) if answers else np.zeros(0, np.int64)


def prompts(batch: Mapping[str, Any]) -> Any:
    """Returns the prompt of every example, int [batch, length], of batches that are not packed; id 0 is padding."""
    if "encoder_input_tokens" in batch:
        return batch["encoder_input_tokens"]
    return batch["decoder_target_tokens"] * (batch["decoder_loss_weights"] == 0)  # inputs, then targets


def put(batch: Batch, mesh: Mesh | None) -> dict[str, Any]:
    """Places a batch that every process has whole on the mesh; ConfigError where the devices cannot share its rows."""
    arrays = {name: batch[name] for name in MODEL_FEATURES if name in batch}
    if mesh is None:
        return arrays
    require_divisible(len(arrays["decoder_target_tokens"]), mesh)
    return jax.device_put(arrays, sharding.batch_sharding(mesh))


@contextlib.contextmanager
def mesh_of(model: T5) -> Iterator[Mesh | None]:
    """Makes the mesh that the parameters lie on the current one, and yields it; None off any mesh of ours."""
    place = model.embedding[...].sharding
    if isinstance(place, NamedSharding) and isinstance(place.mesh, Mesh):
        with jax.set_mesh(place.mesh):
            yield place.mesh
    else:
        yield None
