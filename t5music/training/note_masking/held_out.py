"""Held-out notes: how well words of each family are recovered in music that the recoverer does not train on.

By these accuracies the published code weighs the families: after each epoch it masks 15 % of the notes of its
validation rows by chance. Here the same notes of a row are masked every time, so that evaluations can be compared.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.model.network import T5
from t5music.training.note_masking import note_masks
from t5music.training.note_masking.note_masks import Words
from t5music.training.note_masking.recovery import recover

ROWS = 32  # at a time


class HeldOut:
    """Rows of held-out music in which notes are masked by chance."""

    def __init__(
        self, rows: NDArray[np.int32], words: Words, families: int, share: float, lengths: tuple[int, int]
    ) -> None:
        """Masks nothing yet.

        Args:
            rows: of music, int32 [rows, inputs], each with EOS.
            words: what the vocabulary's ids are to a note.
            families: number of families.
            share: of the notes of a row, to be masked; at least one is.
            lengths: row lengths of inputs and targets.
        """
        self.rows, self._words, self._families, self._share, self._lengths = rows, words, families, share, lengths
        self._counts = jax.jit(self._recoveries)

    def accuracies(self, model: T5) -> NDArray[np.float32]:
        """Returns the share of the masked words of each family that a model recovers, without dropout.

        Returns:
            float32 [families]; 1 for a family without a masked word.
        """
        graphdef, params = nnx.split(model)
        correct, total = np.zeros((2, self._families))
        for start in range(0, len(self.rows), ROWS):
            rows = self.rows[start : start + ROWS]
            rows = np.pad(rows, ((0, ROWS - len(rows)), (0, 0)))  # rows without notes count nothing
            counts = self._counts(graphdef, params, rows, np.int32(start))
            correct, total = correct + np.asarray(counts[0]), total + np.asarray(counts[1])
        return np.where(total > 0, correct / np.maximum(total, 1), 1.0).astype(np.float32)

    def _recoveries(
        self, graphdef: nnx.GraphDef, params: nnx.State, tokens: jax.Array, start: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Words recovered and words masked of a batch that begins at a row, float32 [families] each."""
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), start), 3)
        notes = note_masks.heads(tokens, self._words)  # [batch, inputs]
        is_head = jnp.asarray(self._words.head)[tokens] & (notes >= 0)  # [batch, inputs]
        count = jnp.floor(self._share * jnp.sum(is_head, axis=1)).astype(jnp.int32)  # [batch]
        count = jnp.clip(count, 1, self._words.sentinels - 1)
        masked = note_masks.highest(jax.random.uniform(keys[0], tokens.shape), is_head, count)  # [batch, inputs]
        recovery = recover(
            nnx.merge(graphdef, params),
            tokens,
            notes,
            masked,
            self._words,
            jnp.ones(self._families),
            self._lengths,
            keys[1:],
            z_loss=0.0,
            deterministic=True,
        )
        return recovery.correct, recovery.total
