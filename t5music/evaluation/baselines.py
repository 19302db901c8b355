"""Baselines: what a model's likelihoods stand beside, learnt by what knows no music.

    uniform   every word of the encoding is as likely as any other
    unigram   how often each word occurs in the training targets
    ngram     an n-gram model of the training targets, where one is asked for

Bits per second stand here too: they belong beside a model's figures only where all the music was scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from t5music.data.examples import Pieces, Songs
from t5music.data.objectives.language_model import LanguageModel, SelectRandomChunk
from t5music.data.store.token_store import TRAIN, TokenStore
from t5music.data.vocabulary import EOS_ID, FIRST_BYTE, FIRST_EVENT, Vocabulary
from t5music.evaluation import metrics
from t5music.evaluation.ngrams import NGrams


class Cost(NamedTuple):
    """What predicting some targets costs: nats in all, over so many tokens and notes."""

    nats: float
    tokens: float
    notes: float


class Baselines:
    """The baselines of a split of a store: learnt from the training targets, once, for any number of models."""

    def __init__(self, store: TokenStore, split: str, *, ngram: int | None = None) -> None:
        """Learns nothing yet.

        Args:
            store: whose targets are predicted.
            split: of them.
            ngram: order of an n-gram model to learn; None for none.
        """
        self._store, self._split, self._ngram = store, split, ngram
        self._learnt: dict[str, Cost] | None = None

    def beside(self, scores: Mapping[str, float], vocabulary: Vocabulary) -> dict[str, float]:
        """Returns what stands beside a model's figures: its bits per second, and the figures of the baselines.

        The unigrams and n-grams are asked all targets of the split, whatever the limit. There are none for noised
        targets.

        Args:
            scores: the model's, as `likelihood.evaluate` returns them.
            vocabulary: the store's.

        Returns:
            "bits_per_second" where every word of every piece was scored; "uniform_perplexity",
            "uniform_bits_per_note", ..., of each baseline.
        """
        seconds = self._store.splits[self._split].seconds if self._is_whole(scores) else None
        figures = {}
        if seconds is not None:
            figures["bits_per_second"] = metrics.bits_per_second(scores["loss"] * scores["tokens"], seconds)
        if self._store.objectives:
            return figures
        for name, cost in {"uniform": self._uniform(scores, vocabulary), **self._of_split(vocabulary)}.items():
            figures[f"{name}_perplexity"] = metrics.perplexity(cost.nats / cost.tokens)
            figures[f"{name}_bits_per_note"] = metrics.bits_per_note(cost.nats, cost.notes)
            if seconds is not None:
                figures[f"{name}_bits_per_second"] = metrics.bits_per_second(cost.nats, seconds)
        return figures

    def _is_whole(self, scores: Mapping[str, float]) -> bool:
        """Whether every word of every piece was scored: only then the split's seconds belong to the figures."""
        entry = self._store.splits[self._split]
        is_plain = all(isinstance(step, SelectRandomChunk | LanguageModel) for step in self._store.objectives)
        is_music = type(self._store.kind) in (Pieces, Songs)
        return is_plain and is_music and scores["tokens"] == entry.tokens["targets"] + entry.examples

    def _uniform(self, scores: Mapping[str, float], vocabulary: Vocabulary) -> Cost:
        """What the model's own targets cost where all possible tokens are alike."""
        possible = self._possible(vocabulary).sum()
        return Cost(float(scores["tokens"]) * math.log(possible), scores["tokens"], scores["notes"])

    def _of_split(self, vocabulary: Vocabulary) -> dict[str, Cost]:
        """What all targets of the split cost those baselines that learn."""
        if self._learnt is None:
            possible = self._possible(vocabulary)
            symbols = int(possible.sum())
            counts, tokens = self._counts(TRAIN, possible), self._counts(self._split, possible)
            size, notes = int(tokens.sum()), self._store.splits[self._split].notes
            self._learnt = {"unigram": Cost(metrics.unigram_nats(counts, tokens), size, notes)}
            if self._ngram is not None:
                model = NGrams(list(self._targets(TRAIN, possible)), symbols, self._ngram)
                nats = -float(model.log_probabilities(list(self._targets(self._split, possible))).sum())
                self._learnt["ngram"] = Cost(nats, size, notes)
        return self._learnt

    def _possible(self, vocabulary: Vocabulary) -> NDArray[np.bool_]:
        """Which ids a model of the targets has to consider, bool [vocabulary].

        The encoding's words and EOS; in text without any, such as the names of chords, the bytes and EOS.
        """
        possible = vocabulary.event_mask(self._store.encoding).copy()
        train = self._store.split(TRAIN)
        first = train[0]["targets"] if len(train) else np.empty(0, np.int32)
        if len(first) and not possible[first].any():
            possible[:] = False
            possible[FIRST_BYTE:FIRST_EVENT] = True
        possible[EOS_ID] = True
        return possible

    def _targets(self, split: str, possible: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
        """Yields each example's targets and EOS as symbols, int [tokens]: possible ids, counted from 0."""
        symbol = np.cumsum(possible) - 1
        examples = self._store.split(split)
        for index in range(len(examples)):
            ids = np.append(examples[index]["targets"], EOS_ID)
            yield symbol[ids[possible[ids]]]

    def _counts(self, split: str, possible: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How often each symbol occurs in the targets of a split, int [symbols]."""
        counts = np.zeros(int(possible.sum()), np.int64)
        for row in self._targets(split, possible):
            counts += np.bincount(row, minlength=len(counts))
        return counts
