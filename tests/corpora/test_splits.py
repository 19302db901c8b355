"""Dealing groups into splits."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.corpora.base import SPLITS, assign_splits, merge_groups

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
    dealt = Counter(assign_splits([f"piece {n}" for n in range(5000)], validation=0.1, test=0.2).values())
    assert dealt["validation"] / 5000 == pytest.approx(0.1, abs=0.015)
    assert dealt["test"] / 5000 == pytest.approx(0.2, abs=0.015)


def test_a_group_comes_to_the_same_side_in_every_corpus():
    pieces = [f"piece {n}" for n in range(300)]
    one, other = assign_splits(pieces[:200]), assign_splits(pieces[100:])
    assert all(one[piece] == other[piece] for piece in pieces[100:200])


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "x", "y", "z"])), min_size=1, max_size=30))
def test_groups_are_closed_under_opening_and_declaration(pieces: list[tuple[str, str]]):
    openings, declared = zip(*pieces, strict=True)
    groups = merge_groups(openings, declared)
    for (opening, name), group in zip(pieces, groups, strict=True):
        for (other, other_name), other_group in zip(pieces, groups, strict=True):
            if opening == other or (name and name == other_name):
                assert group == other_group
        assert group <= opening
    alone = {opening for opening, name in pieces if not name} - {opening for opening, name in pieces if name}
    assert all(group == opening for opening, group in zip(openings, groups, strict=True) if opening in alone)
