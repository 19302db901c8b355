"""Made-up languages: what is random in them, and what is not."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from t5music.corpora import catalogue
from t5music.corpora.base import SILENCE
from t5music.corpora.sources import synthetic
from t5music.data import vocabulary

WORDS = 388  # of the encoding performance


def piece(language: str, number: int = 0) -> list[str]:
    corpus = catalogue.get(f"synthetic_{language}")
    entry = corpus.entries(corpus.installed())[number]
    (made,) = corpus.read(entry)
    assert made.score == SILENCE
    return made.text.split(" ")


def draw(language: str, count: int, seed: int = 0) -> list[int]:
    return synthetic.LANGUAGES[language](np.random.default_rng(seed), count, WORDS).tolist()


@pytest.mark.parametrize("language", synthetic.LANGUAGES)
def test_every_word_is_one_token_and_every_piece_its_own(language: str):
    words = piece(language)
    assert len(words) == synthetic.WORDS
    assert len(vocabulary.default().encode(" ".join(words))) == synthetic.WORDS
    assert piece(language) == words
    assert piece(language, 1) != words


def test_pieces_are_in_all_splits_and_as_many_as_stated():
    corpus = catalogue.get("synthetic_flat")
    entries = corpus.entries(corpus.installed())
    assert Counter(entry.split for entry in entries) == synthetic.PIECES
    assert len({entry.id for entry in entries}) == len(entries) == corpus.files


def test_languages_differ():
    assert len({tuple(piece(language)) for language in synthetic.LANGUAGES}) == 4


def test_random_words_are_even_and_the_others_follow_zipf():
    even = np.bincount(draw("random", 400_000), minlength=WORDS)
    assert even.min() > 0.8 * even.max()
    harmonic = (1 / np.arange(1, WORDS + 1)).sum()
    for language, count in (("zipf", 200_000), ("nested", 200_000), ("flat", 4_000)):
        share = np.bincount(draw(language, count), minlength=WORDS) / count
        assert share[0] == pytest.approx(1 / harmonic, rel=0.1), language
        assert share[:10].sum() == pytest.approx((1 / np.arange(1, 11)).sum() / harmonic, rel=0.1), language


def close_nearest(words: list[int]) -> list[tuple[int, int]] | None:
    """The pairs of a text in which each word closes the one on top of the stack, if it is the same; None if one stays.

    Neighbours that are alike are taken for a pair: where nested brackets of the same word touch, which is whose partner
    makes no difference to being nested.
    """
    stack: list[int] = []
    pairs = []
    for place, word in enumerate(words):
        if stack and words[stack[-1]] == word:
            pairs.append((stack.pop(), place))
        else:
            stack.append(place)
    return None if stack else pairs


@pytest.mark.parametrize("seed", range(20))
def test_nested_words_close_in_the_order_of_a_stack(seed: int):
    assert close_nearest(draw("nested", 200, seed)) is not None


def test_flat_pairs_cross():
    unclosed = [close_nearest(draw("flat", 200, seed)) is None for seed in range(20)]
    assert all(unclosed)
    for seed in range(20):
        assert all(count % 2 == 0 for count in Counter(draw("flat", 200, seed)).values())


def test_pairs_are_as_far_apart_in_both():
    """With so many words that none comes twice, the pairs of a text can be seen."""

    def spans(language: str) -> np.ndarray:
        drawn = []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            places: dict[int, list[int]] = {}
            unique = _unique(language, rng)
            for place, word in enumerate(unique):
                places.setdefault(word, []).append(place)
            drawn += [end - begin for begin, end in places.values()]
        return np.array(drawn)

    nested, flat = spans("nested"), spans("flat")
    assert (nested % 2 == 1).all()
    assert np.mean(nested == 1) == pytest.approx(1 - synthetic.OPEN, abs=0.03)
    assert 0.45 < np.mean(flat == 1) < np.mean(nested == 1)  # where the next place is taken, a pair goes farther
    assert np.median(nested) == np.median(flat) == 1
    assert flat.mean() == pytest.approx(nested.mean(), rel=0.25)


def _unique(language: str, rng: np.random.Generator) -> list[int]:
    """A text in which every pair has a word of its own."""
    numbers = itertools.count()

    def each(rng: np.random.Generator, count: int, ranks: int) -> np.ndarray:
        return np.array([next(numbers) for _ in range(count)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "by_zipf", each)
        return synthetic.LANGUAGES[language](rng, 1000, 10**6).tolist()


def test_distances_are_those_of_a_walk_that_goes_up_with_probability_open():
    """Against walks: how long one that begins at height 1 takes to come down."""
    rng = np.random.default_rng(0)
    steps = np.cumsum(np.where(rng.random((20_000, 63)) < synthetic.OPEN, 1, -1), axis=1)
    down = steps < 0
    first = np.where(down.any(axis=1), down.argmax(axis=1) + 1, 0)
    found = np.bincount(first[first > 0], minlength=64) / (first > 0).sum()
    expected = synthetic.distances(63)
    assert expected.sum() == pytest.approx(1)
    np.testing.assert_allclose(found[:64], expected, atol=0.01)
