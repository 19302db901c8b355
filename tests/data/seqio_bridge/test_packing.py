"""Rows of the loader against seqio's own feature converters."""

from __future__ import annotations

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5music.data.loading.packing import Pair, assemble
from t5music.data.vocabulary import EOS_ID

LENGTHS = {"inputs": 32, "targets": 24}


def random_pairs(count):
    rng = np.random.default_rng(count)
    return [
        Pair(*(np.append(rng.integers(3, 99, size), EOS_ID).astype(np.int32) for size in sizes))
        for sizes in rng.integers(1, 5, (count, 2))
    ]


def rows_of(converter, pairs):
    """What a converter makes of the pairs; without packing seqio shifts the last token into the padding."""
    dataset = tf.data.Dataset.from_generator(
        lambda: ({"inputs": pair.inputs, "targets": pair.targets} for pair in pairs),
        output_signature={name: tf.TensorSpec([None], tf.int32) for name in ("inputs", "targets")},
    )
    rows = list(converter(dataset, LENGTHS).as_numpy_iterator())
    for row in rows:
        row["decoder_input_tokens"] = row["decoder_input_tokens"] * (row["decoder_target_tokens"] > 0)
    return rows


def assert_same_rows(made, rows):
    for name, values in made.items():
        assert values.tolist() == [row[name].tolist() for row in rows], name


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_rows_are_those_of_seqios_converter(pack, count):
    pairs = random_pairs(count)
    rows = rows_of(seqio.EncDecFeatureConverter(pack=pack, use_custom_packing_ops=False), pairs)
    assert len(rows) == (1 if pack else count)
    assert_same_rows(assemble([pairs] if pack else [[pair] for pair in pairs], LENGTHS, packed=pack), rows)


@pytest.mark.parametrize("pack", [True, False])
def test_decoder_only_rows_are_those_of_seqios_prefix_lm_converter(pack):
    pairs = [*random_pairs(4), Pair(np.zeros(0, np.int32), np.array([7, EOS_ID], np.int32))]  # one has no inputs
    rows = rows_of(seqio.PrefixLMFeatureConverter(pack=pack, use_custom_packing_ops=False), pairs)
    made = assemble([pairs] if pack else [[pair] for pair in pairs], LENGTHS, packed=pack, decoder_only=True)
    assert len(rows) == (1 if pack else len(pairs))
    assert set(made) == set(rows[0]) - {"decoder_positions"}  # relative positions need no others
    assert_same_rows(made, rows)


def test_without_inputs_decoder_only_rows_are_those_of_seqios_lm_converter():
    pairs = [Pair(pair.inputs[:0], pair.targets) for pair in random_pairs(3)]
    dataset = tf.data.Dataset.from_generator(
        lambda: ({"targets": pair.targets} for pair in pairs),
        output_signature={"targets": tf.TensorSpec([None], tf.int32)},
    )
    length = LENGTHS["inputs"] + LENGTHS["targets"]
    converter = seqio.LMFeatureConverter(pack=True, use_custom_packing_ops=False)
    (row,) = converter(dataset, {"targets": length}).as_numpy_iterator()
    made = assemble([pairs], LENGTHS, packed=True, decoder_only=True)
    for name in set(row) - {"decoder_positions"}:
        assert made[name][0].tolist() == row[name].tolist(), name
