"""Windows of whole songs: every token is scored once, after as much of its past as a row holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from numpy.typing import NDArray

from t5music.data import examples
from t5music.data.loading.song_windows import INPUTS, TARGETS, SongWindows
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import EOS_ID, default
from t5music.errors import ConfigError
from t5music.evaluation import likelihood
from t5music.model import parameters
from t5music.model.config import LANGUAGE_MODEL, T5Config

LENGTHS = {"inputs": 9, "targets": 12}
SONG_LENGTHS = (1, 11, 12, 30, 47)
STRIDE = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    vocabulary = default()
    folder: Path = tmp_path_factory.mktemp("stores") / "songs"
    features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
    rng = np.random.default_rng(0)
    songs = examples.to_config(examples.Songs())
    with StoreWriter(folder, features=features, vocabulary=vocabulary, encoding="tx1", examples=songs) as writer:
        for length in SONG_LENGTHS:
            targets = rng.choice(vocabulary.event_ids("tx1"), length)
            writer.write("test", {"inputs": targets[:0], "targets": targets}, notes=1)
    return TokenStore.open(folder, vocabulary)


def windows(store: TokenStore, **settings: Any) -> SongWindows:
    given = {"feature_lengths": LENGTHS, "batch_size": 3, "vocabulary": default(), "stride": STRIDE} | settings
    return SongWindows(store, "test", **given)


def songs_of(store: TokenStore) -> list[NDArray]:
    split = store.split("test")
    return [np.append(split[number]["targets"], EOS_ID) for number in range(len(split))]


@pytest.mark.parametrize("past", [TARGETS, INPUTS])
@pytest.mark.parametrize("decoder_only", [True, False])
def test_every_token_is_scored_once_after_all_the_past_that_a_row_holds(
    store: TokenStore, decoder_only: bool, past: str
):
    room = LENGTHS[past] - 1
    found: dict[int, list[int]] = {}
    for batch in windows(store, decoder_only=decoder_only, past=past):
        assert len(batch["example_index"]) == 3
        for row, song in enumerate(batch["example_index"]):
            tokens, weights = batch["decoder_target_tokens"][row], batch["decoder_loss_weights"][row]
            if song < 0:
                assert not weights.any()
                continue
            whole = songs_of(store)[song]
            scored = tokens[weights > 0]
            done = found.setdefault(int(song), [])
            np.testing.assert_array_equal(scored, whole[len(done) : len(done) + len(scored)])
            last = len(done) + len(scored)
            if past == TARGETS:
                before = tokens[: np.flatnonzero(weights)[0]][int(decoder_only) :]
                expected = whole[max(0, last - room) : len(done)]
            else:
                read = tokens[: np.flatnonzero(weights)[0]] if decoder_only else batch["encoder_input_tokens"][row]
                assert read[np.flatnonzero(read)[-1]] == EOS_ID
                before = read[read > 0][:-1]
                expected = whole[max(0, len(done) - room) : len(done)]
            np.testing.assert_array_equal(before, expected)
            if decoder_only and past == TARGETS:
                assert tokens[0] == EOS_ID, "inputs of nothing, as in training"
            assert len(scored) <= (STRIDE if done or past == INPUTS else room)
            done += scored.tolist()
    assert [found[number] for number in range(len(SONG_LENGTHS))] == [song.tolist() for song in songs_of(store)]


def test_the_sums_are_those_of_tokens_scored_one_by_one(store: TokenStore):
    config = T5Config(
        vocab_size=default().rows, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_encoder_layers=0, num_decoder_layers=1,
        architecture=LANGUAGE_MODEL, dropout_rate=0.0,
        relative_attention_num_buckets=8, relative_attention_max_distance=16,
    )  # fmt: skip
    model = nnx.merge(*parameters.initialise(config, jax.random.key(0)))
    found = likelihood.evaluate(model, windows(store, decoder_only=True), default().is_note)

    room = LENGTHS["targets"] - 1
    rows, answers = [], []
    for song in songs_of(store):
        first = min(room, len(song))  # the first window is full
        for place, token in enumerate(song):
            window_end = first if place < first else min(first + STRIDE * (1 + (place - first) // STRIDE), len(song))
            given = song[max(0, window_end - room) : place]
            rows.append([0, EOS_ID, *given.tolist()])
            answers.append(token)
    tokens = np.zeros((len(rows), room + 2), np.int32)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = row
    scored = jax.jit(lambda tokens: model(None, tokens))(tokens)
    logits = np.asarray(scored, np.float64)[np.arange(len(rows)), [len(row) - 1 for row in rows]]
    chosen = logits[np.arange(len(rows)), answers] - np.log(np.exp(logits).sum(axis=1))
    assert found["tokens"] == len(answers) == sum(SONG_LENGTHS) + len(SONG_LENGTHS)
    assert found["loss"] == pytest.approx(-chosen.mean(), rel=1e-5)


def test_some_of_the_songs_and_again(store: TokenStore):
    some = windows(store, limit=2)
    assert some.songs == [0, 2]
    first, again = ([batch["example_index"].tolist() for batch in some] for _ in range(2))
    assert first == again
    assert {number for row in first for number in row} - {-1} == {0, 2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"past": "encoder"}, "targets or inputs, not in 'encoder'"),
        ({"stride": 0}, "from 1 to 11 .* not 0"),
        ({"stride": 12}, "from 1 to 11 .* not 12"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_what_cannot_be(store: TokenStore, settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        windows(store, **settings)
