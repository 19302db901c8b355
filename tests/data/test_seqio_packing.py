"""Rows of the loader against seqio's own feature converter."""

from __future__ import annotations

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5music.data.packing import Pair, assemble
from t5music.data.vocabulary import EOS_ID

LENGTHS = {"inputs": 32, "targets": 24}


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_rows_are_those_of_seqios_converter(pack, count):
    rng = np.random.default_rng(count)
    pairs = [
        Pair(*(np.append(rng.integers(3, 99, size), EOS_ID).astype(np.int32) for size in sizes))
        for sizes in rng.integers(1, 5, (count, 2))
    ]
    dataset = tf.data.Dataset.from_generator(
        lambda: (pair._asdict() for pair in pairs),
        output_signature={name: tf.TensorSpec([None], tf.int32) for name in ("inputs", "targets")},
    )
    converter = seqio.EncDecFeatureConverter(pack=pack, use_custom_packing_ops=False)
    rows = list(converter(dataset, LENGTHS).as_numpy_iterator())
    made = assemble([pairs] if pack else [[pair] for pair in pairs], LENGTHS, packed=pack)
    assert len(rows) == (1 if pack else count)
    for number, row in enumerate(rows):
        assert set(made) <= set(row)
        for name, values in made.items():
            wanted = (
                row[name] if pack or name != "decoder_input_tokens" else row[name] * (row["decoder_target_tokens"] > 0)
            )
            assert values[number].tolist() == wanted.tolist(), name
