"""What `t5music eval` says of labels: one written for each note, the likeliest in one pass, those of a classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from sklearn import metrics as sklearn_metrics

from t5music.data import examples
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import ROLES, default
from t5music.errors import ConfigError
from t5music.evaluation import evaluator as evaluating
from t5music.evaluation import written_answers
from t5music.inference import trained_model
from t5music.model import parameters
from t5music.model.config import PREFIX_LM, T5Config
from t5music.model.network import T5

V = default()
LENGTHS = {"inputs": 30, "targets": 24}
CONFIG = T5Config(
    vocab_size=V.rows,
    d_model=8,
    d_kv=4,
    num_heads=2,
    d_ff=8,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.0,
)
ENCODER = dataclasses.replace(CONFIG, architecture="encoder", num_decoder_layers=0, head="notes", num_labels=3)
COMPOSERS = ("bach", "satie")
COUNTS = (3, 7, 1, 11, 5)  # notes of the validation examples
SEEN = (3, 7, 1, 10, 5)  # those that the inputs have room for


def write(folder: Path, kind: Any, targets: Callable[[int], str], labels: list[str] | None = None) -> TokenStore:
    """A task over music of some notes; `targets` of how many."""
    features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
    rng = np.random.default_rng(0)
    with StoreWriter(
        folder,
        features=features,
        vocabulary=V,
        encoding="remi",
        examples=examples.to_config(kind),
        labels=labels,
        objectives=getattr(kind, "objectives", ()),
    ) as writer:
        for split in ("train", "validation"):
            for count in COUNTS:
                words = " ".join(f"Pitch_{pitch} Duration_12" for pitch in np.sort(rng.integers(40, 80, count)))
                inputs = V.encode(f"label: Bar TimeSig_4/4 Pos_0 {words}")
                writer.write(split, {"inputs": inputs, "targets": V.encode(targets(count))})
    return TokenStore.open(folder, V)


@pytest.fixture(scope="module")
def melody(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("labels") / "melody"
    return write(folder, examples.LabelNotes("melody"), lambda count: " ".join(rng.choice(ROLES, count)))


@pytest.fixture(scope="module")
def composer(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    folder = tmp_path_factory.mktemp("labels") / "composer"
    kind = examples.Classify("composer", COMPOSERS, "remi")
    return write(folder, kind, lambda count: COMPOSERS[count > 4], list(COMPOSERS))


def model_of(config: T5Config, seed: int = 0) -> T5:
    graphdef, params = parameters.initialise(config, jax.random.key(seed))
    return nnx.merge(graphdef, params)


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, float], evaluating.Evaluator]]:
    """evaluate(store, model, ...) -> metrics of one model or of several, and the Evaluator."""

    def run(store: TokenStore, *models: T5):
        by_name = {str(number): model for number, model in enumerate(models)}
        monkeypatch.setattr(
            trained_model, "load", lambda name: SimpleNamespace(model=by_name[name], vocabulary=V, lengths=LENGTHS)
        )
        evaluator = evaluating.Evaluator([store], "validation", lengths=None, batch_size=3, limit=None)
        return evaluator.evaluate(list(by_name))[store.name], evaluator

    return run


def truths(store: TokenStore) -> list[str]:
    return " ".join(V.decode(store.split("validation")[index]["targets"]) for index in range(len(COUNTS))).split()


def all_notes(answers: list[list[str]]) -> list[str]:
    """Answers one by one, with '' for the note that was cut off: it counts, as a wrong one."""
    assert [len(answer) for answer in answers] == list(SEEN)
    return [word for answer, count in zip(answers, COUNTS, strict=True) for word in [*answer, ""][:count]]


@pytest.mark.parametrize("architecture", ["encoder_decoder", pytest.param(PREFIX_LM, marks=pytest.mark.slow)])
def test_one_label_is_written_for_each_note_that_is_seen(
    melody: TokenStore, evaluate: Callable, monkeypatch: pytest.MonkeyPatch, architecture: str
):
    config = CONFIG
    if architecture == PREFIX_LM:
        config = dataclasses.replace(CONFIG, architecture=PREFIX_LM, num_encoder_layers=0)
    written: list[np.ndarray] = []
    write_targets = written_answers.generate_targets

    def spied(*arguments: Any, **more: Any) -> list[np.ndarray]:
        written.extend(write_targets(*arguments, **more))
        return written

    monkeypatch.setattr(written_answers, "generate_targets", spied)
    found, evaluator = evaluate(melody, model_of(config))
    answers = [V.decode(answer).split() for answer in written]
    assert all(word.startswith("Pitch_") for answer in answers for word in answer[::2])
    answered, true = all_notes([answer[1::2] for answer in answers]), truths(melody)
    assert set(answered) == {*set(answered) & set(ROLES), ""}
    recalls = sklearn_metrics.recall_score(true, answered, labels=ROLES, average=None)
    expected = {
        "note_accuracy": sklearn_metrics.accuracy_score(true, answered),
        "note_macro_f1": sklearn_metrics.f1_score(true, answered, average="macro"),
        "examples": len(COUNTS),
        "notes": len(true),
        "tokens": len(true) + len(COUNTS),
        **{f"recall/{role}": recall for role, recall in zip(ROLES, recalls, strict=True)},
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert set(found) - set(expected) == {
        "loss", "perplexity", "accuracy", "likelihood_accuracy", "majority_accuracy", "skyline_accuracy",
    }  # fmt: skip
    tallies = evaluator.tallies["melody"]["note_accuracy"]
    assert tallies.wholes == list(COUNTS)
    assert sum(tallies.parts) / sum(tallies.wholes) == pytest.approx(found["note_accuracy"])
    matrix = sklearn_metrics.confusion_matrix(true, answered, labels=ROLES)
    np.testing.assert_array_equal(evaluator.confusions["melody"].counts[:3, :3], matrix)
    assert evaluator.confusions["melody"].counts[:, 3].sum() == 1


def test_a_classifier_of_notes_says_the_same_under_the_same_names(melody: TokenStore, evaluate: Callable):
    model = model_of(ENCODER)
    found, evaluator = evaluate(melody, model)
    ids = [melody.split("validation")[index]["inputs"] for index in range(len(COUNTS))]
    rows = np.zeros((len(ids), LENGTHS["inputs"]), np.int32)
    for row, inputs in zip(rows, ids, strict=True):
        kept = inputs[: len(row) - 1]
        row[: len(kept) + 1] = np.append(kept, 1)
    logits = np.asarray(nnx.jit(lambda model, tokens: model(tokens, None))(model, rows))
    classes = zip(logits.argmax(axis=-1), V.is_note[rows], strict=True)
    answered = all_notes([[ROLES[index] for index in row[is_note]] for row, is_note in classes])
    assert found["note_accuracy"] == found["likelihood_accuracy"]
    assert found["note_accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truths(melody), answered))
    assert found["note_macro_f1"] == pytest.approx(sklearn_metrics.f1_score(truths(melody), answered, average="macro"))
    assert {"recall/Role_bridge", "majority_accuracy", "skyline_accuracy"} <= set(found)
    assert evaluator.confusions["melody"].counts.sum() == sum(COUNTS)
    with pytest.raises(ConfigError, match="an encoder alone, which writes nothing"):
        evaluator.samples("0", 1)
    with pytest.raises(ConfigError, match="has 2 classes and melody has 3"):
        evaluate(melody, model_of(dataclasses.replace(ENCODER, num_labels=2)))


def test_a_classifier_of_pieces(composer: TokenStore, evaluate: Callable):
    found, evaluator = evaluate(composer, model_of(dataclasses.replace(ENCODER, head="sequence", num_labels=2)))
    counts = evaluator.confusions["composer"].counts
    assert counts.sum(axis=1).tolist() == [2, 3]
    assert found["accuracy"] == np.diag(counts).sum() / 5
    assert found["majority_accuracy"] == 0.6
    assert {"macro_f1", "recall/bach", "recall/satie"} <= set(found)


def test_an_ensemble_writes_nothing_and_has_likeliest_labels(melody: TokenStore, evaluate: Callable):
    model = model_of(CONFIG)
    alone, _ = evaluate(melody, model)
    twice, evaluator = evaluate(melody, model, model)
    for name in ("loss", "likelihood_accuracy", "skyline_accuracy", "notes"):
        assert twice[name] == pytest.approx(alone[name], rel=1e-5)
    assert "note_accuracy" not in twice
    assert not evaluator.confusions
    with pytest.raises(ConfigError, match="its encoder_only is True"):
        evaluate(melody, model, model_of(ENCODER))
