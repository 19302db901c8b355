"""What `t5music eval` says of whole songs: the paper's perplexity, bits per note and per second, and baselines."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from t5music.data import examples
from t5music.data.objectives import SpanCorruption
from t5music.data.objectives.language_model import LanguageModel, SelectRandomChunk
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import EOS_ID, default
from t5music.evaluation import evaluator, likelihood, ngrams
from t5music.inference import trained_model
from t5music.model.config import T5Config

LENGTHS = {"inputs": 2, "targets": 30}
SECONDS = 20.0


def store_of(folder: Path, **settings: Any) -> TokenStore:
    """Songs of 50 words of tx1 or a few more: 12 to learn from, 4 to be asked, each of 5 seconds and 20 notes."""
    vocabulary = default()
    ids = vocabulary.event_ids("tx1")[400:408]
    features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
    rng = np.random.default_rng(0)
    with StoreWriter(folder, features=features, vocabulary=vocabulary, encoding="tx1", **settings) as writer:
        for split, count in (("train", 12), ("test", 4)):
            for number in range(count):
                targets = ids[np.cumsum(rng.geometric(0.7, 50 + number)) % len(ids)]
                writer.write(split, {"inputs": targets[:0], "targets": targets}, notes=20, seconds=SECONDS / 4)
    return TokenStore.open(folder, vocabulary)


SONGS = {"examples": examples.to_config(examples.Songs())}


@pytest.fixture
def uniform_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A language model to which all words of tx1 and EOS are alike."""
    config = T5Config(
        vocab_size=128,
        d_model=4,
        d_kv=2,
        num_heads=2,
        d_ff=4,
        num_encoder_layers=0,
        num_decoder_layers=1,
        architecture="prefix_lm",
    )
    trained = SimpleNamespace(model=SimpleNamespace(config=config), vocabulary=default(), lengths=LENGTHS)
    monkeypatch.setattr(trained_model, "load", lambda folder: trained)

    def evaluate(model: Any, batches: Any, is_note: np.ndarray) -> dict[str, float]:
        weights = sum(batch["decoder_loss_weights"].sum() for batch in batches)
        rows = sum(batch["decoder_loss_weights"].any(axis=1).sum() for batch in batches)
        notes = sum(
            (batch["decoder_loss_weights"] * is_note[batch["decoder_target_tokens"]]).sum() for batch in batches
        )
        return likelihood.scores(float(weights * math.log(631)), float(weights), 0.0, float(notes), float(rows))

    monkeypatch.setattr(likelihood, "evaluate", evaluate)


def evaluate(store: TokenStore, **settings: Any) -> dict[str, float]:
    given: dict[str, Any] = {"lengths": None, "batch_size": 8, "limit": None, "stride": 16} | settings
    return evaluator.Evaluator([store], "test", **given).evaluate(["a run"])[store.name]


@pytest.mark.usefixtures("uniform_model")
def test_every_word_of_every_song_counts_and_baselines_stand_beside(tmp_path: Path):
    store = store_of(tmp_path / "songs", **SONGS)
    found = evaluate(store, ngram=3)
    asked, learnt = (
        [np.append(store.split(of)[n]["targets"], EOS_ID) for n in range(store.examples(of))]
        for of in ("test", "train")
    )
    tokens = sum(map(len, asked))
    assert found["tokens"] == tokens == 4 * 51 + 6
    assert found["examples"] == 4
    assert found["perplexity"] == pytest.approx(631) == found["uniform_perplexity"]
    bits = tokens * math.log2(631)
    assert found["bits_per_second"] == pytest.approx(bits / SECONDS) == found["uniform_bits_per_second"]
    assert found["bits_per_note"] == pytest.approx(found["uniform_bits_per_note"])

    symbols = [EOS_ID, *default().event_ids("tx1").tolist()]  # in no order that matters
    train, test = ([[symbols.index(word) for word in song] for song in songs] for songs in (learnt, asked))
    nats = -ngrams.NGrams(train, 631, 3).log_probabilities(test).sum()
    assert found["ngram_perplexity"] == pytest.approx(math.exp(nats / tokens))
    assert found["ngram_bits_per_note"] == pytest.approx(nats / math.log(2) / 80)
    assert found["ngram_bits_per_second"] == pytest.approx(nats / math.log(2) / SECONDS)
    assert found["ngram_perplexity"] < found["unigram_perplexity"] < 20


@pytest.mark.usefixtures("uniform_model")
def test_of_some_songs_or_cut_ones_there_are_no_bits_per_second(tmp_path: Path):
    some = evaluate(store_of(tmp_path / "songs", **SONGS), limit=2)
    assert some["examples"] == 2
    assert not any("second" in name or "ngram" in name for name in some)
    cut = evaluate(store_of(tmp_path / "pieces", examples=examples.to_config(examples.Pieces("tx1"))))
    assert cut["tokens"] == 4 * 30
    assert not any("second" in name for name in cut)
    assert "unigram_perplexity" in cut


@pytest.mark.usefixtures("uniform_model")
@pytest.mark.parametrize(
    ("objective", "known"), [((SelectRandomChunk(), LanguageModel()), True), ((SpanCorruption(),), False)]
)
def test_segments_of_a_language_model_have_bits_per_second_and_noise_has_none(
    tmp_path: Path, objective: Any, known: bool
):
    store = store_of(tmp_path / "pieces", examples=examples.to_config(examples.Pieces("tx1")), objectives=objective)
    found = evaluate(store, lengths={"inputs": 64, "targets": 64})
    assert ("bits_per_second" in found) == known
    assert "uniform_perplexity" not in found
