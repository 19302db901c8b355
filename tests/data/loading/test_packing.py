"""Packing: golden rows, nothing lost, nothing split, rows well filled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.data.loading.packing import Packer, Pair, assemble


def pair(inputs, targets) -> Pair:
    return Pair(np.array(inputs, np.int32), np.array(targets, np.int32))


def test_golden_rows():
    row = [pair([4, 5, 6, 1], [9, 10, 1]), pair([7, 8, 1], [11, 12, 13, 1])]
    batch = assemble([row, []], {"inputs": 8, "targets": 9}, packed=True)
    golden = {
        "encoder_input_tokens": [4, 5, 6, 1, 7, 8, 1, 0],
        "encoder_segment_ids": [1, 1, 1, 1, 2, 2, 2, 0],
        "decoder_target_tokens": [9, 10, 1, 11, 12, 13, 1, 0, 0],
        "decoder_input_tokens": [0, 9, 10, 0, 11, 12, 13, 0, 0],
        "decoder_segment_ids": [1, 1, 1, 2, 2, 2, 2, 0, 0],
        "decoder_loss_weights": [1, 1, 1, 1, 1, 1, 1, 0, 0],
    }
    assert set(batch) == set(golden)
    for name, values in golden.items():
        assert batch[name][0].tolist() == values, name
        assert batch[name][1].tolist() == [0] * len(values), name
        assert batch[name].dtype == (np.float32 if name == "decoder_loss_weights" else np.int32)


def test_golden_decoder_only_rows():
    row = [pair([4, 5, 6, 1], [9, 10, 1]), pair([7, 8, 1], [11, 12, 13, 1])]
    batch = assemble([row, []], {"inputs": 8, "targets": 8}, packed=True, decoder_only=True)
    golden = {
        "decoder_target_tokens": [4, 5, 6, 1, 9, 10, 1, 7, 8, 1, 11, 12, 13, 1, 0, 0],
        "decoder_input_tokens": [0, 4, 5, 6, 1, 9, 10, 0, 7, 8, 1, 11, 12, 13, 0, 0],
        "decoder_loss_weights": [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0],
        "decoder_causal_attention": [1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        "decoder_segment_ids": [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 0, 0],
    }
    assert set(batch) == set(golden)
    for name, values in golden.items():
        assert batch[name][0].tolist() == values, name
        assert batch[name][1].tolist() == [0] * len(values), name
        assert batch[name].dtype == (np.float32 if name == "decoder_loss_weights" else np.int32)
    assert "decoder_segment_ids" not in assemble(
        [row[:1]], {"inputs": 8, "targets": 8}, packed=False, decoder_only=True
    )


@pytest.mark.parametrize("decoder_only", [False, True])
def test_weights_stand_at_their_targets(decoder_only):
    weighted = Pair(*pair([7, 8, 1], [11, 12, 13, 1])[:2], np.array([0, 1, 0.5, 1], np.float32))
    rows = [[pair([4, 5, 6, 1], [9, 10, 1]), weighted], [weighted], []]
    batch = assemble(rows, {"inputs": 8, "targets": 8}, packed=True, decoder_only=decoder_only)
    plain = [[Pair(*each[:2]) for each in row] for row in rows]
    expected = assemble(plain, {"inputs": 8, "targets": 8}, packed=True, decoder_only=decoder_only)
    weights, ones = (made.pop("decoder_loss_weights") for made in (batch, expected))
    assert [row[one > 0].tolist() for row, one in zip(weights, ones, strict=True)] == [
        [1, 1, 1, 0, 1, 0.5, 1],
        [0, 1, 0.5, 1],
        [],
    ]
    assert not weights[ones == 0].any()
    assert weights.dtype == np.float32
    for name, array in expected.items():
        np.testing.assert_array_equal(batch[name], array)


def test_without_packing_there_are_no_segments():
    batch = assemble([[pair([4, 1], [9, 1])]], {"inputs": 3, "targets": 3}, packed=False)
    assert {name: row[0].tolist() for name, row in batch.items()} == {
        "encoder_input_tokens": [4, 1, 0],
        "decoder_input_tokens": [0, 9, 0],
        "decoder_target_tokens": [9, 1, 0],
        "decoder_loss_weights": [1, 1, 0],
    }


def test_what_a_decoder_reads_may_be_other_than_what_it_is_to_write():
    other = pair([7, 8, 1], [11, 12, 13, 1])._replace(read=np.array([21, 22, 23, 1], np.int32))
    rows = [[pair([4, 5, 6, 1], [9, 10, 1]), other], [other], []]
    golden = {
        False: [[0, 9, 10, 0, 21, 22, 23, 0], [0, 21, 22, 23, 0, 0, 0, 0], [0] * 8],
        True: [[0, 4, 5, 6, 1, 9, 10, 0, 7, 8, 1, 21, 22, 23, 0, 0], [0, 7, 8, 1, 21, 22, 23] + [0] * 9, [0] * 16],
    }
    for decoder_only, read in golden.items():
        batch = assemble(rows, {"inputs": 8, "targets": 8}, packed=True, decoder_only=decoder_only)
        plain = [[each._replace(read=None) for each in row] for row in rows]
        expected = assemble(plain, {"inputs": 8, "targets": 8}, packed=True, decoder_only=decoder_only)
        assert batch.pop("decoder_input_tokens").tolist() == read
        assert batch.keys() == expected.keys() - {"decoder_input_tokens"}
        assert all(np.array_equal(expected[name], array) for name, array in batch.items())


def test_empty_inputs_keep_segments_in_step():
    row = [pair([], [5, 1]), pair([6, 1], [7, 1])]
    batch = assemble([row], {"inputs": 4, "targets": 4}, packed=True)
    assert batch["encoder_segment_ids"].tolist() == [[2, 2, 0, 0]]
    assert batch["decoder_segment_ids"].tolist() == [[1, 1, 2, 2]]
    assert assemble([], {"inputs": 4, "targets": 4}, packed=True)["encoder_input_tokens"].shape == (0, 4)


SIZES = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), max_size=150)


@given(SIZES, st.integers(1, 6), st.booleans())
def test_every_example_comes_out_once_and_whole(sizes, open_rows, decoder_only):
    lengths = {"inputs": 20, "targets": 12}
    packer: Packer[int] = Packer(lengths, open_rows, decoder_only=decoder_only)
    done = [packer.add(i, pair([i + 1] * a, [i + 1] * b)) for i, (a, b) in enumerate(sizes)]
    rows = [row for row in done if row is not None]
    for keys, pairs in rows:
        assert [(len(p.inputs), len(p.targets)) for p in pairs] == [sizes[key] for key in keys]
        inputs, targets = (sum(sizes[key][side] for key in keys) for side in (0, 1))
        assert inputs + targets <= 32 if decoder_only else inputs <= 20 and targets <= 12
    assert len(packer.waiting) <= open_rows
    out = [key for keys, _ in rows for key in keys] + [key for _, keys in packer.waiting for key in keys]
    assert sorted(out) == list(range(len(sizes)))


@given(SIZES, st.integers(0, 150), st.booleans())
def test_a_packer_made_again_from_its_keys_goes_on_the_same(sizes, stop, decoder_only):
    lengths = {"inputs": 20, "targets": 12}
    examples = [pair([i + 1] * a, [i + 1] * b) for i, (a, b) in enumerate(sizes)]
    one: Packer[int] = Packer(lengths, 3, decoder_only=decoder_only)
    for i, example in enumerate(examples[:stop]):
        one.add(i, example)
    other: Packer[int] = Packer(lengths, 3, decoder_only=decoder_only)
    other.restore([(age, [(key, examples[key]) for key in keys]) for age, keys in one.waiting])
    assert other.waiting == one.waiting
    for i, example in list(enumerate(examples))[stop:]:
        mine, theirs = one.add(i, example), other.add(i, example)
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert mine[0] == theirs[0]


@pytest.mark.parametrize(
    ("mean", "spread"),
    [(100, 60), (60, 55), (250, 150), (500, 300)],
    ids=["short", "very short", "half a row", "trimmed to a row"],
)
def test_rows_are_well_filled(mean, spread):
    rng = np.random.default_rng(0)
    packer: Packer[int] = Packer({"inputs": 512, "targets": 512})
    filled = []
    for key in range(4000):
        size = int(np.clip(rng.normal(mean, spread), 2, 512))
        done = packer.add(key, pair([1] * size, [1] * (size // 2)))
        if done is not None:
            filled.append(sum(len(p.inputs) for p in done[1]) / 512)
    assert np.mean(filled) > 0.95


def test_a_decoder_only_row_is_filled_with_whatever_its_sides_are():
    packer: Packer[int] = Packer({"inputs": 400, "targets": 112}, decoder_only=True)
    rng = np.random.default_rng(0)
    filled = []
    for key in range(2000):
        done = packer.add(key, pair([1] * int(rng.integers(2, 60)), [1] * int(rng.integers(2, 110))))
        if done is not None:
            filled.append(sum(len(p.inputs) + len(p.targets) for p in done[1]) / 512)
    assert np.mean(filled) > 0.95


def test_short_examples_do_not_wait_for_ever_beside_long_ones():
    packer: Packer[int] = Packer({"inputs": 512, "targets": 512})
    waits = []
    for key in range(3000):
        size = 490 if key % 2 else 60  # eight short ones fill a row less than one long one does
        done = packer.add(key, pair([1] * size, [1]))
        if done is not None:
            waits += [key - other for other in done[0]]
    assert max(waits) < 100
