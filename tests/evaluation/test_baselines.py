"""What stands beside a model's figures, where the targets are text: the rest is in `test_evaluating_songs.py`."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from t5music.data import examples
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import default
from t5music.evaluation.baselines import Baselines

TEXTS = {"train": ["| C | F G7 |", "| Am | E |"], "test": ["| Am | C |"]}


def test_text_without_music_is_foretold_by_its_bytes(tmp_path: Path):
    vocabulary = default()
    kind = examples.NameChords("lied", "remi", ("voice",))
    features = {feature: FeatureSpec() for feature in ("inputs", "targets")}
    settings = {"examples": examples.to_config(kind), "encoding": "remi"}
    with StoreWriter(tmp_path / "chords", features=features, vocabulary=vocabulary, **settings) as writer:
        for split, texts in TEXTS.items():
            for text in texts:
                writer.write(split, {"inputs": vocabulary.encode("Bar"), "targets": vocabulary.encode(text)})
    scores = {"loss": 1.0, "tokens": 11.0, "notes": 0.0}
    figures = Baselines(TokenStore.open(tmp_path / "chords", vocabulary), "test").beside(scores, vocabulary)

    end = "$"  # EOS
    seen = Counter("".join(text + end for text in TEXTS["train"]))
    target = TEXTS["test"][0] + end
    total = sum(seen.values()) + 257  # 256 bytes and EOS, each one more
    nats = -sum(math.log((seen[letter] + 1) / total) for letter in target)
    assert figures["unigram_perplexity"] == pytest.approx(math.exp(nats / len(target)))
    assert figures["uniform_perplexity"] == pytest.approx(257)
