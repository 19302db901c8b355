"""Tiny stores of music and runs of random weights, for the studies that look into trained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from t5music.data import examples
from t5music.data.objectives.base import Objective
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import default
from t5music.model import parameters
from t5music.model.config import T5Config
from t5music.music import encodings
from t5music.music.score import NOTE, Score
from t5music.terms import Terms
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.loop import FINISHED_FILE
from t5music.training.train_state import TrainState

QUARTER = 480
LABELS = ("high", "low")
LENGTHS = {"inputs": 64, "targets": 64}
CONFIG = T5Config(
    vocab_size=default().rows,
    d_model=8,
    d_kv=4,
    num_heads=2,
    d_ff=8,
    num_encoder_layers=2,
    num_decoder_layers=1,
    dropout_rate=0.0,
)
FEATURES = {"inputs": FeatureSpec(), "targets": FeatureSpec(), "piece": FeatureSpec("text", add_eos=False)}


def line(seed: int, low: int = 60, notes: int = 12) -> Score:
    """A random melody in eighths and quarters within an octave from `low`."""
    rng = np.random.default_rng(seed)
    lengths = rng.choice([QUARTER // 2, QUARTER], notes)
    onsets = np.cumsum(lengths) - lengths
    pitches = low + rng.integers(0, 12, notes)
    return Score(QUARTER, np.array([(*note, 80, 0, 0) for note in zip(onsets, lengths, pitches, strict=True)], NOTE))


def write_labelled(path: Path, pieces: Mapping[str, int], segments: int = 2, **settings: Any) -> TokenStore:
    """A task to classify registers: so many pieces of each split, of so many segments; every third one is high."""
    vocabulary, remi = default(), encodings.get("remi")
    asked = examples.Classify("register", LABELS, "remi")
    with StoreWriter(
        path,
        features=FEATURES,
        vocabulary=vocabulary,
        encoding="remi",
        **({"labels": LABELS, "examples": examples.to_config(asked)} | settings),
    ) as writer:
        for split, count in pieces.items():
            for piece in range(count):
                high = piece % 3 == 0
                for segment in range(segments):
                    score = line(1000 * len(split) + 10 * piece + segment, 72 if high else 48, notes=6 + piece % 5)
                    text = f"classify register: {remi.to_text(remi.encode(score))}"
                    targets = vocabulary.encode(LABELS[not high])
                    example = {"inputs": vocabulary.encode(text), "targets": targets, "piece": f"{split}/{piece}"}
                    writer.write(split, example)
    return TokenStore.open(path, vocabulary)


def write_music(
    path: Path,
    pieces: Sequence[Score],
    objectives: Sequence[Objective] = (),
    held_out: Sequence[Score] = (),
    terms: Sequence[Terms] = (),
) -> TokenStore:
    """Music alone, one example a piece, called "train 0", "train 1", ..., and "validation 0", ..."""
    vocabulary, remi = default(), encodings.get("remi")
    with StoreWriter(
        path,
        features=FEATURES,
        vocabulary=vocabulary,
        encoding="remi",
        objectives=objectives,
        examples=examples.to_config(examples.Pieces("remi")),
        terms=terms,
    ) as writer:
        for split, scores in (("train", pieces), ("validation", held_out)):
            for number, score in enumerate(scores):
                targets = vocabulary.encode_events("remi", remi.encode(score))
                example = {"inputs": [], "targets": targets, "piece": f"{split} {number}"}
                writer.write(split, example, notes=len(score.notes))
    return TokenStore.open(path, vocabulary)


def write_run(folder: Path, seed: int = 0, config: T5Config = CONFIG, params: Any = None) -> None:
    """The folder of a run that finished after a step, with the given weights or random ones."""
    vocabulary = default()
    metadata = {
        "config": config.to_dict(),
        "vocabulary": {"fingerprint": vocabulary.fingerprint, "size": vocabulary.size},
        "tasks": {"music": examples.to_config(examples.Pieces("remi"))},
        "feature_lengths": LENGTHS,
    }
    if params is None:
        rng = np.random.default_rng(seed)
        params = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), parameters.abstract(config)[1])
    checkpoints = Checkpoints(folder)
    state = TrainState(np.asarray(1), nnx.to_pure_dict(params), (), np.zeros(2), np.zeros(1))
    checkpoints.save(state, {"best_step": 1}, metadata, best_step=1)
    checkpoints.close()
    (folder / FINISHED_FILE).write_text("{}")
