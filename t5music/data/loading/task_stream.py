"""Task stream: the endless visits to the examples of one task, in an order of its own for every epoch.

Visit n of a task of N examples is number n % N of epoch n // N; every epoch goes through all the examples in an order
of its own. Everything random is drawn from (seed, task, example, epoch) and nothing else, so the same visit gives the
same tokens on any machine, in any thread, however often it is asked for.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from t5music.data import objectives
from t5music.data.examples.base import names_pitches
from t5music.data.loading.packing import Pair
from t5music.data.objectives.base import LOSS_WEIGHTS, READ_TARGETS, Objective
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import EOS_ID, Ids, Vocabulary
from t5music.errors import ConfigError, DataError

FEATURES = ("inputs", "targets")


def check_lengths(feature_lengths: Mapping[str, int]) -> dict[str, int]:
    """The lengths of inputs and targets. Raises ConfigError when one is missing or below 2 (a token and EOS)."""
    for feature in FEATURES:
        if feature_lengths.get(feature, 0) < 2:
            raise ConfigError(
                f"TASK_FEATURE_LENGTHS needs {feature!r} of at least 2, not {feature_lengths.get(feature)}"
            )
    return {feature: int(feature_lengths[feature]) for feature in FEATURES}


def _words(number: int) -> tuple[int, ...]:
    """A number in 32-bit words, the least first: what NumPy's seeding makes of it, but slowly."""
    return tuple((number >> shift) & 0xFFFFFFFF for shift in range(0, max(1, number.bit_length()), 32))


class TaskStream:
    """Inputs and targets of the visits of one split of one store."""

    def __init__(
        self,
        store: TokenStore,
        split: str,
        *,
        feature_lengths: Mapping[str, int],
        vocabulary: Vocabulary,
        seed: int,
        augmentations: Sequence[Objective] = (),
    ) -> None:
        """`augmentations` are steps applied before the task's own objectives, where they leave its answers right.

        Raises DataError for a store of another vocabulary, a missing or empty split, or no inputs and targets.
        """
        store.check_vocabulary(vocabulary)
        features = store.features
        for feature in FEATURES:
            if feature not in features or features[feature].kind != "tokens":
                raise DataError(f"store {store.path} has no tokens {feature!r}: compile {store.name} again")
        if seed < 0:
            raise ConfigError(f"the seed must not be negative, not {seed}")
        self.name = store.name
        self.examples = store.split(split)
        self._lengths = check_lengths(feature_lengths)
        moving = [step for step in augmentations if step.moves_pitches]
        if moving and names_pitches(store.kind):
            augmentations = [step for step in augmentations if step not in moving]
        steps = [*augmentations, *store.objectives]
        later = [steps[place + 1 :] for place in range(len(steps))]
        self._steps = [objectives.settle(step, rest, self._lengths) for step, rest in zip(steps, later, strict=True)]
        self._add_eos = {feature: features[feature].add_eos for feature in FEATURES}
        self._vocabulary = vocabulary
        self._seed = seed
        self._task = int.from_bytes(hashlib.sha256(store.name.encode()).digest()[:8], "little")
        self._entropy = (*_words(seed), *_words(self._task))
        self._order = functools.lru_cache(maxsize=4)(self._shuffle)  # lanes are not all in the same epoch

    def where(self, visit: int) -> tuple[int, int]:
        """(example index, epoch) of a visit."""
        epoch, position = divmod(visit, len(self.examples))
        return int(self._order(epoch)[position]), epoch

    def _shuffle(self, epoch: int) -> NDArray[np.int32]:
        rng = np.random.default_rng((self._seed, self._task, epoch))
        return rng.permutation(np.arange(len(self.examples), dtype=np.int32))

    def pair(self, index: int, epoch: int) -> Pair:
        """Inputs and targets of an example in an epoch: objective applied, trimmed to length, EOS added."""
        example = self.examples[index]
        if self._steps:  # where nothing is drawn, making a generator would be half of the work
            rng = np.random.default_rng(np.array([*self._entropy, index, epoch], np.uint32))
            for step in self._steps:
                example = step(example, rng, self._lengths, self._vocabulary)
        inputs, targets = self._end(example["inputs"], "inputs"), self._end(example["targets"], "targets")
        weights, read = example.get(LOSS_WEIGHTS), example.get(READ_TARGETS)
        return Pair(
            inputs,
            targets,
            None if weights is None else self._weights(weights, len(targets)),
            None if read is None else self._end(read, "targets"),
        )

    def has_targets(self, pair: Pair) -> bool:
        """Whether there is anything to predict but EOS."""
        return len(pair.targets) > self._add_eos["targets"]

    def _end(self, tokens: Ids, feature: str) -> Ids:
        if not self._add_eos[feature]:
            return tokens[: self._lengths[feature]]
        count = min(len(tokens), self._lengths[feature] - 1)
        ended = np.empty(count + 1, np.int32)
        ended[:count] = tokens[:count]
        ended[count] = EOS_ID
        return ended

    def _weights(self, weights: NDArray[np.float32], length: int) -> NDArray[np.float32]:
        """What the loss of each of `length` trimmed targets counts: EOS 1."""
        return np.append(weights[: length - 1], np.float32(1)) if self._add_eos["targets"] else weights[:length]
