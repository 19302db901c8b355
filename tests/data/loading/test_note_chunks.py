"""Music in fixed rows: how it is cut, that an epoch has every row once, positions, processes, what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from t5music.data.loading.note_chunks import SHORTEST, chunk_batches, cut, note_words
from t5music.data.objectives import SpanCorruption, Transpose
from t5music.data.objectives.language_model import SelectRandomChunk
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.errors import CheckpointError, ConfigError, DataError

DENOISING = [SelectRandomChunk(), SpanCorruption()]


@pytest.fixture
def store(tmp_path, vocabulary):
    """Ten pieces of 3 to 12 bars of four notes, each at a position of its own."""
    return make(tmp_path / "music", vocabulary)


def make(path, vocabulary, *, objectives=DENOISING, encoding="remi", pieces=10):
    features = {name: FeatureSpec("tokens", True) for name in ("inputs", "targets")}
    with StoreWriter(path, features=features, vocabulary=vocabulary, encoding=encoding, objectives=objectives) as out:
        for piece in range(pieces):
            bar = " ".join(f"Pos_{12 * beat} Pitch_{50 + piece + beat} Duration_12" for beat in range(4))
            text = " ".join([f"Bar TimeSig_4/4 {bar}"] * (3 + piece))
            out.write("train", {"inputs": vocabulary.encode(""), "targets": vocabulary.encode(text)})
    return TokenStore.open(path, vocabulary)


def take(batches, count):
    return [next(batches) for _ in range(count)]


def test_pieces_are_cut_where_positions_begin():
    begins = np.array([False, True])
    tokens = np.array([1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])
    assert cut(tokens, 6, begins) == [(0, 4), (4, 7), (7, 13), (13, 19)]
    assert cut(tokens[:18], 9, begins) == [(0, 7), (7, 16)]  # the end is shorter than a quarter of a row
    assert cut(tokens[:0], 6, begins) == []


def test_every_row_comes_once_an_epoch_in_another_order(store, vocabulary):
    batches = chunk_batches([store], length=40, batch_size=4, seed=0, vocabulary=vocabulary)
    per_epoch = len(batches.chunks) // 4
    epochs = [np.concatenate([batch["chunk"] for batch in take(batches, per_epoch)]) for _ in range(3)]
    for chunks in epochs:
        assert len(set(chunks.tolist())) == 4 * per_epoch > len(batches.chunks) - 4
    assert not np.array_equal(epochs[0], epochs[1])
    batch = next(batches)
    assert_array_equal(batch["epoch"], [3] * 4)
    for row, number in zip(batch["encoder_input_tokens"], batch["chunk"], strict=True):
        chunk = batches.chunks[number]
        words = store.split("train")[chunk.example]["targets"][chunk.start : chunk.stop]
        assert SHORTEST * 39 <= len(words) <= 39
        assert_array_equal(row, np.pad(np.append(words, 1), (0, 39 - len(words))))
    covered = Counter({chunk.example: 0 for chunk in batches.chunks})
    for chunk in batches.chunks:
        covered[chunk.example] += chunk.stop - chunk.start
    assert all(14 * (3 + piece) - covered[piece] < SHORTEST * 39 for piece in range(10))  # nothing else is left out


def test_augmentations_are_drawn_anew_in_every_epoch(store, vocabulary):
    settings = {"length": 40, "batch_size": 4, "seed": 0, "vocabulary": vocabulary, "augmentations": [Transpose()]}
    seen = {}
    for batch in take(chunk_batches([store], **settings), 60):
        for row, number in zip(batch["encoder_input_tokens"], batch["chunk"], strict=True):
            seen.setdefault(int(number), set()).add(tuple(row))
    assert all(len(rows) > 1 for rows in seen.values())


def test_a_position_goes_on_and_processes_share_batches(store, tmp_path, vocabulary):
    other = make(tmp_path / "more", vocabulary, pieces=4)
    settings = {"length": 40, "batch_size": 4, "seed": 1, "vocabulary": vocabulary, "augmentations": [Transpose()]}
    batches = chunk_batches([store, other], **settings)
    take(batches, 17)
    state, given = batches.get_state(), batches.examples_per_task
    assert sum(given.values()) == 17 * 4
    expected = next(batches)
    resumed = chunk_batches([store, other], **settings)
    resumed.set_state(state)
    assert resumed.examples_per_task == given
    found = next(resumed)
    parts = []
    for index in range(2):
        process = chunk_batches([store, other], **settings, process_index=index, process_count=2)
        process.set_state(state)
        parts.append(next(process))
    for name, rows in expected.items():
        assert_array_equal(found[name], rows)
        assert_array_equal(np.concatenate([part[name] for part in parts]), rows)
    with pytest.raises(CheckpointError, match="another stream: seed was 1, now it is 2"):
        chunk_batches([store, other], **settings | {"seed": 2}).set_state(state)


def test_what_cannot_be_masked_is_refused(tmp_path, store, vocabulary):
    settings = {"length": 40, "batch_size": 4, "seed": 0, "vocabulary": vocabulary}
    with pytest.raises(ConfigError, match=r"music alone in remi's words can be masked, and labels is supervised"):
        chunk_batches([make(tmp_path / "labels", vocabulary, objectives=[])], **settings)
    with pytest.raises(ConfigError, match=r"and songs is in tx1"):
        chunk_batches([make(tmp_path / "songs", vocabulary, encoding="tx1")], **settings)
    with pytest.raises(DataError, match=r"music: there are \d+ rows of music, and a batch has 400"):
        chunk_batches([store], **settings | {"batch_size": 400})
    with pytest.raises(ConfigError, match="multiple of the number of processes"):
        chunk_batches([store], **settings, process_count=3)


def test_the_words_of_notes(vocabulary):
    words = note_words(vocabulary)
    for text, family in (("Pos_5", 0), ("Program_3", 1), ("Velocity_7", 2), ("Pitch_60", 3), ("Drum_38", 4)):
        assert words["family"][vocabulary.encode(text)] == family
        assert words["head"][vocabulary.encode(text)] == (family in (3, 4))
        assert words["leads"][vocabulary.encode(text)] == (family < 3)
    assert words["family"][vocabulary.encode("Bar Tempo_120")].tolist() == [-1, -1]
    assert words["bar"].sum() == 1
    assert words["sizes"][3] == 128
    assert_array_equal(
        words["firsts"][3] + np.arange(128), vocabulary.encode(" ".join(f"Pitch_{i}" for i in range(128)))
    )
