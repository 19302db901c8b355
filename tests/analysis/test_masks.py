"""A run that masks notes, from gin's parameters to what its masker chooses, and how that choice is measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import flat_settings
import numpy as np
import pytest
import tiny_models
from scipy import stats

from t5music import files
from t5music.analysis import masks
from t5music.data.examples import Pieces, to_config
from t5music.data.mixing_rates import Constant, Proportional
from t5music.data.objectives import IidDenoising, SpanCorruption, Transpose
from t5music.data.objectives.language_model import SelectRandomChunk
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, write_mixture
from t5music.data.vocabulary import default
from t5music.errors import CheckpointError, ConfigError
from t5music.files import STORES
from t5music.model.config import T5Config
from t5music.training import optimizers, schedules
from t5music.training.metric_writers import read_metrics
from t5music.training.note_masking.masker import Masking

CONFIG = partial(
    T5Config, d_model=16, d_kv=8, num_heads=2, d_ff=16, num_encoder_layers=1, num_decoder_layers=1, dropout_rate=0.0
)
ALONE = partial(CONFIG, architecture="encoder", num_decoder_layers=0)


@pytest.fixture(scope="module", autouse=True)
def music(tmp_path_factory: pytest.TempPathFactory):
    """Two tasks of music alone: most notes are of one pitch and one duration."""
    vocabulary, rng = default(), np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T5MUSIC_DATA", str(tmp_path_factory.mktemp("data")))
        folder = files.data_dir() / STORES
        for name in ("tunes", "songs"):
            features = {feature: FeatureSpec("tokens", True) for feature in ("inputs", "targets")}
            steps = [SelectRandomChunk(), SpanCorruption()]
            path = folder / name
            with StoreWriter(
                path,
                features=features,
                vocabulary=vocabulary,
                encoding="remi",
                objectives=steps,
                examples=to_config(Pieces("remi")),
            ) as out:
                for number in range(20):
                    words = "Bar TimeSig_4/4"
                    for position in range(0, 48, 2):
                        pitch = 60 if rng.random() < 0.6 else rng.integers(50, 70)
                        words += f" Pos_{position} Pitch_{pitch} Duration_{12 if rng.random() < 0.7 else 6}"
                    split = "validation" if number >= 16 else "train"
                    out.write(split, {"inputs": vocabulary.encode(""), "targets": vocabulary.encode(words)})
        write_mixture(folder, "both", {name: Proportional() for name in ("tunes", "songs")})
        write_mixture(folder, "equal", {name: Constant(1.0) for name in ("tunes", "songs")})
        yield


def train(folder: Path, masking: Masking, name: str = "both", model=CONFIG, steps: int = 3, targets=24, **more):
    return flat_settings.train(
        mixture_or_task_name=name,
        model_dir=str(folder),
        task_feature_lengths={"inputs": 40, "targets": targets},
        train_steps=steps,
        batch_size=4,
        optimizer=optimizers.adafactor(schedules.constant(0.05)),
        model=model,
        masking=masking,
        augmentations=[Transpose()],
        log_period=1,
        **more,
    )


@pytest.mark.slow
def test_a_run_masks_notes_and_says_which(tmp_path: Path):
    train(tmp_path / "run", Masking(epochs=1, share=(0.4, 0.5), most=0.4))
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert all(np.isfinite(line["loss"]) and line["masker/loss"] > 0 for line in lines)
    assert lines[-1]["examples/tunes"] + lines[-1]["examples/songs"] == 12
    assert lines[-1]["validation/loss"] > 0  # of the tasks' own objective
    results = masks.masks(str(tmp_path / "run"), "both", str(tmp_path / "out"), limit=12, batch_size=5)
    for name in ("pitch", "duration"):
        assert -1 <= results[name]["agreement"] <= 1
        assert results[name]["notes"] == 12 * 12
        assert 0.3 * 144 < results[name]["masked"] <= 0.4 * 144
        assert results[name]["divergence"] >= 0
    document = json.loads((tmp_path / "out" / "masks.json").read_text())
    assert document["results"] == results
    assert sum(document["counts"]["pitch"]["every"]) == 144
    assert (tmp_path / "out" / "masks.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"goes without Update.trainable"):
        train(tmp_path / "other", Masking(), microbatches=2)
    with pytest.raises(ConfigError, match=r"songs has the rate Constant\(.*leave TrainingData.rate out"):
        train(tmp_path / "other", Masking(), "equal")


@pytest.mark.slow
def test_an_encoder_alone_recovers_notes_in_place(tmp_path: Path):
    by_chance = Masking(chooser="random", freezing="none")
    # Validation asks by the tasks' objective, and an encoder alone has to say a word at each place.
    settings = {"pack": False, "objective": IidDenoising(style="bert"), "model": ALONE, "targets": 40}
    with pytest.raises(ConfigError, match=r"a word at each place, .* models/encoder.gin says so"):
        train(tmp_path / "spans", by_chance, **settings | {"objective": None})
    result = train(tmp_path / "random", by_chance, steps=6, **settings)
    assert np.isfinite(result.metrics["validation/loss"])
    results = masks.masks(str(tmp_path / "random"), "both")
    assert 0.05 < results["pitch"]["masked"] / results["pitch"]["notes"] <= 0.15


def test_agreement_is_spearmans_over_values_that_are_often_enough():
    every = np.array([100, 50, 20, 9, 30])
    masked = np.array([5, 10, 8, 9, 3])
    frequent = every >= 10
    results = masks.agreement(every, masked)
    expected = stats.spearmanr(every[frequent], masked[frequent] / every[frequent]).statistic
    assert results["agreement"] == pytest.approx(expected)
    p, q = masked / masked.sum(), every / every.sum()
    assert results["divergence"] == pytest.approx(stats.entropy(p, q, base=2))
    assert masks.agreement(every, every)["agreement"] == 0  # all alike


def test_a_run_without_a_masker_is_refused(tmp_path: Path):
    tiny_models.write_run(tmp_path / "plain", {"tunes": Pieces("remi")})
    with pytest.raises(CheckpointError, match=r"was not trained with Update.masking"):
        masks.masks(str(tmp_path / "plain"), "both")
