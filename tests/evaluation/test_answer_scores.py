"""What a task's own metrics say: of written answers, of labels; in evaluation and in validation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from t5music.data import answer_metrics, examples
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import ROLES, default
from t5music.errors import ConfigError, DataError
from t5music.evaluation import answer_scores
from t5music.evaluation import evaluator as evaluating
from t5music.evaluation.answer_scores import Answers
from t5music.inference import trained_model
from t5music.model import parameters
from t5music.model.config import PREFIX_LM, T5Config
from t5music.model.network import T5
from t5music.runs import train
from t5music.training.settings import Validation

V = default()
LENGTHS = {"inputs": 24, "targets": 12}
CONFIG = T5Config(
    vocab_size=V.rows, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_encoder_layers=1, num_decoder_layers=1,
    dropout_rate=0.0,
)  # fmt: skip
LABELS = ("bach", "satie")
TARGETS = ["Pitch_60 Duration_12", "a b", "Pitch_61", "none", "Bar"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[list[str], list[str]]]]:
    """What a registered metric, `spy`, is called with."""
    seen: list[tuple[list[str], list[str]]] = []

    @answer_metrics.register
    def spy(targets, predictions):
        seen.append((targets, predictions))
        return {"spied": len(predictions), "accuracy": np.float32(0.5)}

    yield seen
    del answer_metrics.METRICS["spy"]


def write(folder: Path, *metrics: str, targets: list[str] = TARGETS, kind: Any = None, **settings: Any) -> TokenStore:
    features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
    kind = examples.Continue("pop", "remi") if kind is None else kind
    with StoreWriter(
        folder,
        features=features,
        vocabulary=V,
        encoding="remi",
        metrics=metrics,
        examples=examples.to_config(kind),
        objectives=getattr(kind, "objectives", ()),
        **settings,
    ) as writer:
        for split in ("train", "validation"):
            for text in targets:
                inputs = "label: Bar TimeSig_4/4 Pos_0" + " Pitch_60 Duration_12" * len(text.split())
                writer.write(split, {"inputs": V.encode(inputs), "targets": V.encode(text)}, notes=1)
    return TokenStore.open(folder, V)


def model_of(config: T5Config = CONFIG) -> T5:
    graphdef, params = parameters.initialise(config, jax.random.key(0))
    return nnx.merge(graphdef, params)


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, float]]:
    def run(store: TokenStore, *models: T5, answers: int | None = None) -> dict[str, float]:
        by_name = {str(number): model for number, model in enumerate(models or [model_of()])}
        trained = lambda name: SimpleNamespace(model=by_name[name], vocabulary=V, lengths=LENGTHS)  # noqa: E731
        monkeypatch.setattr(trained_model, "load", trained)
        evaluator = evaluating.Evaluator([store], "validation", lengths=None, batch_size=2, limit=None, answers=answers)
        return evaluator.evaluate(list(by_name))[store.name]

    return run


@pytest.mark.parametrize("architecture", ["encoder_decoder", pytest.param(PREFIX_LM, marks=pytest.mark.slow)])
def test_every_example_is_answered_for_a_declared_metric(tmp_path, calls, evaluate, architecture):
    store = write(tmp_path / "mine", "spy")
    assert store.manifest.metric_modules == {"spy": __name__}
    layers = 0 if architecture == PREFIX_LM else 1
    model = model_of(dataclasses.replace(CONFIG, architecture=architecture, num_encoder_layers=layers))
    scores = evaluate(store, model)
    ((targets, predictions),) = calls
    assert targets == TARGETS
    assert all(type(text) is str for text in predictions)
    assert (scores["spied"], scores["answer_accuracy"]) == (5.0, 0.5), "and `accuracy` is the tokens', as ever"
    without = evaluate(write(tmp_path / "plain"), model)
    assert {name: scores[name] for name in without} == without


def test_how_many_are_answered_is_said(tmp_path, calls, evaluate):
    store = write(tmp_path / "mine", "spy", "word_accuracy")
    assert "word_accuracy" not in evaluate(store)
    scores = evaluate(store, answers=2)
    assert scores["spied"] == 2
    assert 0 <= scores["word_accuracy"] <= 1
    calls.clear()
    assert "spied" not in evaluate(store, answers=0)
    assert not calls


def test_a_perfect_answer_is_all_right(tmp_path):
    """The metrics of t5music are shares of 1 here, and those of free text from 0 to 100."""
    names = list(answer_metrics.METRICS)
    store = write(tmp_path / "mine", *names)
    tune = "X:1\nK:C\nC D E F|"
    scores = answer_scores.score(store, names, Answers([tune], [tune]))
    assert scores == pytest.approx(dict.fromkeys(names, 1.0) | {"bleu": 100, "rouge_l": 100})


def test_labels_are_judged_as_they_are_answered(tmp_path, calls, evaluate):
    settings = {"targets": ["bach", "satie", "bach"], "labels": LABELS}
    kind = examples.Classify("composer", LABELS, "remi")
    scores = evaluate(write(tmp_path / "composer", "accuracy", "macro_f1", "spy", kind=kind, **settings))
    ((targets, predictions),) = calls
    assert targets == settings["targets"]
    assert set(predictions) <= set(LABELS)
    assert scores["accuracy"] == np.mean([a == b for a, b in zip(targets, predictions, strict=True)])
    assert scores["answer_accuracy"] == 0.5


def test_labels_of_notes_are_judged_as_they_are_answered(tmp_path, calls, evaluate):
    targets = [" ".join(ROLES[:2]), ROLES[2]]
    store = write(tmp_path / "melody", "note_accuracy", "spy", targets=targets, kind=examples.LabelNotes("melody"))
    assert evaluate(store)["spied"] == 2
    texts, predictions = calls[-1]
    assert texts == targets
    assert [len(text.split()) for text in predictions] == [2, 1]
    assert {word for text in predictions for word in text.split()} <= set(ROLES)


def test_chords_of_named_tracks_are_judged_as_they_are_answered(tmp_path, calls, evaluate):
    chords = ["| C |", "| Am |"]
    kind = examples.NameChords("lied", "remi", ("voice",), ("piano",))
    evaluate(write(tmp_path / "chords", "spy", targets=chords, kind=kind))
    ((targets, _),) = calls
    assert targets == chords


def test_what_cannot_be_measured_is_said(tmp_path, calls, evaluate, capsys):
    store = write(tmp_path / "mine", "spy")
    model = model_of()
    assert "spied" not in evaluate(store, model, model)
    assert capsys.readouterr().err == "mine: spy not measured: an ensemble does not write answers\n"
    with pytest.raises(ConfigError, match="songs is of whole pieces, which are not answers: spy cannot judge them"):
        evaluate(write(tmp_path / "songs", "spy", kind=examples.Songs()))
    assert not calls


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("1 / 0", rf"metric 'strange' failed: ZeroDivisionError: division by zero \({re.escape(__file__)}, line \d+\)"),
        ("None", "metric 'strange' must return a dictionary of numbers by name, not None"),
        ("{'a': 'b'}", "must return a dictionary of numbers by name"),
        ("{'a': np.ones(2)}", "must return a dictionary of numbers by name"),
    ],
)
def test_a_metric_that_fails_is_one_line_that_says_where(tmp_path, monkeypatch, returned, message):
    def strange(targets, predictions):
        return eval(returned)

    monkeypatch.setitem(answer_metrics.METRICS, "strange", strange)
    with pytest.raises(ConfigError, match=message):
        answer_scores.score(write(tmp_path / "mine"), ["strange"], Answers(["a"], ["b"]))


def test_two_metrics_of_one_figure_are_refused(tmp_path, calls, monkeypatch):
    monkeypatch.setitem(answer_metrics.METRICS, "other", lambda targets, predictions: {"spied": 1})
    with pytest.raises(ConfigError, match="metric 'other' of mine gives 'spied', which another metric gives, too"):
        answer_scores.score(write(tmp_path / "mine"), ["spy", "other"], Answers(["a"], ["b"]))


def test_a_metric_that_is_not_imported_says_which_module_to_import(tmp_path, monkeypatch):
    def theirs(targets, predictions):
        return {}

    theirs.__module__ = "their_tasks"
    with monkeypatch.context() as context:
        context.setitem(answer_metrics.METRICS, "theirs", theirs)
        store = write(tmp_path / "mine", "theirs")
    with pytest.raises(DataError, match=r"metric 'theirs' is declared in the module their_tasks, .*--module_import"):
        answer_scores.score(store, ["theirs"], Answers(["a"], ["b"]))


def test_validation_answers_as_many_as_it_is_told(tmp_path, calls):
    store, plain = write(tmp_path / "mine", "spy"), write(tmp_path / "plain")
    data: Any = SimpleNamespace(task_feature_lengths=LENGTHS)
    evaluation = train._validation_losses([store, plain], data, Validation(answers=3), V, CONFIG)
    assert evaluation is not None
    figures = evaluation(model_of())
    ours = {f"{name}{figure}" for name in ("", "mine/", "plain/") for figure in ("loss", "accuracy")}
    assert set(figures) == ours | {"mine/spied", "mine/answer_accuracy"}
    assert figures["mine/spied"] == 3
    for stores, config, message in (
        ([plain], CONFIG, "no task with a validation split declares metrics of answers"),
        ([store], dataclasses.replace(CONFIG, architecture="encoder", num_decoder_layers=0, head="notes", num_labels=2),
         "a classifier writes no answers"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            train._validation_losses(stores, data, Validation(answers=3), V, config)
    with pytest.raises(ConfigError, match=r"Validation.answers must be a whole number, 0 for none, not -1"):
        Validation(answers=-1)
