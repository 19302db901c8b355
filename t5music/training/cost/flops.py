"""FLOPs: the floating point operations of the matrix products in a training step, counted on the model's shapes.

A product of [m, k] and [k, n] is 2 m k n operations; the backward pass has two such products for each of the forward
pass. Attention counts as if every query saw every key, as is usual (Chowdhery et al. 2022, "PaLM", appendix B). Norms,
softmax, dropout and the repetitions of rematerialisation do not count, so that utilisation (these operations divided by
time and peak) compares runs that save memory in different ways.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from flax import nnx

from t5music.model import parameters
from t5music.model.config import SEQUENCE, WORDS, T5Config
from t5music.model.heads import ASPECTS
from t5music.training import freezing
from t5music.training.freezing import Path

BACKWARD = 2  # products in the backward pass for each one in the forward pass


def _forward(config: T5Config, inputs: int, targets: int) -> tuple[dict[Path, float], float]:
    """The operations of a row's forward pass: (those of each kernel's product in all layers, those of attention)."""
    if config.decoder_only:
        inputs, targets = 0, inputs + targets
    elif config.encoder_only:
        targets = inputs
    _, params = parameters.abstract(dataclasses.replace(config, scan_layers=True))
    attention = 0.0
    products: dict[Path, float] = {}
    if config.head == WORDS:  # the logits, from a head or from the embedding
        products["embedding" if config.tied else "head",] = 2.0 * targets * config.d_model * config.vocab_size
    for path, param in nnx.to_flat_state(params):
        axes = param.get_metadata()["axes"]
        if {"vocab", "buckets"} & set(axes) or len([axis for axis in axes if axis != "layers"]) < 2:
            continue  # an embedding, which is looked up; the logits, counted above; or not a matrix
        products[path] = 0.0
        for queries, keys in _uses(config, path, inputs, targets):
            tokens = keys if path[-1] in ("key", "value") else queries
            products[path] += 2.0 * tokens * math.prod(param.shape)
            if path[-1] == "query":  # [layers, d_model, heads * d_kv]: products with the keys, and with the values
                attention += 2 * 2.0 * param.shape[0] * param.shape[-1] * queries * keys
        if "pooling" in path and "aspects" in path:  # the weighted means in a classifier of sequences
            attention += 2.0 * ASPECTS * inputs * config.d_model
    return products, attention


def _uses(config: T5Config, path: Path, inputs: int, targets: int) -> list[tuple[int, int]]:
    """The uses of a matrix, as (positions, positions attended to); two where encoder and decoder share a layer."""
    if path[0] == "head" and config.head == SEQUENCE and "pooling" not in path:
        return [(1, 1)]
    if path[0] in ("encoder", "head"):
        return [(inputs, inputs)]
    if "cross_attention" in path:
        return [(targets, inputs)]
    return [(targets, targets)] + ([(inputs, inputs)] if config.shared_layers else [])


def train_flops(
    config: T5Config, *, rows: int, inputs: int, targets: int, trainable: Sequence[str] | None = None
) -> float:
    """Returns the operations of one training step, forward and backward, over all devices.

    Args:
        config: the model.
        rows: rows of the batch, over all processes.
        inputs: positions of a row of inputs, padding included.
        targets: positions of a row of targets; a decoder-only model reads both as one sequence, an encoder alone none.
        trainable: see `freezing.choose`. A kernel that does not train has no gradient; the gradient passed down through
            it counts, even below the lowest kernel that trains.
    """
    products, attention = _forward(config, inputs, targets)
    scanned = dataclasses.replace(config, scan_layers=True)
    frozen = freezing.choose(parameters.abstract(scanned)[1], trainable).frozen
    frozen_flops = sum(flops for path, flops in products.items() if path in frozen)
    return rows * ((1 + BACKWARD) * (sum(products.values()) + attention) - frozen_flops)
