"""Memorisation: losses are the evaluation's, the AUC is what it says, and what was learnt by heart is found out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import gin
import jax
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_music import CONFIG, LENGTHS, line, write_labelled, write_music, write_run

from t5music.analysis import memorisation
from t5music.configuration import gin_files, registry
from t5music.data.loading import loader
from t5music.data.objectives import SpanCorruption
from t5music.data.objectives.language_model import LanguageModel, SelectRandomChunk
from t5music.data.store.planting import Planting, plant
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import default
from t5music.errors import ConfigError
from t5music.evaluation import likelihood
from t5music.inference import trained_model
from t5music.studies import runner
from t5music.training.losses import teacher_forced
from t5music.training.train_step import MODEL_FEATURES

PLANTING = Planting(repeats=(1, 8), sequences=3, words=24)
GIN = ["Planting.repeats = (1, 8)", "Planting.sequences = 3", "Planting.words = 24"]
WIDE = dataclasses.replace(CONFIG, d_model=32, d_ff=32, num_encoder_layers=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of random weights, and a task of music alone."""
    root = tmp_path_factory.mktemp("memorisation")
    tunes = [line(number, notes=14) for number in range(24)]
    steps = [SelectRandomChunk(), LanguageModel()]
    write_music(root / "stores" / "tunes", tunes, steps, held_out=[line(100 + n, notes=14) for n in range(4)])
    for seed, name in enumerate(("reference", "other")):
        write_run(root / name, seed, config=WIDE)
    return root


@pytest.fixture(scope="module")
def trained(place: Path) -> str:
    """The reference's weights after going through the planted training split some times."""
    planted, model = (
        plant(TokenStore.open(place / "stores" / "tunes"), PLANTING),
        trained_model.load(place / "reference").model,
    )
    batches = loader.train_batches(
        planted, feature_lengths=LENGTHS, batch_size=16, seed=0, vocabulary=default(), pack=False, prefetch=0
    )
    graphdef, params = nnx.split(model)
    optimizer = optax.adam(0.02)

    @jax.jit
    def step(params, state, batch):
        def loss(params):
            sums = teacher_forced(nnx.merge(graphdef, params), batch)
            return sums.loss / sums.weight

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(60):
        batch = next(batches)
        params, state = step(params, state, {name: batch[name] for name in MODEL_FEATURES if name in batch})
    write_run(place / "trained", config=WIDE, params=params)
    return str(place / "trained")


@pytest.fixture(autouse=True)
def data(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T5MUSIC_DATA", str(place))


def stage(*bindings: str, **arguments) -> dict[str, dict[str, float]]:
    """The stage as a study calls it."""
    gin_files.configure([], ["memorisation.planting = @Planting()", *GIN, *bindings])
    try:
        return registry.STAGES["memorisation"](**{"task": "tunes", "samples": 0, **arguments})
    finally:
        gin.clear_config()


def test_a_sequences_losses_add_up_to_the_evaluations(place):
    model = trained_model.load(place / "other").model
    planted = plant(TokenStore.open(place / "stores" / "tunes"), PLANTING)
    nats = memorisation.sequence_losses(model, planted, "planted", lengths=LENGTHS, batch_size=4)
    batches = loader.eval_batches(planted, "planted", feature_lengths=LENGTHS, batch_size=4, vocabulary=default())
    whole = likelihood.evaluate(model, batches, default().is_note)
    assert nats.shape == (6,)
    assert whole["tokens"] == 6 * 25  # EOS included
    assert nats.sum() == pytest.approx(whole["loss"] * whole["tokens"], rel=1e-5)


RATIOS = st.lists(st.integers(0, 6), min_size=4, max_size=4)


@given(RATIOS, RATIOS)
@settings(deadline=None, max_examples=30)
def test_the_auc_is_the_share_of_pairs_in_order(planted, controls):
    results = memorisation.membership(np.array(planted) / 7, np.array(controls) / 7, Planting((1, 9), 2))
    for name, ratios in (("auc", planted), ("auc_1", planted[:2]), ("auc_9", planted[2:])):
        pairs = [(one < other) + 0.5 * (one == other) for one in ratios for other in controls]
        assert results[name] == pytest.approx(np.mean(pairs))
    assert results["loss_ratio_9"] == pytest.approx(np.mean(planted[2:]) / 7)


def test_the_stage_compares_the_first_model_with_the_second(place, tmp_path, capsys):
    both = [str(place / "other"), str(place / "reference")]
    results = stage(model_dir=both, output_dir=str(tmp_path))["planted"]
    assert capsys.readouterr().out.startswith("planted (memorisation): auc ")
    assert "epochs" not in results  # this run wrote no metrics
    details = json.loads((tmp_path / "memorisation.json").read_text())
    planted, controls = (np.divide(*details[f"{split}_losses"]) for split in ("planted", "controls"))
    assert results["auc_8"] == np.mean(planted[3:, None] < controls)
    assert results["loss_ratio_1"] == pytest.approx(np.mean(planted[:3]))
    (place / "other" / "metrics.jsonl").write_text('{"step": 1, "examples/tunes": 78}\n{"step": 1, "loss": 1.0}\n')
    assert stage(model_dir=both)["planted"] == results | {"epochs": 2.0}  # of 12 + 3 * (1 + 8) examples


@pytest.mark.parametrize("scale", ["", "paper/"])
def test_the_study_compares_what_was_planted_with_the_same_without(scale):
    study = runner.read([f"studies/{scale}memorisation.gin"], [])
    for cell in study.cells:
        trained, reference = cell.stages["audit"].parents
        assert "Planting.present = False" in reference.configuration
        assert "Planting.present" not in trained.configuration
        assert f"SEED = {cell.seed}" in cell.stages["audit"].configuration


@pytest.mark.slow
def test_what_was_repeated_is_remembered(place, trained):
    results = stage(model_dir=[trained, str(place / "reference")])["planted"]
    assert results["auc_8"] == 1.0
    assert results["loss_ratio_8"] < 0.6 * results["loss_ratio_1"]
    assert results["loss_ratio_8"] < 0.6 * results["loss_ratio_controls"]


@pytest.mark.slow
def test_what_is_written_is_searched_for_runs(place, trained, tmp_path):
    both = [trained, str(place / "reference")]
    arguments = {"model_dir": both, "samples": 3, "batch_size": 4, "output_dir": str(tmp_path)}
    results = stage("memorisation.temperature = 0.5", **arguments)
    assert results["held_out"]["longest_run"] < results["held_out"]["notes"] == 14  # random tunes share little
    assert results["written"]["longest_run"] > results["held_out"]["longest_run"]
    runs = json.loads((tmp_path / "memorisation.json").read_text())["written_runs"]
    assert max(run["notes"] for run in runs) == results["written"]["longest_run"]
    planted = plant(TokenStore.open(place / "stores" / "tunes"), PLANTING)
    repeated = {planted.split("planted")[index]["piece"] for index in range(3, 6)}
    assert runs[np.argmax([run["notes"] for run in runs])]["piece"] in repeated


def test_parts_of_a_piece_have_names_and_repeats_count_once(place):
    planted = plant(TokenStore.open(place / "stores" / "tunes"), PLANTING)
    names = [name for name, _ in memorisation.scores(planted, "train")]
    assert len(names) == len(set(names)) == 12 + 6


def test_what_cannot_be_measured_is_refused(place, tmp_path, monkeypatch):
    both = [str(place / "other"), str(place / "reference")]
    for model_dir in (both[0], both[:1]):
        with pytest.raises(ConfigError, match=r"memorisation\.model_dir must be the trained run and its reference"):
            stage(model_dir=model_dir)
    write_labelled(place / "stores" / "labels", {"train": 2})
    with pytest.raises(ConfigError, match=r"memorisation\.task: labels must be one task of music alone"):
        stage(model_dir=both, task="labels")
    write_music(place / "stores" / "noised", [line(n) for n in range(14)], [SelectRandomChunk(), SpanCorruption()])
    with pytest.raises(ConfigError, match=r"memorisation\.samples must be 0 for noised"):
        stage(model_dir=both, task="noised", samples=1)
    write_music(
        place / "stores" / "long", [line(n, notes=40) for n in range(4)], [SelectRandomChunk(), LanguageModel()]
    )
    with pytest.raises(ConfigError, match=r"Planting\.words must be below the targets' length of .*other"):
        stage("Planting.words = 64", "Planting.sequences = 1", model_dir=both, task="long")
    monkeypatch.setattr(memorisation, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 't5music\[study\]'"):
        stage(model_dir=both)
