"""Studies of models with a layer on random music: the gin file of a training, and the store of its task."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from t5music.data import vocabulary
from t5music.data.objectives.language_model import LanguageModel
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter

TINY = """
include "runs/train.gin"
include "models/t5_1_1/tiny.gin"
T5Config.num_encoder_layers = 1
T5Config.num_decoder_layers = 1
MIXTURE_OR_TASK_NAME = "song"
INITIAL_CHECKPOINT_PATH = None
TASK_FEATURE_LENGTHS = {"inputs": 8, "targets": 32}
TRAIN_STEPS = 3
BATCH_SIZE = 2
InitialModel.initial_checkpoint_path = %INITIAL_CHECKPOINT_PATH
Records.log_period = 1
"""


def write_store(path: Path) -> None:
    """Writes the store of the task `song`: random words, eight pieces to train on, two to validate, two to test."""
    vocab = vocabulary.default()
    rng = np.random.default_rng(0)
    features = {feature: FeatureSpec("tokens", True) for feature in ("inputs", "targets")}
    examples = {"kind": "pieces", "encoding": "tx1", "words": 20}
    form = {"features": features, "vocabulary": vocab, "encoding": "tx1", "examples": examples}
    with StoreWriter(path, **form, objectives=[LanguageModel()]) as out:
        for split, count in (("train", 8), ("validation", 2), ("test", 2)):
            for _ in range(count):
                tokens = rng.integers(vocabulary.FIRST_EVENT, vocab.size - vocab.sentinels, 20)
                out.write(split, {"inputs": tokens[:0], "targets": tokens})
