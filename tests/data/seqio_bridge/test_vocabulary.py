"""The seqio adapter: the same ids and texts as the numpy vocabulary, in TensorFlow graphs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import seqio
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from t5music.data.seqio_bridge.vocabulary import T5MusicVocabulary
from t5music.data.vocabulary import EOS_ID, Vocabulary, default

ADAPTER = T5MusicVocabulary()
PIECES = st.sampled_from(["WT_1", "P1_NOTEON_60", "Bar", "NOTE_ON_60", "<extra_id_0>", "<extra_id_99>", "bar", "", " "])
TEXTS = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=12).flatmap(
    lambda pieces: st.sampled_from([" ", "  ", ""]).map(lambda gap: gap.join(pieces))
)
IDS = st.lists(st.integers(0, default().size - 1) | st.integers(0, 260), max_size=30)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def encode_in_graph(text):
    return ADAPTER.encode_tf(text)


@tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
def decode_in_graph(ids):
    return ADAPTER.decode_tf(ids)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_texts_become_the_same_ids(text):
    wanted = default().encode(text).tolist()
    assert ADAPTER.encode(text) == wanted
    assert encode_in_graph(text).numpy().tolist() == wanted


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_ids_become_the_same_texts(text):
    ids = default().encode(text)
    padded = np.concatenate([ids, [EOS_ID, 60, 0, 0]]).astype(np.int32)
    assert ADAPTER.decode(padded.tolist()) == text
    assert decode_in_graph(padded).numpy().decode() == text


@settings(max_examples=200, deadline=None)
@given(IDS)
def test_any_ids_become_the_same_texts(ids):
    # Broken UTF-8 too: both put one replacement character for each broken part, as Unicode recommends.
    assert decode_in_graph(np.array(ids, np.int32)).numpy().decode() == default().decode(np.array(ids, np.int32))


def test_batches_are_decoded_row_by_row():
    texts = ["WT_1 a b Bar", "", "é <extra_id_0>", "x"]
    rows = [[*default().encode(text).tolist(), EOS_ID, 7] for text in texts]
    ids = tf.ragged.constant(rows, tf.int32).to_tensor()
    assert [text.decode() for text in ADAPTER.decode_tf(ids).numpy()] == texts
    cube = tf.reshape(ids, [2, 2, -1])
    assert [[text.decode() for text in pair] for pair in ADAPTER.decode_tf(cube).numpy()] == [texts[:2], texts[2:]]
    assert ADAPTER.decode_tf(tf.zeros([0], tf.int32)).numpy() == b""


def test_what_seqio_expects_of_a_vocabulary():
    assert (ADAPTER.pad_id, ADAPTER.eos_id, ADAPTER.unk_id) == (0, 1, 2)
    assert ADAPTER.extra_ids == 100
    assert ADAPTER.vocab_size == default().size
    assert T5MusicVocabulary() == ADAPTER
    assert hash(T5MusicVocabulary()) == hash(ADAPTER)
    assert T5MusicVocabulary(Vocabulary({"a": ["x"]})) != ADAPTER
    assert seqio.ByteVocabulary() != ADAPTER
    encode_in_graph("WT_1")
    copy = pickle.loads(pickle.dumps(ADAPTER))
    assert copy == ADAPTER
    assert copy.encode_tf("WT_1").numpy().tolist() == ADAPTER.encode("WT_1")


def test_a_table_made_in_one_graph_serves_another():
    adapter = T5MusicVocabulary()
    for _ in range(2):  # each map traces a graph of its own
        dataset = tf.data.Dataset.from_tensors("Bar x").map(adapter.encode_tf)
        assert next(dataset.as_numpy_iterator()).tolist() == default().encode("Bar x").tolist()


def test_encoding_in_a_graph_uses_no_python():
    graph = encode_in_graph.get_concrete_function().graph
    assert not {operation.type for operation in graph.get_operations()} & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}


@pytest.mark.parametrize("add_eos", [True, False])
def test_in_a_seqio_task(add_eos):
    texts = ["Bar Pitch_60", "continue nes: WT_1"]
    name = f"t5music_vocabulary_test_{add_eos}"
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(
            lambda split, shuffle_files, seed=None: tf.data.Dataset.from_tensor_slices(
                {"inputs": texts, "targets": texts}
            ),
            splits=["train"],
        ),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={
            feature: seqio.Feature(T5MusicVocabulary(), add_eos=add_eos) for feature in ("inputs", "targets")
        },
    )
    dataset = seqio.get_mixture_or_task(name).get_dataset({"inputs": 64, "targets": 64}, "train", shuffle=False)
    made = [example["targets"].tolist() for example in dataset.as_numpy_iterator()]
    assert made == [default().encode(text).tolist() + [EOS_ID] * add_eos for text in texts]
