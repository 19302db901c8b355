"""Ranking: variants of one prompt in order, by how likely the model finds them and how close they are to the music.

The rule: variants take places by bits per note, the fewest first, and places by closeness, the closest first; whoever
has the smaller sum of both places comes first, and of equal sums whoever has fewer bits. Without music to be close to,
bits alone count.

Closeness is a mean of shares from 0 to 1, of what the person's music and the new notes have in common:

    scale      the pitch classes, weighted by duration: the area under both histograms
    density    notes per second: the smaller over the greater
    range      semitones from the lowest to the highest pitch: what both cover over what they cover together
    polyphony  notes that sound at once: the smaller over the greater

Of an accompaniment, which is there to be something else than its melody, the scale alone counts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from t5music.inference.likelihoods import bits_per_note
from t5music.inference.result import Rank, Result
from t5music.inference.trained_model import TrainedModel
from t5music.music.score import DRUMS, Score
from t5music.music.texture import describe


def ranked(trained: TrainedModel, results: Sequence[Result], *, accompanies: bool = False) -> list[Result]:
    """Returns variants in order, the best one first, each with its rank.

    Args:
        trained: the model that wrote them.
        results: with their exchanges, in the order of their seeds.
        accompanies: whether the new notes sound together with the person's.
    """
    bits = [bits_per_note(trained, result.exchanges) for result in results]
    shares = [_closeness_of(result, accompanies) for result in results]
    return [
        dataclasses.replace(results[index], rank=Rank(place, len(results), bits[index], shares[index]))
        for place, index in enumerate(order(bits, shares), 1)
    ]


def order(bits: Sequence[float], shares: Sequence[float | None]) -> list[int]:
    """Returns the indices of variants, the best one first.

    Args:
        bits: per note of each; infinite for one without a new note.
        shares: the closeness of each; None where it cannot be told.
    """
    distances = [math.inf if share is None else -share for share in shares]
    sums = [bits_place + place for bits_place, place in zip(_places(bits), _places(distances), strict=True)]
    return sorted(range(len(bits)), key=lambda index: (sums[index], bits[index], index))


def _places(values: Sequence[float]) -> list[int]:
    """The place of each value from 1 on, the smallest first; equal ones share theirs."""
    return [1 + sum(other < value for other in values) for value in values]


def _closeness_of(result: Result, accompanies: bool) -> float | None:
    assert result.is_new is not None
    return closeness(result.score, result.is_new, scale_alone=accompanies)


def closeness(score: Score, is_new: NDArray[np.bool_], *, scale_alone: bool = False) -> float | None:
    """How close new notes are to the others of a score, 0 to 1; see the module.

    Args:
        score: the music, old and new.
        is_new: True [notes].
        scale_alone: leaves density, range and polyphony out.

    Returns:
        The mean of the shares that can be measured; None where none can, or where there are no notes of either kind.
    """
    old, new = (score.with_notes(score.notes[part]) for part in (~is_new, is_new))
    if not len(old.notes) or not len(new.notes):
        return None
    shares = [_overlap(_pitch_classes(old), _pitch_classes(new))]
    if not scale_alone:
        one, other = _describe(old), _describe(new)
        shares += [_ratio(one[name], other[name]) for name in ("notes_per_second", "polyphony")]
        shares.append(_common_range(_pitches(old), _pitches(new)))
    measured = [share for share in shares if not math.isnan(share)]
    return float(np.mean(measured)) if measured else None


def _describe(score: Score) -> dict[str, float]:
    """`texture.describe`, from the first onset to the end of the last note."""
    ends = score.notes["onset"] + score.notes["duration"]
    begin, end = score.seconds(np.array([score.notes["onset"].min(), ends.max()])).tolist()
    return describe(score, begin, end)


def _pitches(score: Score) -> NDArray[np.int64]:
    return score.notes["pitch"][score.notes["program"] != DRUMS].astype(np.int64)


def _pitch_classes(score: Score) -> NDArray[np.float64]:
    """The share of the sounding time of each pitch class, float64 [12]; all NaN without pitched notes."""
    durations = score.notes["duration"][score.notes["program"] != DRUMS]
    counts = np.bincount(_pitches(score) % 12, durations, minlength=12)
    return counts / counts.sum() if counts.sum() else np.full(12, math.nan)


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.minimum(one, other).sum())


def _ratio(one: float, other: float) -> float:
    """The smaller over the greater; NaN where one cannot be measured."""
    return min(one, other) / max(one, other) if one > 0 and other > 0 else math.nan


def _common_range(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """What both ranges cover over all from the lowest to the highest pitch of either; NaN without pitches."""
    if not len(one) or not len(other):
        return math.nan
    common = min(one.max(), other.max()) - max(one.min(), other.min()) + 1
    either = max(one.max(), other.max()) - min(one.min(), other.min()) + 1
    return float(max(0, common) / either)
