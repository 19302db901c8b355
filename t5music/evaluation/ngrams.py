"""N-grams: language models with interpolated, modified Kneser-Ney smoothing (Chen & Goodman 1998, section 4.1).

The customary baseline beside a neural language model. Below the highest order, an n-gram's count is the number of
distinct contexts it follows; at the beginning of a sequence, where nothing precedes it, how often it occurs. Every
order has its own discounts, for what occurs once, twice, and three times or more, and what they free goes to the order
below. Below the unigrams all symbols are alike, so that no probability is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from t5music.errors import ConfigError

FALLBACK = (0.5, 1.0, 1.5)  # discounts where the counts of counts give none, as KenLM's --discount_fallback has them


class NGrams:
    """An n-gram model of sequences of symbols 0 .. symbols - 1; an end that is to be predicted is a symbol like others.

    N-grams of each order are ranked by (the rank of the n-gram without its last symbol, that symbol), so one number
    stands for a whole n-gram, and a look-up is a binary search.
    """

    def __init__(self, sequences: Sequence[ArrayLike], symbols: int, order: int = 5) -> None:
        """Counts the n-grams of up to `order` symbols in int sequences [n]; ConfigError for an order below 1."""
        if order < 1:
            raise ConfigError(f"an n-gram has at least 1 symbol, not {order}")
        self.symbols, self.order = symbols, order
        self._base = symbols + 1  # the last one is what every sequence begins with, and is never predicted
        tokens, places = self._lay_out(sequences)
        self._keys: list[NDArray[np.int64]] = []
        ranks: list[NDArray[np.int64]] = []  # of the n-gram that ends at each token; -1 where its sequence is too young
        for size in range(1, order + 1):
            keys = self._keys_of(tokens, ranks)
            is_whole = places >= size - 1
            distinct = np.append(np.unique(keys[is_whole]), np.iinfo(np.int64).max)  # so a search never ends beyond
            self._keys.append(distinct)
            ranks.append(np.where(is_whole, np.searchsorted(distinct, keys), -1))
        self._counts = [self._adjusted(size, ranks, places) for size in range(1, order + 1)]
        self._discounts = [_discounts(counts) for counts in self._counts]
        self._totals: list[NDArray[np.float64]] = []  # of each context of an order: the counts of what follows it,
        self._shares: list[NDArray[np.float64]] = []  # and the share of them that the order below gets
        contexts = 1
        for distinct, counts, discounts in zip(self._keys, self._counts, self._discounts, strict=True):
            context = distinct[:-1] // self._base
            total = np.bincount(context, counts[:-1], minlength=contexts).astype(np.float64)
            freed = np.bincount(context, discounts[np.minimum(counts[:-1], 3)], minlength=contexts)
            self._totals.append(total)
            self._shares.append(freed / np.maximum(total, 1))
            contexts = len(distinct)

    def log_probabilities(self, sequences: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """Returns the natural logarithm of every symbol's probability after those before it.

        Args:
            sequences: of symbols, int [n] each.

        Returns:
            float64 [symbols of all sequences], one sequence after another.
        """
        tokens, places = self._lay_out(sequences)
        probabilities = np.full(len(tokens), 1.0 / self.symbols)
        ranks: list[NDArray[np.int64]] = []
        for distinct, counts, discounts, totals, shares in zip(
            self._keys, self._counts, self._discounts, self._totals, self._shares, strict=True
        ):
            keys = self._keys_of(tokens, ranks)
            context = keys // self._base
            place = np.searchsorted(distinct, keys)
            is_counted = distinct[place] == keys
            count = np.where(is_counted, counts[place], 0)
            total = np.where(context >= 0, totals[context], 0)  # 0 for a context that was never met
            discounted = (count - discounts[np.minimum(count, 3)]) / np.maximum(total, 1)
            probabilities = np.where(total > 0, discounted + shares[context] * probabilities, probabilities)
            ranks.append(np.where(is_counted, place, -1))
        return np.log(probabilities[places > 0])

    def _lay_out(self, sequences: Sequence[ArrayLike]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The sequences in one, each after the symbol of its beginning, and each token's place in its own."""
        rows = [np.asarray(sequence, np.int64) for sequence in sequences]
        tokens = np.concatenate([np.append(self.symbols, row) for row in rows] or [np.empty(0, np.int64)])
        places = np.concatenate([np.arange(len(row) + 1) for row in rows] or [np.empty(0, np.int64)])
        return tokens, places

    def _keys_of(self, tokens: NDArray[np.int64], shorter: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """What n-grams are ranked by, given the ranks of the shorter ones; negative where these are not known."""
        if not shorter:
            return tokens
        return np.append(-1, shorter[-1][:-1])[: len(tokens)] * self._base + tokens

    def _adjusted(self, size: int, ranks: Sequence[NDArray], places: NDArray) -> NDArray[np.int64]:
        """What each n-gram of a size counts (see the module), by rank; 0 for the beginning alone."""
        rank, number = ranks[size - 1], len(self._keys[size - 1])
        counted = (places > 0) & (rank >= 0) & ((size == self.order) | (places == size - 1))
        counts = np.bincount(rank[counted], minlength=number)
        if size < self.order:
            longer = ranks[size]
            _, one_of_each = np.unique(longer, return_index=True)
            one_of_each = one_of_each[longer[one_of_each] >= 0]
            counts += np.bincount(rank[one_of_each], minlength=number)
        return counts


def _discounts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """What is taken off counts of 0, 1, 2 and more [4]: Chen & Goodman's estimates from the counts of counts."""
    once, twice, thrice, four = np.bincount(np.minimum(counts, 5), minlength=6)[1:5]
    if not (once and twice and thrice):
        return np.array([0.0, *FALLBACK])
    part = once / (once + 2 * twice)
    estimates = np.array([1 - 2 * part * twice / once, 2 - 3 * part * thrice / twice, 3 - 4 * part * four / thrice])
    return np.append(0.0, estimates if ((estimates > 0) & (estimates <= [1, 2, 3])).all() else FALLBACK)
