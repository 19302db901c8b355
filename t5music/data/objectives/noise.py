"""Denoising objectives: span corruption and i.i.d. noise, with T5's arithmetic (Raffel et al. 2019, section 3.1.4)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from t5music.data.objectives.base import Example, Objective, check_fraction, length_of
from t5music.data.vocabulary import FIRST_BYTE, Ids, Vocabulary
from t5music.errors import ConfigError

Mask = NDArray[np.bool_]


def noise_counts(length: int, noise_density: float, mean_span_length: float) -> tuple[int, int]:
    """(noise tokens, noise spans) of a sequence of `length` >= 2 tokens, as T5's `random_spans_noise_mask`.

    There is at least one noise token and one other, at least one span, and no more spans than tokens of either kind.
    """
    noise = min(max(round(length * noise_density), 1), length - 1)
    spans = max(1, round(noise / mean_span_length))
    return noise, min(spans, noise, length - noise)


def span_corruption_lengths(tokens: int, noise_density: float, mean_span_length: float) -> tuple[int, int]:
    """(inputs, targets) lengths, each with EOS, that span corruption makes of `tokens` >= 2 tokens."""
    noise, spans = noise_counts(tokens, noise_density, mean_span_length)
    return tokens - noise + spans + 1, noise + spans + 1


@functools.lru_cache(maxsize=256)
def span_corruption_tokens(
    inputs: int, targets: int | None, noise_density: float = 0.15, mean_span_length: float = 3.0
) -> int:
    """The most tokens whose span corruption fits inputs and targets of these lengths, EOS included.

    With `targets` None only the inputs count: T5's `random_spans_helper`, by which inputs of 256, 512, 1024 and 2048
    come from 284, 568, 1137 and 2274 tokens. Raises ConfigError when not even two tokens fit.
    """

    def fits(tokens: int) -> bool:
        pair_lengths = span_corruption_lengths(tokens, noise_density, mean_span_length)
        return pair_lengths[0] <= inputs and (targets is None or pair_lengths[1] <= targets)

    tokens = 2
    if not fits(tokens):
        raise ConfigError(f"span corruption needs inputs and targets of at least 3, not {inputs} and {targets}")
    while fits(tokens + 1):  # both lengths never shrink as tokens grow
        tokens += 1
    return tokens


def random_composition(total: int, parts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`parts` positive integers that add up to `total`, uniform over all such compositions."""
    edges = np.empty(parts + 1, np.int64)
    edges[0], edges[-1] = 0, total
    inner = edges[1:-1]
    inner[:] = rng.choice(total - 1, parts - 1, replace=False)
    inner.sort()
    inner += 1
    return edges[1:] - edges[:-1]


def random_spans_mask(
    length: int, noise_density: float, mean_span_length: float, rng: np.random.Generator, max_spans: int
) -> Mask:
    """bool [length >= 2], True at noise: spans and gaps are random compositions; starts with a gap, ends with noise."""
    noise, spans = noise_counts(length, noise_density, mean_span_length)
    spans = min(spans, max_spans)
    runs = np.empty(2 * spans, np.int64)
    runs[1::2] = random_composition(noise, spans, rng)
    runs[::2] = random_composition(length - noise, spans, rng)
    return np.repeat(np.arange(2 * spans) % 2 == 1, runs)


def replace_spans(tokens: Ids, mask: Mask, vocabulary: Vocabulary) -> Ids:
    """Tokens [n] with every run of `mask` replaced by one sentinel, <extra_id_0> first (the highest id)."""
    starts = mask.copy()
    starts[1:] &= ~mask[:-1]
    stays = starts | ~mask
    replaced = tokens[stays].astype(np.int32, copy=False)
    at = starts[stays]
    replaced[at] = np.arange(vocabulary.size - 1, vocabulary.size - 1 - np.count_nonzero(at), -1)
    return replaced


@dataclasses.dataclass(frozen=True)
class SpanCorruption(Objective):
    """T5's span corruption of "targets".

        targets  Thank you for inviting me to your party last week
        noise              ^^^^^^^^^^^^                  ^^^^
        inputs   Thank you <extra_id_0> me to your party <extra_id_1> week
        targets  <extra_id_0> for inviting <extra_id_1> last <extra_id_2>

    Where T5's numbers ask for more spans than there are sentinels (100, from about 2,000 tokens on), there are as many
    spans as sentinels and they are longer. A sequence of fewer than two tokens has nothing to predict: its targets
    come out empty.
    """

    noise_density: float = 0.15
    mean_span_length: float = 3.0

    name: ClassVar[str] = "span_corruption"

    def __post_init__(self) -> None:
        check_fraction("noise_density", self.noise_density)
        if self.mean_span_length < 1:
            raise ConfigError(f"mean_span_length must be at least 1, not {self.mean_span_length}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        tokens = example["targets"]
        if len(tokens) < 2:
            return {**example, "inputs": tokens, "targets": tokens[:0]}
        mask = random_spans_mask(len(tokens), self.noise_density, self.mean_span_length, rng, vocabulary.sentinels)
        return {
            **example,
            "inputs": replace_spans(tokens, mask, vocabulary),
            "targets": replace_spans(tokens, ~mask, vocabulary),
        }

    def tokens_needed(self, lengths: Mapping[str, int]) -> int:
        return span_corruption_tokens(
            length_of(lengths, "inputs"), lengths.get("targets"), self.noise_density, self.mean_span_length
        )


STYLES = ("replace_spans", "drop", "mask_in_place", "bert")


@dataclasses.dataclass(frozen=True)
class IidDenoising(Objective):
    """Noise on each token of "targets" independently (the T5 paper's section 3.3.1), in one of four styles.

        style          inputs                                             targets
        replace_spans  runs of noise become one sentinel each             the noise, gaps as sentinels
        drop           noise left out                                     the noise
        mask_in_place  noise becomes <extra_id_0>, token for token        the whole text (MASS)
        bert           the same for 90 %, a random id for 10 % of it      the whole text

    One token is noise where chance picked none. In `replace_spans` at most 99 runs, chosen at random, are noise, so
    that there are sentinels for all. A sequence of fewer than two tokens gets empty targets.
    """

    noise_density: float = 0.15
    style: str = "replace_spans"

    name: ClassVar[str] = "iid_denoising"

    def __post_init__(self) -> None:
        check_fraction("noise_density", self.noise_density)
        if self.style not in STYLES:
            raise ConfigError(f"style must be one of {', '.join(STYLES)}, not {self.style!r}")

    def __call__(
        self, example: Example, rng: np.random.Generator, lengths: Mapping[str, int], vocabulary: Vocabulary
    ) -> Example:
        tokens = example["targets"]
        if len(tokens) < 2:
            return {**example, "inputs": tokens, "targets": tokens[:0]}
        mask = rng.random(len(tokens)) < self.noise_density
        if not mask.any():
            mask[rng.integers(len(tokens))] = True
        if self.style == "drop":
            return {**example, "inputs": tokens[~mask], "targets": tokens[mask]}
        if self.style == "replace_spans":
            mask = _limit_runs(mask, vocabulary.sentinels - 1, rng)
            inputs, targets = replace_spans(tokens, mask, vocabulary), replace_spans(tokens, ~mask, vocabulary)
            return {**example, "inputs": inputs, "targets": targets}
        inputs = np.where(mask, np.int32(vocabulary.sentinel(0)), tokens)
        if self.style == "bert":
            wrong = mask & (rng.random(len(tokens)) < 0.1)
            words = vocabulary.size - vocabulary.sentinels
            inputs[wrong] = rng.integers(FIRST_BYTE, words, int(wrong.sum()), dtype=np.int32)
        return {**example, "inputs": inputs, "targets": tokens}

    def tokens_needed(self, lengths: Mapping[str, int]) -> int:
        inputs, targets = length_of(lengths, "inputs"), length_of(lengths, "targets")
        return inputs - 1 if self.style in ("replace_spans", "drop") else min(inputs, targets) - 1


def _limit_runs(mask: Mask, limit: int, rng: np.random.Generator) -> Mask:
    """The mask with at most `limit` of its runs, chosen uniformly."""
    starts = mask & ~np.append(False, mask[:-1])
    runs = int(starts.sum())
    if runs <= limit:
        return mask
    chosen = np.zeros(runs + 1, bool)
    chosen[rng.choice(runs, limit, replace=False) + 1] = True
    return mask & chosen[np.cumsum(starts)]
