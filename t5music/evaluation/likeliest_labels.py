"""Likeliest labels: of every note, or of every example, in one pass of a model or of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.evaluation import ensembles
from t5music.evaluation.likelihood import Batch
from t5music.model.config import EOS_ID
from t5music.model.network import T5
from t5music.training.losses import logits_of


def likeliest(
    members: Sequence[ensembles.Member], batches: Iterable[Batch], words: NDArray[np.int32] | None = None
) -> list[NDArray[np.int64]]:
    """Returns the likeliest answers to each example, int [answers], in order.

    A model that writes its answers is told, at each of them, the true ones before it: so melodies that go on are easier
    to follow than when it has to answer by itself. A classifier knows none.

    Args:
        members: read the models, whose logits are averaged.
        batches: as of `likelihood.evaluate`; rows without any weight are padding and are left out.
        words: the ids of the answer words, each target being one of them or EOS; answers are indices into them. None
            for a classifier, whose answers are its classes, one wherever a weight is.
    """

    def logits(model: T5, batch: Mapping[str, Any]) -> jax.Array:
        graphdef, params = nnx.split(model)
        return _logits(graphdef, params, batch, words)

    answers: list[NDArray[np.int64]] = []
    for batch, mean in ensembles.averaged(members, batches, logits):  # [batch, targets, words or classes]
        is_answer = batch["decoder_loss_weights"] > 0  # [batch, targets]
        if words is not None:
            is_answer = is_answer & (batch["decoder_target_tokens"] != EOS_ID)
        chosen = mean.argmax(axis=-1)  # [batch, targets]
        rows = np.flatnonzero(batch["decoder_loss_weights"].any(axis=1))
        answers += [chosen[row][is_answer[row]] for row in rows]
    return answers


@jax.jit
def _logits(
    graphdef: nnx.GraphDef, params: nnx.State, batch: Mapping[str, jax.Array], words: jax.Array | None
) -> jax.Array:
    logits = logits_of(nnx.merge(graphdef, params), batch)
    return logits if words is None else logits[..., words]
