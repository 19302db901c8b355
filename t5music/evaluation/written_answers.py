"""Written answers: what a model decodes for every example of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from t5music.evaluation.likelihood import Batch, mesh_of, prompts, put
from t5music.model import decoding
from t5music.model.config import EOS_ID
from t5music.model.network import T5


def generate_targets(
    model: T5,
    batches: Iterable[Batch],
    *,
    max_length: int,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    allowed: Any = None,
    grammar: Callable[[NDArray], tuple[decoding.Grammar, Any]] | None = None,
) -> list[NDArray]:
    """Returns the tokens the model writes for each example, int32 [<= max_length] without EOS, in order.

    Rows without any target weight are padding and are left out.

    Args:
        model: as of `likelihood.evaluate`.
        batches: as of `likelihood.evaluate`.
        max_length: tokens to write at most, EOS included.
        temperature: see `decoding.generate`, as for top_k, top_p and allowed.
        top_k: likewise.
        top_p: likewise.
        seed: with a temperature, decides every batch's tokens, with the batch's number.
        allowed: likewise.
        grammar: makes, of a batch's prompts (int [batch, source]), what `decoding.generate` takes under that name.
    """
    key = jax.random.key(seed)
    answers: list[NDArray] = []
    with mesh_of(model) as mesh:
        for number, batch in enumerate(batches):
            written = decoding.generate(
                model,
                prompts(put(batch, mesh)),
                max_length=max_length,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                key=jax.random.fold_in(key, number),
                allowed=allowed,
                grammar=None if grammar is None else grammar(np.asarray(prompts(batch))),
            )
            rows = np.asarray(written)[batch["decoder_loss_weights"].any(axis=1)]
            answers += [row[: _length(row)] for row in rows]
    return answers


def _length(row: NDArray) -> int:
    """Returns the number of tokens before EOS."""
    ends = np.flatnonzero(row == EOS_ID)
    return int(ends[0]) if ends.size else len(row)
