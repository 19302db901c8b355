"""Token stores made of random tokens, for the tests of the data path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from t5music.data.objectives import Objective
from t5music.data.store.codec import FeatureSpec
from t5music.data.store.token_store import StoreWriter, TokenStore
from t5music.data.vocabulary import FIRST_EVENT, Vocabulary, default

MakeStore = Callable[..., TokenStore]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return default()


@pytest.fixture
def make_store(tmp_path: Path, vocabulary: Vocabulary) -> MakeStore:
    """make_store(name, lengths, ...) -> a store whose example i has lengths[i] = (inputs, targets) random event ids."""

    def make(
        name: str,
        lengths: Sequence[tuple[int, int]],
        *,
        objectives: Sequence[Objective] = (),
        split: str = "train",
        seed: int = 0,
        add_eos: bool = True,
    ) -> TokenStore:
        rng = np.random.default_rng([seed, *name.encode()])
        features = {feature: FeatureSpec("tokens", add_eos) for feature in ("inputs", "targets")}
        path = tmp_path / name
        with StoreWriter(path, features=features, vocabulary=vocabulary, encoding="tx1", objectives=objectives) as out:
            for sizes in lengths:
                tokens = [rng.integers(FIRST_EVENT, vocabulary.size - vocabulary.sentinels, size) for size in sizes]
                out.write(split, dict(zip(("inputs", "targets"), tokens, strict=True)))
        return TokenStore.open(path, vocabulary)

    return make
