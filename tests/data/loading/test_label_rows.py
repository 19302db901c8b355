"""Rows for an encoder alone: what stands where, and which tasks have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from t5music.data import examples
from t5music.data.loading.label_rows import LabelRows, label_set
from t5music.data.loading.loader import eval_batches, train_batches
from t5music.data.loading.packing import Pair
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import EOS_ID, ROLES, Vocabulary
from t5music.errors import CheckpointError, ConfigError, DataError

EMOTIONS = ("Q1", "Q2", "calm")
LENGTHS = {"inputs": 24, "targets": 12}
LabelStore = Callable[..., TokenStore]


@pytest.fixture
def ids(vocabulary: Vocabulary) -> Callable[..., np.ndarray]:
    """ids("Pitch_60 ...") with EOS at the end."""
    return lambda text: np.append(vocabulary.encode(text), np.int32(EOS_ID))


@pytest.fixture
def label_store(tmp_path: Path, vocabulary: Vocabulary) -> LabelStore:
    """label_store(name, asked) -> a store of 12 training and 5 validation examples of that kind."""

    def make(
        name: str, asked: examples.Examples, labels: Sequence[str] | None = None, echoed: bool = True
    ) -> TokenStore:
        rng = np.random.default_rng(0)
        features = {feature: FeatureSpec("tokens", True) for feature in ("inputs", "targets")}
        with StoreWriter(
            tmp_path / name,
            features=features,
            vocabulary=vocabulary,
            encoding="remi",
            labels=labels,
            examples=examples.to_config(asked),
            objectives=getattr(asked, "objectives", ()) if echoed else (),
        ) as out:
            for split, count in (("train", 12), ("validation", 5)):
                for _ in range(count):
                    notes = int(rng.integers(2, 6))
                    words = " ".join(f"Pitch_{rng.integers(40, 80)} Duration_12" for _ in range(notes))
                    answer = rng.choice(labels) if labels else " ".join(rng.choice(ROLES, notes))
                    out.write(split, {"inputs": vocabulary.encode(words), "targets": vocabulary.encode(answer)})
        return TokenStore.open(tmp_path / name, vocabulary)

    return make


MELODY = examples.LabelNotes("melody")
EMOTION = examples.Classify("emotion", EMOTIONS, "remi")


def test_golden_rows_of_notes(vocabulary: Vocabulary, ids):
    rows = LabelRows("notes", ROLES, 9, vocabulary)
    inputs = ids("Bar Pitch_60 Duration_12 Pos_12 Pitch_64 Duration_12")
    batch = rows([[Pair(inputs, ids("Role_accompaniment Role_melody"))], []])
    assert set(batch) == {"encoder_input_tokens", "decoder_target_tokens", "decoder_loss_weights"}
    assert [batch[name].dtype for name in batch] == [np.int32, np.int32, np.float32]
    assert batch["encoder_input_tokens"].tolist() == [[*inputs, 0, 0], [0] * 9]
    assert batch["decoder_target_tokens"].tolist() == [[0, 2, 0, 0, 0, 0, 0, 0, 0], [0] * 9]
    assert batch["decoder_loss_weights"].tolist() == [[0, 1, 0, 0, 1, 0, 0, 0, 0], [0] * 9]


def test_notes_of_masked_words_have_no_answer(vocabulary: Vocabulary, ids):
    mask = "<extra_id_0>"
    inputs = ids(f"Bar {mask} {mask} {mask} {mask} Pitch_62 Duration_12 Pitch_64 Duration_12 {mask} {mask}")
    answers = ids("Role_bridge Role_bridge Role_melody Role_accompaniment Role_bridge")
    weights = np.array([0, 0, 1, 0.5, 0, 1], np.float32)
    batch = LabelRows("notes", ROLES, 12, vocabulary)([[Pair(inputs, answers, weights)]])
    (places,) = np.nonzero(batch["decoder_loss_weights"][0])
    assert places.tolist() == [5, 7]
    assert batch["decoder_target_tokens"][0, places].tolist() == [0, 2]
    assert batch["decoder_loss_weights"][0, places].tolist() == [1, 0.5]


def test_words_that_tell_a_decoder_of_which_note_are_passed_over(vocabulary: Vocabulary, ids):
    """Those of two notes that are to be read and of one that is masked."""
    inputs = ids("Bar Pitch_60 Duration_12 <extra_id_0> <extra_id_0> Pitch_64 Duration_12")
    answers = ids("Pitch_60 Role_bridge <extra_id_0> Role_melody Pitch_64 Role_accompaniment")
    weights = np.array([0, 1, 0, 0, 0, 1, 1], np.float32)
    batch = LabelRows("notes", ROLES, 12, vocabulary)([[Pair(inputs, answers, weights)]])
    (places,) = np.nonzero(batch["decoder_loss_weights"][0])
    assert places.tolist() == [1, 5]
    assert batch["decoder_target_tokens"][0, places].tolist() == [1, 2]


def test_what_a_row_s_length_cuts_off_is_not_asked(vocabulary: Vocabulary, ids):
    inputs = ids("Pitch_60 Duration_12 Pitch_62 Duration_12 Pitch_64 Duration_12")
    answers = ids("Role_bridge Role_bridge Role_bridge")
    for pair in (Pair(inputs[:4], answers), Pair(inputs, np.append(answers[:2], EOS_ID).astype(np.int32))):
        batch = LabelRows("notes", ROLES, len(pair.inputs), vocabulary)([[pair]])
        assert np.flatnonzero(batch["decoder_loss_weights"][0]).tolist() == [0, 2]
        assert batch["decoder_target_tokens"][0, [0, 2]].tolist() == [1, 1]


def test_golden_rows_of_sequences(vocabulary: Vocabulary, ids):
    rows = LabelRows("sequence", EMOTIONS, 6, vocabulary)
    batch = rows([[Pair(ids("Bar Pitch_60"), ids(label))] for label in ("calm", "Q1")] + [[]])
    assert batch["encoder_input_tokens"].shape == (3, 6)
    assert batch["decoder_target_tokens"].tolist() == [[2], [0], [0]]
    assert batch["decoder_loss_weights"].tolist() == [[1], [1], [0]]


def test_golden_rows_of_words(vocabulary: Vocabulary, ids):
    true, masked = ids("Bar Pitch_60 Duration_12"), ids("Bar <extra_id_0> Duration_12")
    rows = LabelRows("words", (), 5, vocabulary)
    batch = rows([[Pair(masked, true)], [Pair(masked, true, np.array([0, 1, 0, 0], np.float32))]])
    assert batch["encoder_input_tokens"].tolist() == [[*masked, 0]] * 2
    assert batch["decoder_target_tokens"].tolist() == [[*true, 0]] * 2
    assert batch["decoder_loss_weights"].tolist() == [[1, 1, 1, 1, 0], [0, 1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("head", "labels", "inputs", "targets", "message"),
    [
        ("notes", ROLES, "Bar Pitch_60", "Pitch_60 Duration_1", "notes and labels alone, not 'Duration_1'"),
        ("notes", ROLES, "Bar Pitch_60", "Role_melody Role_bridge", "1 notes in its inputs and 2 labels"),
        ("sequence", EMOTIONS, "Bar", "Q4", "'Q4' is not a label of the task"),
        ("words", (), "Bar Pitch_60", "Bar", "one target for each input token, not 2 for 3"),
    ],
)
def test_targets_that_do_not_belong_to_the_inputs(vocabulary: Vocabulary, ids, head, labels, inputs, targets, message):
    with pytest.raises(DataError, match=message):
        LabelRows(head, labels, 12, vocabulary)([[Pair(ids(inputs), ids(targets))]])


def test_label_sets_are_the_tasks(label_store: LabelStore):
    melody, emotion = label_store("melody", MELODY), label_store("emotion", EMOTION, EMOTIONS)
    assert label_set([melody], "notes") == ROLES
    assert label_set([emotion, label_store("again", EMOTION, EMOTIONS)], "sequence") == EMOTIONS
    assert label_set([melody, emotion], "words") == ()
    with pytest.raises(ConfigError, match="head 'notes' needs tasks that label notes, which emotion does not"):
        label_set([melody, emotion], "notes")
    with pytest.raises(ConfigError, match="head 'sequence' needs tasks that choose one label of a set, which melody"):
        label_set([melody], "sequence")
    other = label_store("other", examples.Classify("emotion", ("Q1", "Q2"), "remi"), ("Q1", "Q2"))
    with pytest.raises(ConfigError, match="one set of labels: emotion has Q1, Q2, calm, other has Q1, Q2"):
        label_set([emotion, other], "sequence")


def test_batches_of_a_store_hold_its_examples_in_the_same_order(label_store: LabelStore, vocabulary: Vocabulary):
    store = label_store("melody", MELODY)
    settings = {"feature_lengths": LENGTHS, "vocabulary": vocabulary, "batch_size": 4}
    labelled, written = (
        next(train_batches(store, **settings, seed=1, pack=False, head=head)) for head in ("notes", None)
    )
    np.testing.assert_array_equal(labelled["encoder_input_tokens"], written["encoder_input_tokens"])
    for classes, weights, words in zip(
        labelled["decoder_target_tokens"],
        labelled["decoder_loss_weights"],
        written["decoder_target_tokens"],
        strict=True,
    ):
        assert [ROLES[index] for index in classes[weights > 0]] == vocabulary.decode(words).split()[1::2]
    evaluated = list(eval_batches(store, "validation", **settings, head="notes"))
    assert np.concatenate([batch["example_index"] for batch in evaluated]).tolist() == [0, 1, 2, 3, 4, -1, -1, -1]
    assert not evaluated[1]["decoder_loss_weights"][1:].any()
    with pytest.raises(ConfigError, match=r"TrainingData\.pack must be False with the head 'notes'"):
        train_batches(store, **settings, seed=1, head="notes")


def test_a_decoder_is_not_given_labels_that_do_not_say_whose_they_are(label_store: LabelStore, vocabulary: Vocabulary):
    old = label_store("melody", MELODY, echoed=False)
    settings = {"feature_lengths": LENGTHS, "vocabulary": vocabulary, "batch_size": 4}
    with pytest.raises(DataError, match="labels without the words of their notes: compile melody again"):
        train_batches(old, **settings, seed=1)
    with pytest.raises(DataError, match="compile melody again"):
        eval_batches(old, "validation", **settings)
    assert next(train_batches(old, **settings, seed=1, pack=False, head="notes"))  # which needs no such words


def test_a_position_goes_on_and_is_that_of_one_head(label_store: LabelStore, vocabulary: Vocabulary):
    store = label_store("emotion", EMOTION, EMOTIONS)

    def batches(head: str | None):
        return train_batches(
            store, feature_lengths=LENGTHS, vocabulary=vocabulary, batch_size=4, seed=1, pack=False, head=head
        )

    first = batches("sequence")
    next(first)
    state = json.loads(json.dumps(first.get_state()))
    following = next(first)
    again = batches("sequence")
    again.set_state(state)
    for name, array in next(again).items():
        np.testing.assert_array_equal(array, following[name])
    with pytest.raises(CheckpointError, match="head was sequence, now it is None"):
        batches(None).set_state(state)
