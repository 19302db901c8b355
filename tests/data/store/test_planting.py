"""Planted training sets: how often everything is in them, and what is in none of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from t5music.data.loading import loader
from t5music.data.objectives.language_model import LanguageModel, SelectRandomChunk
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.planting import Planting, plant
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import FIRST_EVENT, Vocabulary
from t5music.errors import ConfigError, DataError

FEATURES = {"inputs": FeatureSpec(), "targets": FeatureSpec(), "piece": FeatureSpec("text", add_eos=False)}
PIECES = 30
PLANTING = Planting(repeats=(1, 3), sequences=4, words=6)


@pytest.fixture
def store(tmp_path: Path, vocabulary: Vocabulary) -> TokenStore:
    """PIECES pieces in two segments each, every tenth of which is short; tokens say piece, segment and place."""
    steps = [SelectRandomChunk(), LanguageModel()]
    with StoreWriter(
        tmp_path / "music", features=FEATURES, vocabulary=vocabulary, encoding="remi", objectives=steps
    ) as writer:
        for piece in range(PIECES):
            for segment in range(2):
                length = 4 if piece % 10 == 0 else 9
                targets = FIRST_EVENT + 20 * piece + 10 * segment + np.arange(length)
                writer.write("train", {"inputs": [], "targets": targets, "piece": f"piece {piece}"})
        writer.write("validation", {"inputs": [], "targets": [FIRST_EVENT], "piece": "v"})
    return TokenStore.open(tmp_path / "music")


def sequences(store: TokenStore, split: str) -> list[tuple[int, ...]]:
    examples = store.split(split)
    return [tuple(examples[index]["targets"].tolist()) for index in range(len(examples))]


def pieces(store: TokenStore, split: str) -> list[str]:
    examples = store.split(split)
    return [examples[index]["piece"] for index in range(len(examples))]


def test_everything_is_there_as_often_as_it_should_be(store):
    planted = plant(store, PLANTING)
    train, chosen, controls = (sequences(planted, split) for split in ("train", "planted", "controls"))
    assert len(train) == planted.examples("train") == 2 * (PIECES - 16) + 4 * (1 + 3)
    assert [train.count(sequence) for sequence in chosen] == [1] * 4 + [3] * 4
    assert len(set(chosen + controls)) == 16 == len(set(pieces(planted, "planted") + pieces(planted, "controls")))
    assert {len(sequence) for sequence in chosen + controls} == {6}
    # Nothing else of the chosen pieces is in training, and all else is, once and whole.
    taken = set(pieces(planted, "planted")) | set(pieces(planted, "controls"))
    rest = [sequence for sequence, piece in zip(sequences(store, "train"), pieces(store, "train"), strict=True)
            if piece not in taken]  # fmt: skip
    assert Counter(train) - Counter(chosen * 3) == Counter(rest)
    assert not taken & {f"piece {number}" for number in range(0, PIECES, 10)}
    assert planted.examples("validation") == 1
    with pytest.raises(IndexError):
        planted.split("train")[len(train)]


def test_a_reference_has_seen_all_but_the_planted(store):
    planted, reference = plant(store, PLANTING), plant(store, Planting((1, 3), 4, 6, present=False))
    assert sequences(reference, "planted") == sequences(planted, "planted")
    assert sequences(reference, "controls") == sequences(planted, "controls")
    assert len(sequences(reference, "train")) == 2 * (PIECES - 16)
    assert not set(pieces(reference, "train")) & set(pieces(planted, "planted"))


def test_what_is_drawn_depends_on_names_and_seed_alone(store):
    drawn = [pieces(plant(store, Planting((1, 3), 4, 6, seed=seed)), "planted") for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    fewer = pieces(plant(store, Planting((2,), 4, 6)), "planted")
    assert fewer == drawn[0][:4]


def test_the_loader_gives_an_epoch_of_it(store, vocabulary):
    planted = plant(store, PLANTING)
    batches = loader.train_batches(
        planted, feature_lengths={"inputs": 2, "targets": 12}, batch_size=4, seed=0, vocabulary=vocabulary, pack=False,
        lanes=1, prefetch=0,
    )  # fmt: skip
    rows = [tuple(row[(row > 1)].tolist()) for _ in range(11) for row in next(batches)["decoder_target_tokens"]]
    assert Counter(rows) == Counter(sequences(planted, "train"))  # 44 examples


def test_what_cannot_be_planted(store, tmp_path, vocabulary):
    with pytest.raises(DataError, match="27 training pieces of 6 words and 28 are to be planted or kept"):
        plant(store, Planting((1, 2), 7, 6))
    for repeats in ((), (0,), (2, 2)):
        with pytest.raises(ConfigError, match=r"Planting\.repeats"):
            Planting(repeats)
    with pytest.raises(ConfigError, match=r"Planting\.words must be at least 1"):
        Planting(words=0)
    with StoreWriter(tmp_path / "labels", features=FEATURES, vocabulary=vocabulary, encoding="remi") as writer:
        writer.write("train", {"inputs": [5], "targets": [6]})
    supervised = TokenStore.open(tmp_path / "labels")
    assert plant(supervised, PLANTING) is supervised
