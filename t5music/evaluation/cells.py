"""Nats a cell: what four-part pieces in satb cost a model, beside what they cost models that know no music.

The unit in which models of the JSB chorales are compared: -ln p of every cell (a voice at a sixteenth, one of 47
symbols), summed over all cells of a split and divided by their number, each cell after all that its model sees of those
before it. What the end of a piece costs is counted apart. A model's probabilities are those among all words of its
vocabulary, so they are never higher than among the 47.

    uniform        all symbols are alike: ln 47
    unigram        how often each symbol occurs in the training pieces, all voices together
    voice bigram   how often it follows the voice's last one, or the piece's beginning, for each voice by itself
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from t5music.data.vocabulary import EOS_ID
from t5music.evaluation import ensembles
from t5music.evaluation.likelihood import Batch, mesh_of, put
from t5music.model.network import T5
from t5music.music.encodings.satb.encoding import CELLS, PITCHES, WORDS
from t5music.music.encodings.satb.grid import note_count
from t5music.training.losses import logits_of, token_losses

SYMBOLS = len(WORDS)
UNIGRAM_ADDED, BIGRAM_ADDED = 1.0, 0.01  # what is added to each count, so that no probability is 0

Piece = NDArray[np.int32]  # event ids of satb, [cells]


def nats_of_pieces(
    members: Sequence[ensembles.Member], batches: Iterable[Batch]
) -> tuple[dict[int, float], dict[int, float]]:
    """Returns what the cells of each piece cost a model, or the mean logits of several, and what its end costs: nats.

    Args:
        members: read the models.
        batches: of `song_windows.SongWindows`, whose "example_index" says the piece.
    """

    cells: dict[int, float] = {}
    ends: dict[int, float] = {}
    for batch, nats in _nats_of_targets(members, batches):
        targets, scored = batch["decoder_target_tokens"], batch["decoder_loss_weights"] > 0  # [batch, targets]
        for row, piece in enumerate(batch["example_index"].tolist()):
            if piece >= 0:
                is_end = targets[row] == EOS_ID
                cells[piece] = cells.get(piece, 0.0) + float(nats[row][scored[row] & ~is_end].sum())
                ends[piece] = ends.get(piece, 0.0) + float(nats[row][scored[row] & is_end].sum())
    return cells, ends


def scores(
    cells: Mapping[int, float], ends: Mapping[int, float], pieces: Mapping[int, Piece], train: Sequence[Piece]
) -> dict[str, float]:
    """Returns the figures of a split.

    Args:
        cells: nats of the cells of each piece.
        ends: nats of each piece's end.
        pieces: the pieces that were scored.
        train: the training pieces, which the baselines learn from.

    Returns:
        "nats_per_cell" (all cells alike), "nats_per_cell_by_piece" (the mean of the pieces' means), "nats_per_end",
        "bits_per_note" (of cells and ends; a note is held cells in a row), "uniform_nats_per_cell",
        "unigram_nats_per_cell", "voice_bigram_nats_per_cell", and the counts "cells", "notes", "examples".
    """
    counts = {piece: len(events) for piece, events in pieces.items()}
    total, nats = sum(counts.values()), sum(cells.values())
    notes = sum(note_count(PITCHES[events].reshape(-1, CELLS)) for events in pieces.values())
    return {
        "nats_per_cell": nats / total,
        "nats_per_cell_by_piece": sum(cells[piece] / count for piece, count in counts.items()) / len(counts),
        "nats_per_end": sum(ends.values()) / len(counts),
        "bits_per_note": (nats + sum(ends.values())) / math.log(2) / notes,
        "uniform_nats_per_cell": math.log(SYMBOLS),
        "unigram_nats_per_cell": unigram_nats(train, list(pieces.values())) / total,
        "voice_bigram_nats_per_cell": voice_bigram_nats(train, list(pieces.values())) / total,
        "cells": float(total),
        "notes": float(notes),
        "examples": float(len(counts)),
    }


def unigram_nats(train: Sequence[Piece], pieces: Sequence[Piece]) -> float:
    """Returns what pieces cost by how often each symbol occurs in the training pieces, and once more: nats."""
    counts = np.bincount(np.concatenate(train), minlength=SYMBOLS) + UNIGRAM_ADDED
    return float(-np.log(counts / counts.sum())[np.concatenate(pieces)].sum())


def voice_bigram_nats(train: Sequence[Piece], pieces: Sequence[Piece]) -> float:
    """Returns what pieces cost by how often each symbol follows its voice's last one in the training pieces: nats.

    BIGRAM_ADDED is added to each count. What begins a voice follows a symbol of its own.
    """
    counts = np.full((CELLS, SYMBOLS + 1, SYMBOLS), BIGRAM_ADDED)
    for piece in train:
        np.add.at(counts, _bigrams(piece), 1)
    log_probabilities = np.log(counts / counts.sum(axis=-1, keepdims=True))
    return float(-sum(log_probabilities[_bigrams(piece)].sum() for piece in pieces))


def _bigrams(piece: Piece) -> tuple[NDArray, NDArray, NDArray]:
    """Of each cell its voice, the voice's symbol before it (SYMBOLS at the beginning) and its own, [cells] each."""
    before = np.append(np.full(CELLS, SYMBOLS), piece[:-CELLS])
    return np.arange(len(piece)) % CELLS, before, piece


def _nats_of_targets(
    members: Sequence[ensembles.Member], batches: Iterable[Batch]
) -> Iterator[tuple[Batch, NDArray[np.float64]]]:
    """Yields every batch with -ln p of each of its targets, [batch, targets]."""
    if len(members) > 1:
        for batch, logits in ensembles.averaged(members, batches, _forward):  # [batch, targets, rows]
            yield batch, np.asarray(_nats(logits, batch["decoder_target_tokens"]), np.float64)
        return
    model = members[0]()
    graphdef, params = nnx.split(model)
    with mesh_of(model) as mesh:
        for batch in batches:
            yield batch, np.asarray(_nats_of_model(graphdef, params, put(batch, mesh)), np.float64)


def _forward(model: T5, batch: Mapping[str, Any]) -> jax.Array:
    return _logits(*nnx.split(model), batch)


@jax.jit
def _logits(graphdef: nnx.GraphDef, params: nnx.State, batch: Mapping[str, jax.Array]) -> jax.Array:
    return logits_of(nnx.merge(graphdef, params), batch)


@jax.jit
def _nats(logits: jax.Array, targets: jax.Array) -> jax.Array:
    return token_losses(logits, targets, z_loss=0.0).loss


@jax.jit
def _nats_of_model(graphdef: nnx.GraphDef, params: nnx.State, batch: Mapping[str, jax.Array]) -> jax.Array:
    """In one program, so that no logits leave it."""
    return _nats(logits_of(nnx.merge(graphdef, params), batch), batch["decoder_target_tokens"])
