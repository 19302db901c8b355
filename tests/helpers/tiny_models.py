"""Music of one's own and models of random weights to ask about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from t5music.data.examples import Accompany, Classify, Continue, Examples, Improvise, Infill, LabelNotes, to_config
from t5music.data.vocabulary import default
from t5music.inference.trained_model import TrainedModel
from t5music.model import parameters
from t5music.model.config import T5Config
from t5music.music.score import DRUMS, METER, NOTE, Score
from t5music.terms import TrainingRun
from t5music.training.checkpoints.save import Checkpoints
from t5music.training.loop import FINISHED_FILE
from t5music.training.train_state import TrainState

LENGTHS = {"inputs": 96, "targets": 64}
CONFIG = T5Config(
    vocab_size=default().rows,
    d_model=16,
    d_kv=4,
    num_heads=2,
    d_ff=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.0,
)

# A task of each kind that a person can ask for.
ABILITIES = {
    "continue": Continue("pop", "remi", words=60),
    "infill": Infill("pop", "remi", words=80),
    "accompany": Accompany("pop", "remi", ("melody",), bars=4),
    "improvise": Improvise("pop", "remi"),
    "mood": Classify("mood", ("calm", "wild"), "remi"),
    "roles": LabelNotes("melody", words=64),
}


def band(seed: int = 0, bars: int = 8) -> Score:
    """Melody over chords, with drums, in 4/4; pitches and velocities are drawn."""
    rng = np.random.default_rng(seed)
    notes = []
    for beat in range(4 * bars):
        start = 480 * beat
        notes.append((start, 240, int(rng.integers(70, 84)), int(rng.integers(60, 120)), 40, 0))
        notes.append((start, 100, 38, 90, DRUMS, 2))
        if beat % 4 == 0:
            root = int(rng.integers(40, 50))
            notes += [(start, 1800, root + step, int(rng.integers(30, 90)), 0, 1) for step in (0, 4, 7)]
    names = ("violin", "piano", "drums")
    return Score(480, np.array(notes, NOTE), meters=np.array([(0, 4, 4)], METER), track_names=names)


def drawn(config: T5Config = CONFIG, seed: int = 0) -> nnx.State:
    """Random weights, large enough that answers differ."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), parameters.abstract(config)[1])


def trained(tasks: Mapping[str, Examples], seed: int = 0) -> TrainedModel:
    """A model as `inference.load` gives it."""
    model = nnx.merge(parameters.abstract(CONFIG)[0], drawn(seed=seed))
    return TrainedModel(model, default(), dict(tasks), dict(LENGTHS))


def write_run(
    folder: Path,
    tasks: Mapping[str, Examples],
    seed: int = 0,
    config: T5Config = CONFIG,
    trained_on: Sequence[TrainingRun] = (),
) -> Path:
    """The folder of a run that finished after a step."""
    vocabulary = default()
    metadata = {
        "config": config.to_dict(),
        "vocabulary": {"fingerprint": vocabulary.fingerprint, "size": vocabulary.size},
        "tasks": {name: to_config(asked) for name, asked in tasks.items()},
        "feature_lengths": LENGTHS,
        "trained_on": [dataclasses.asdict(run) for run in trained_on],
    }
    checkpoints = Checkpoints(folder)
    state = TrainState(np.asarray(1), nnx.to_pure_dict(drawn(config, seed)), (), np.zeros(2), np.zeros(1))
    checkpoints.save(state, {"best_step": 1}, metadata, best_step=1)
    checkpoints.close()
    (folder / FINISHED_FILE).write_text("{}")
    return folder
