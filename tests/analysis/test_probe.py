"""Frozen features: pooled states are what they say, choices are made on validation, and a known task is solved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gin
import jax
import numpy as np
import pytest
from flax import nnx
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from tiny_music import CONFIG, LABELS, write_labelled, write_run

from t5music.analysis import probe as probing
from t5music.analysis import segment_vectors
from t5music.configuration import gin_files, registry
from t5music.data.vocabulary import EOS_ID, default
from t5music.errors import ConfigError
from t5music.inference import trained_model
from t5music.model.config import LANGUAGE_MODEL
from t5music.studies import runner

PIECES = {"train": 15, "validation": 6, "test": 7}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("probing")
    write_labelled(root / "stores" / "register", PIECES)
    write_run(root / "run", seed=4)
    return root


@pytest.fixture(scope="module")
def model(place: Path):
    return trained_model.load(place / "run").model


@pytest.fixture(scope="module")
def material(place: Path, model) -> probing.Material:
    store = segment_vectors.TokenStore.open(place / "stores" / "register")
    return probing.Material.of(model, store, batch_size=8)


@pytest.fixture(autouse=True)
def data(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T5MUSIC_DATA", str(place))


def probe(*bindings: str, **arguments) -> dict[str, dict[str, float]]:
    """The stage as a study calls it."""
    gin_files.configure([], bindings)
    try:
        return registry.STAGES["probe"](**arguments)
    finally:
        gin.clear_config()


def test_pooled_states_are_means_and_deviations_over_the_music(model, material):
    segments, vocabulary = material.segments["validation"], default()
    graphdef, params = nnx.split(model)
    states_of = jax.jit(lambda tokens: nnx.merge(graphdef, params).encoder_states(tokens))
    for prompted in (False, True):
        vectors = segment_vectors.pool(model, segments, batch_size=8, prompted=prompted)
        for number in (0, 7):
            ids = segments.inputs[number]
            is_music = np.isin(ids, vocabulary.event_ids("remi"))
            assert vocabulary.decode(ids[~is_music]) == "classify register:"
            shown = ids if prompted else ids[is_music]
            row = np.zeros((1, 128), np.int32)  # padding is not looked at
            row[0, : len(shown) + 1] = np.append(shown, EOS_ID)
            states = np.asarray(states_of(row))[:, 0]
            pooled = states[:, np.flatnonzero(is_music)] if prompted else states[:, : len(shown)]
            expected = np.concatenate([pooled.mean(axis=1), pooled.std(axis=1)], axis=-1)
            np.testing.assert_allclose(vectors[:, number], expected, rtol=0, atol=2e-5)
    assert np.abs(vectors - material.layers["validation"]).max() > 1e-3  # the prompt is seen


def test_segments_are_limited_piece_by_piece(place):
    store = segment_vectors.TokenStore.open(place / "stores" / "register")
    whole, one = (segment_vectors.read(store, "test", default(), of_piece=most) for most in (None, 1))
    assert len(whole.inputs) == 2 * len(one.inputs) == 14
    assert one.pieces.tolist() == [f"test/{piece}" for piece in range(7)]
    few = segment_vectors.read(store, "test", default(), of_piece=1, limit=3)
    assert few.pieces.tolist() == ["test/0", "test/3", "test/6"]
    assert [LABELS[label] for label in one.labels] == ["high", "low", "low", "high", "low", "low", "high"]
    assert [len(score.notes) for score in one.scores(default())] == [6, 7, 8, 9, 10, 6, 7]


def test_choices_do_not_see_the_test_split(material):
    vectors = material.all_layers()
    truth = {split: segments.labels for split, segments in material.segments.items()}
    answers = probing.classify(vectors, truth)
    other = probing.classify({**vectors, "test": vectors["test"][::-1]}, {**truth, "test": 1 - truth["test"]})
    assert other.validation_accuracy == answers.validation_accuracy
    np.testing.assert_allclose(other.test, answers.test[::-1], atol=1e-12)
    assert 1 - answers.validation_accuracy < 0.5
    with pytest.raises(ConfigError, match="a single label"):
        probing.classify(vectors, {**truth, "train": 0 * truth["train"]})


def test_pieces_answer_by_their_segments_together():
    answers = probing.Answers(np.array([0, 1]), np.log([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.45, 0.55]]), 1.0)
    assert answers.labels().tolist() == [0, 1, 1, 1]
    assert answers.of_pieces(np.array(["b", "b", "a", "a"])).tolist() == [1, 0]  # in the order of names


def test_neighbours_are_scikit_learns(material):
    rng = np.random.default_rng(0)
    vectors = {split: rng.normal(size=(len(of.labels), 6)) for split, of in material.segments.items()}
    segments = material.segments
    pieces = {split: [vectors[split][of.pieces == name].mean(axis=0) for name in np.unique(of.pieces)]
              for split, of in segments.items()}  # fmt: skip
    labels = {split: np.array([of.labels[of.pieces == name][0] for name in np.unique(of.pieces)])
              for split, of in segments.items()}  # fmt: skip
    scaler = StandardScaler().fit(pieces["train"])
    nearest = NearestNeighbors(metric="cosine").fit(scaler.transform(pieces["train"]))
    precision = probing.neighbours(vectors, segments)
    for rank in probing.RANKS:
        places = nearest.kneighbors(scaler.transform(pieces["test"]), rank, return_distance=False)
        expected = np.mean(labels["train"][places] == labels["test"][:, None])
        assert precision[f"precision_at_{rank}"] == pytest.approx(expected)
    high = np.mean(labels["train"] == 0)
    chance = np.mean(np.where(labels["test"] == 0, high, 1 - high))
    assert precision["chance"] == pytest.approx(chance)


def test_the_stage_measures_saves_and_repeats(place, tmp_path, capsys):
    settings = {"model_dir": str(place / "run"), "tasks": ["register"], "segments": None}
    results = probe("probe.batch_size = 8", output_dir=str(tmp_path), **settings)["register"]
    assert capsys.readouterr().out.startswith("register (test, frozen features): accuracy ")
    assert results["handmade_accuracy"] == results["handmade_piece_accuracy"] == 1.0  # a register is a mean pitch
    assert results["accuracy"] == results[f"layer_{results['best_layer']}_accuracy"] > results["majority_accuracy"]
    assert results["majority_accuracy"] == pytest.approx(4 / 7)
    assert results["handmade_neighbours_precision_at_1"] > results["chance_precision"]
    assert (results["examples"], results["pieces"]) == (14, 7)
    with np.load(tmp_path / "register.npz") as saved:
        assert saved["train_layers"].shape == (3, 30, 16)
        assert saved["test_handmade"].shape == (14, len(saved["handmade_names"]))
        assert saved["label_set"].tolist() == list(LABELS)
        assert saved["test_pieces"][0] == "test/0"
    assert probe(**settings)["register"] == results
    random = probe(random_weights=True, **settings)["register"]
    assert random["handmade_accuracy"] == results["handmade_accuracy"]
    assert random != results


def test_what_cannot_be_probed_is_refused(place, tmp_path, monkeypatch):
    run = str(place / "run")
    with pytest.raises(ConfigError, match=r"probe\.tasks names no task"):
        probe(model_dir=run, tasks=[])
    write_labelled(place / "stores" / "music", PIECES, labels=None)
    with pytest.raises(ConfigError, match=r"probe\.tasks: music has no label set"):
        probe(model_dir=run, tasks=["music"])
    with pytest.raises(ConfigError, match=r"probe\.segments must be at least 1"):
        probe(model_dir=run, tasks=["register"], segments=0)
    with pytest.raises(ConfigError, match=r"probe\.limit must be at least 1"):
        probe(model_dir=run, tasks=["register"], limit=0)
    write_run(tmp_path, config=dataclasses.replace(CONFIG, architecture=LANGUAGE_MODEL, num_encoder_layers=0))
    with pytest.raises(ConfigError, match=r"probe\.model_dir: a language_model has no encoder"):
        probe(model_dir=str(tmp_path), tasks=["register"])
    monkeypatch.setattr(probing, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 't5music\[study\]'"):
        probe(model_dir=run, tasks=["register"])


@pytest.mark.parametrize("scale", ["", "paper/"])
def test_the_study_says_what_the_stage_measures(material, scale):
    study = runner.read([f"studies/{scale}frozen_features.gin"], [])
    measured = probing.measure(material)
    wanted = [column.metric for column in study.columns]
    wanted += [place.rsplit("/", 1)[1] for row in study.references.values() for place in row.values()]
    assert set(wanted) <= set(measured)
    for cell in study.cells:
        assert cell.stages["probe"].parents[0].kind == "train"
