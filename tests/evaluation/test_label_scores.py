"""Labels judged as scikit-learn does, and answers that know nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.dummy import DummyClassifier

from t5music.data import examples
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import DYNAMICS, ROLES, default
from t5music.evaluation.label_scores import NoteJudge, judge_pieces
from t5music.music.note_classes import MELODY, skyline_of_words

V = default()
COMPOSERS = ("bach", "dowland", "handel")
LABEL_MELODY = examples.LabelNotes("melody")
FEATURES = {feature: FeatureSpec() for feature in ("inputs", "targets")}


def write(
    folder: Path, kind: Any, splits: dict[str, list[tuple[str, str]]], labels: list[str] | None = None
) -> TokenStore:
    with StoreWriter(
        folder, features=FEATURES, vocabulary=V, encoding="remi", examples=examples.to_config(kind), labels=labels
    ) as writer:
        for split, pairs in splits.items():
            for inputs, targets in pairs:
                writer.write(split, {"inputs": V.encode(inputs), "targets": V.encode(targets)})
    return TokenStore.open(folder, V)


def test_labels_of_pieces_are_judged_as_by_scikit_learn(tmp_path: Path):
    rng = np.random.default_rng(0)
    train, test = rng.choice(COMPOSERS, 20, p=[0.2, 0.5, 0.3]), rng.choice(COMPOSERS[:2], 30)
    asked, given = [*range(3, 27)], rng.integers(0, 3, 24)
    store = write(
        tmp_path / "composer",
        examples.Classify("composer", COMPOSERS, "remi"),
        {"train": [("Bar", name) for name in train], "test": [("Bar", name) for name in test]},
        list(COMPOSERS),
    )
    found, confusion, _ = judge_pieces(store, "test", asked, given, V)
    true, answered = test[3:27], np.array(COMPOSERS)[given]
    recalls = sklearn_metrics.recall_score(true, answered, labels=COMPOSERS, average=None, zero_division=np.nan)
    dummy = DummyClassifier(strategy="most_frequent").fit(train[:, None], train)
    assert found == pytest.approx(
        {
            "accuracy": sklearn_metrics.accuracy_score(true, answered),
            "macro_f1": sklearn_metrics.f1_score(true, answered, average="macro"),
            "examples": 24,
            "majority_accuracy": dummy.score(true[:, None], true),
            **{f"recall/{name}": recall for name, recall in zip(COMPOSERS, recalls, strict=True)},
        },
        nan_ok=True,
    )
    assert math.isnan(found["recall/handel"])
    expected = sklearn_metrics.confusion_matrix(true, answered, labels=COMPOSERS)
    assert confusion.to_json() == {"labels": list(COMPOSERS), "confusion": expected.tolist()}


def melodies(count: int, seed: int) -> list[tuple[str, str]]:
    """Chords of two notes, of different lengths, with any roles."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        chords = int(rng.integers(2, 9))
        low = rng.integers(40, 60, (chords, 1))
        pitches = np.hstack([low, low + rng.integers(1, 20, (chords, 1))])
        lengths = rng.integers(1, 25, (chords, 2))
        music = " ".join(
            f"Pos_{6 * place} " + " ".join(f"Pitch_{p} Duration_{d}" for p, d in zip(*chord, strict=True))
            for place, chord in enumerate(zip(pitches, lengths, strict=True))
        )
        roles = rng.choice(ROLES, 2 * chords, p=[0.5, 0.1, 0.4])
        made.append((f"extract melody: Bar TimeSig_4/4 {music}", " ".join(roles)))
    return made


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> NoteJudge:
    folder = tmp_path_factory.mktemp("judging") / "melody"
    splits = {"train": melodies(12, 1), "validation": melodies(9, 2)}
    return NoteJudge(write(folder, LABEL_MELODY, splits), "validation", LABEL_MELODY, V)


def test_labels_of_notes_are_judged_as_by_scikit_learn(judge: NoteJudge):
    """Of some examples; the last has too few answers, and a note without one is wrong."""
    asked = [1, 4, 7]
    texts = [melodies(9, 2)[index][1].split() for index in asked]
    rng = np.random.default_rng(3)
    given = [rng.integers(0, 3, len(text)) for text in texts]
    found, confusion, _ = judge.judge(asked, given)
    true = [word for text in texts for word in text]
    answered = [ROLES[index] for answers in given for index in answers]
    recalls = sklearn_metrics.recall_score(true, answered, labels=ROLES, average=None)
    assert found == pytest.approx(
        {
            "note_accuracy": sklearn_metrics.accuracy_score(true, answered),
            "note_macro_f1": sklearn_metrics.f1_score(true, answered, average="macro"),
            **{f"recall/{name}": recall for name, recall in zip(ROLES, recalls, strict=True)},
        }
    )
    np.testing.assert_array_equal(
        confusion.counts[:3, :3], sklearn_metrics.confusion_matrix(true, answered, labels=ROLES)
    )
    cut = judge.judge(asked, [*given[:2], given[2][:1]]).metrics["note_accuracy"]
    right = np.equal(true[-len(texts[2]) :], answered[-len(texts[2]) :])
    assert cut == pytest.approx(found["note_accuracy"] - right[1:].sum() / len(true))


def test_answers_that_know_nothing(judge: NoteJudge):
    found = judge.baselines([0, 2])
    pairs = [melodies(9, 2)[index] for index in (0, 2)]
    true = np.array(" ".join(answer for _, answer in pairs).split())
    learnt = " ".join(answer for _, answer in melodies(12, 1)).split()
    dummy = DummyClassifier(strategy="most_frequent").fit([[0]] * len(learnt), learnt)
    highest = np.concatenate(
        [skyline_of_words(V.decode_events("remi", V.encode(asked))) == MELODY for asked, _ in pairs]
    )
    assert 0 < highest.sum() < len(true)
    assert found == pytest.approx(
        {
            "notes": len(true),
            "majority_accuracy": dummy.score([[0]] * len(true), true),
            "skyline_accuracy": np.mean(np.where(highest, ROLES[0], ROLES[2]) == true),
        }
    )


def test_loudness_has_no_skyline_and_words_become_their_classes(tmp_path: Path):
    kind = examples.LabelNotes("velocity")
    pair = ("predict velocity: Bar TimeSig_4/4 Pos_0 Pitch_60 Duration_6", "Dynamic_ff")
    judge = NoteJudge(write(tmp_path / "loud", kind, {"train": [pair], "test": [pair]}), "test", kind, V)
    assert judge.baselines([0]) == {"notes": 1.0, "majority_accuracy": 1.0}
    assert judge.classes(V.encode("Dynamic_ff Dynamic_pp Dynamic_mf")).tolist() == [
        DYNAMICS.index(word) for word in ("Dynamic_ff", "Dynamic_pp", "Dynamic_mf")
    ]
