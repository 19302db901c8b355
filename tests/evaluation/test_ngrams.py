"""Modified Kneser-Ney against its definition, n-gram by n-gram, and against what must hold of any probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from t5music.errors import ConfigError
from t5music.evaluation.ngrams import FALLBACK, NGrams

SYMBOLS = 5
BEGIN = "<s>"
Gram = tuple[object, ...]


class Definition:
    """Chen & Goodman's formulas with dictionaries, as slow as they are plain."""

    def __init__(self, sequences: Sequence[Sequence[int]], order: int) -> None:
        rows = [[BEGIN, *sequence] for sequence in sequences]
        self.order = order
        self.occurs = [
            Counter(tuple(row[end - size : end]) for row in rows for end in range(max(size, 2), len(row) + 1))
            for size in range(order + 1)
        ]
        self.discounts = [self.estimate(size) for size in range(order + 1)]

    def count(self, gram: Gram) -> int:
        size = len(gram)
        if size == self.order or gram[0] == BEGIN:
            return self.occurs[size][gram]
        return sum(longer[1:] == gram for longer in self.occurs[size + 1])

    def estimate(self, size: int) -> tuple[float, ...]:
        of_counts = Counter(self.count(gram) for gram in self.occurs[size]) if size else Counter()
        n1, n2, n3, n4 = (of_counts[times] for times in (1, 2, 3, 4))
        if not (n1 and n2 and n3):
            return FALLBACK
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return found if all(0 < d <= j for j, d in enumerate(found, 1)) else FALLBACK

    def probability(self, symbol: int, context: Gram) -> float:
        size = len(context) + 1
        lower = self.probability(symbol, context[1:]) if context else 1 / SYMBOLS
        after = [self.count(gram) for gram in self.occurs[size] if gram[:-1] == context]
        if not after:
            return lower

        def discount(count: int) -> float:
            return self.discounts[size][min(count, 3) - 1] if count else 0.0

        here = self.count((*context, symbol))
        return (here - discount(here) + sum(map(discount, after)) * lower) / sum(after)

    def logs(self, sequences: Sequence[Sequence[int]]) -> list[float]:
        rows = [[BEGIN, *sequence] for sequence in sequences]
        return [
            float(np.log(self.probability(row[at], tuple(row[max(0, at - self.order + 1) : at]))))  # type: ignore[arg-type]
            for row in rows
            for at in range(1, len(row))
        ]


def sequences(seed: int, number: int) -> list[list[int]]:
    """Sequences in which some things follow others more often."""
    rng = np.random.default_rng(seed)
    made = []
    for length in rng.integers(0, 14, number):
        row = [int(rng.integers(SYMBOLS - 1))]
        for _ in range(length):
            row.append(int((row[-1] + rng.geometric(0.6)) % SYMBOLS))
        made.append(row)
    return made


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("number", [1, 4, 30])
def test_probabilities_are_those_of_the_definition(order: int, number: int):
    train, test = sequences(number, number), [*sequences(99, 5), []]
    ours = NGrams([np.array(row) for row in train], SYMBOLS, order).log_probabilities(test)
    np.testing.assert_allclose(ours, Definition(train, order).logs(test), rtol=1e-12)


def test_the_estimated_discounts_are_used():
    model = NGrams(sequences(0, 200), SYMBOLS, 4)
    assert not np.array_equal(model._discounts[3][1:], FALLBACK)
    assert (np.diff(model._discounts[3]) > 0).all()


def test_the_probabilities_of_what_may_follow_add_up_to_one():
    model = NGrams(sequences(1, 40), SYMBOLS, 4)
    for context in ([], [1], [2, 3, 4], [4, 4, 4, 4], [0, 1, 2, 3, 0]):
        last = [model.log_probabilities([[*context, symbol]])[-1] for symbol in range(SYMBOLS)]
        assert np.exp(last).sum() == pytest.approx(1)


def test_a_longer_memory_helps_where_there_is_something_to_remember():
    song = [0, 1, 2, 0, 3, 2, 1, 1] * 40
    found = [-NGrams([song], SYMBOLS, order).log_probabilities([song]).mean() for order in (1, 2, 3, 5)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.1 < found[0]


def test_nothing_learnt_is_uniform():
    np.testing.assert_allclose(NGrams([], SYMBOLS).log_probabilities([[0, 4]]), np.log([1 / SYMBOLS] * 2))


def test_no_order_below_one():
    with pytest.raises(ConfigError, match="at least 1 symbol"):
        NGrams([], SYMBOLS, 0)
