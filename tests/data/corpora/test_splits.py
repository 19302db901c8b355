"""Dealing groups into splits."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from t5music.data.corpora.base import SPLITS, assign_splits

names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60)


@given(names, st.randoms())
def test_order_plays_no_part(groups: list[str], rng: random.Random):
    shuffled = list(groups)
    rng.shuffle(shuffled)
    assert assign_splits(groups) == assign_splits(shuffled)


@given(names)
def test_every_group_once_and_every_split_filled_when_it_can_be(groups: list[str]):
    dealt = assign_splits(groups)
    assert set(dealt) == set(groups)
    if len(set(groups)) >= 3:
        assert set(dealt.values()) == set(SPLITS)


def test_shares():
    dealt = Counter(assign_splits([f"piece {n}" for n in range(1000)], validation=0.1, test=0.2).values())
    assert dealt == {"train": 700, "validation": 100, "test": 200}
