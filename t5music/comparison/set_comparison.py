"""Set comparison: the figures of a set of music beside a reference's, with bootstrap intervals over pieces.

Where files of the same names stand in both, and no others, the sets are paired: a resample draws a piece and its
counterpart together. Else each set is resampled on its own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from t5music.analysis import repetition
from t5music.analysis.descriptors import MEANINGS, describe_piece
from t5music.comparison import distances, note_matching, resampling, vector_distances
from t5music.comparison.distances import SetDistances
from t5music.comparison.music_sets import MusicSet
from t5music.comparison.note_histograms import note_histograms
from t5music.comparison.resampling import Interval
from t5music.music.score import Score

HISTOGRAMS = {
    "pitch_classes": "histogram of pitch classes, by duration",
    "pitch_class_transitions": "transitions between the pitch classes of the highest line",
    "note_lengths": "histogram of note lengths",
    "note_length_transitions": "transitions between note lengths",
}
DISTANCE_RESAMPLES, FRECHET_RESAMPLES = 500, 200  # which take long

Vectors = tuple[NDArray[np.float32], NDArray[np.float32]]
Draws = tuple[NDArray[np.float64], NDArray[np.float64]]  # of both sets, [resamples, pieces] each


@dataclass(frozen=True)
class Estimate:
    """A figure with its bootstrap interval; None where it cannot be had."""

    value: float | None
    interval: Interval | None = None


NOTHING = Estimate(None)


@dataclass(frozen=True)
class Measure:
    """What a piece is described by, in both sets.

    Attributes:
        name: of the descriptor or histogram.
        meaning: in words.
        mean: over the set's pieces; None of a histogram.
        reference_mean: over the reference's.
        difference: of the means.
        relative: the difference over the reference's mean.
        overlap: see `distances.Likeness`, as for divergence.
        divergence: likewise; None where it is infinite.
        values: of each piece of both sets; empty for histograms.
    """

    name: str
    meaning: str
    mean: float | None
    reference_mean: float | None
    difference: Estimate
    relative: Estimate
    overlap: Estimate
    divergence: Estimate
    values: tuple[list[float], list[float]] = field(default=([], []), repr=False)


@dataclass(frozen=True)
class Comparison:
    """All figures of a set beside its reference.

    Attributes:
        sets: the set and its reference.
        is_paired: whether their pieces are counterparts of each other.
        seed: of the resamples.
        measures: what each piece is described by.
        of_sets: name -> figure of both sets together.
        remarks: what could not be measured, and why; a sentence each.
    """

    sets: tuple[MusicSet, MusicSet]
    is_paired: bool
    seed: int
    measures: list[Measure]
    of_sets: dict[str, Estimate]
    remarks: list[str]


def compare(
    candidate: MusicSet,
    reference: MusicSet,
    *,
    vectors: Callable[[MusicSet], NDArray[np.float32]] | None = None,
    region: tuple[float, float] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compares a set of music with a reference.

    Args:
        candidate: the set that is judged; at least two pieces, as of the reference.
        reference: what it should be like.
        vectors: gives a vector for each piece of a set, [pieces, n]; no distances of vectors if None.
        region: (begin, end) in seconds, of the notes that count where pieces are paired; all if None.
        seed: of the resamples.
    """
    sets = (candidate, reference)
    remarks: list[str] = []
    stems = (candidate.by_stem(), reference.by_stem())
    is_paired = set(stems[0]) == set(stems[1]) and all(
        len(stem) == len(part.names) for stem, part in zip(stems, sets, strict=True)
    )
    if is_paired:  # in the same order
        names = dict(zip(stems[1], reference.names, strict=True))
        reference = dataclasses.replace(
            reference,
            names=tuple(names[stem] for stem in stems[0]),
            scores=tuple(stems[1][stem] for stem in stems[0]),
        )
        sets = (candidate, reference)
    counts = [len(part.scores) for part in sets]
    draws = _draws(counts, is_paired=is_paired, seed=seed)
    if draws is None:
        remarks.append(f"Intervals need {resampling.FEWEST} pieces or more in each folder.")
    measures, repeats = _measures(sets, draws, seed, remarks)
    of_sets = {"similarity_error": _similarity_error(repeats, draws)}
    if vectors is not None:
        of_sets |= _in_encoder_space((vectors(candidate), vectors(reference)), seed, remarks)
    of_sets |= _pairs(stems, region, seed, remarks)
    return Comparison(sets, is_paired, seed, measures, of_sets, remarks)


def _draws(counts: Sequence[int], *, is_paired: bool, seed: int) -> Draws | None:
    """The resamples of sets of so many pieces; None where one is too small.

    Distances between sets are resampled as if they were not paired: a piece and its counterpart would be drawn together
    more often than other pairs.
    """
    if min(counts) < resampling.FEWEST:
        return None
    rng = np.random.default_rng(seed)
    first = resampling.draws(counts[0], rng)
    return first, first if is_paired else resampling.draws(counts[1], rng)


def _measures(
    sets: tuple[MusicSet, MusicSet], draws: Draws | None, seed: int, remarks: list[str]
) -> tuple[list[Measure], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """What each piece is described by; and the likeness of bars by lag, [pieces, lags], of both sets."""
    tables: list[dict[str, NDArray[np.float64]]] = []
    repeats = []
    for part in sets:
        rows: list[Mapping[str, float | NDArray[np.float64]]] = []
        lags = []
        for score in tqdm(part.scores, desc=f"describe {part.name}", unit="piece", dynamic_ncols=True, disable=None):
            rows.append({**describe_piece(score), **note_histograms(score)})
            lags.append(repetition.similarity_by_lag(repetition.bars_of(score)))
        tables.append({name: np.array([row[name] for row in rows], float) for name in rows[0]})
        repeats.append(np.array(lags))
    chosen = [_few(len(part.scores), seed) for part in sets]
    for part, places in zip(sets, chosen, strict=True):
        if len(places) < len(part.scores):
            remarks.append(
                f"Overlaps and KL are of {len(places)} pieces of {part.name}, drawn by seed {seed}, of "
                f"{len(part.scores)}."
            )
    if min(map(len, chosen)) < distances.FEWEST:
        remarks.append(f"Overlaps and KL need {distances.FEWEST} pieces or more in each folder.")
    drawn = _draws([len(places) for places in chosen], is_paired=False, seed=seed)
    distance_draws = None if drawn is None else (drawn[0][:DISTANCE_RESAMPLES], drawn[1][:DISTANCE_RESAMPLES])
    measures = []
    names = MEANINGS | HISTOGRAMS
    for name in tqdm(names, desc="compare", unit="measure", dynamic_ncols=True, disable=None):
        candidate, reference = tables[0][name], tables[1][name]
        likeness = _likeness(candidate[chosen[0]], reference[chosen[1]], distance_draws)
        if name in HISTOGRAMS:
            measures.append(Measure(name, names[name], None, None, NOTHING, NOTHING, *likeness))
        else:
            figures = _difference(candidate, reference, draws)
            measures.append(
                Measure(name, names[name], *figures, *likeness, values=(candidate.tolist(), reference.tolist()))
            )
    return measures, (repeats[0], repeats[1])


def _few(count: int, seed: int) -> NDArray[np.int64]:
    """The places of the pieces whose distances are compared: all, or MOST_PIECES of them."""
    if count <= distances.MOST_PIECES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, distances.MOST_PIECES, replace=False))


def _difference(
    candidate: NDArray[np.float64], reference: NDArray[np.float64], draws: Draws | None
) -> tuple[float | None, float | None, Estimate, Estimate]:
    """(mean, the reference's, their difference, the difference over the reference's mean)."""
    means = [None if np.isnan(part).all() else float(np.nanmean(part)) for part in (candidate, reference)]
    mean, reference_mean = means
    if mean is None or reference_mean is None:
        return mean, reference_mean, NOTHING, NOTHING
    difference, relative = None, None
    if draws is not None:
        left, right = (resampling.means(part, drawn) for part, drawn in zip((candidate, reference), draws, strict=True))
        difference = resampling.interval(left - right)
        ratio = np.divide(left, right, out=np.full(len(left), math.nan), where=right > 0) - 1
        relative = resampling.interval(ratio)
    share = Estimate(mean / reference_mean - 1, relative) if reference_mean > 0 else NOTHING
    return mean, reference_mean, Estimate(mean - reference_mean, difference), share


def _likeness(
    candidate: NDArray[np.float64], reference: NDArray[np.float64], draws: Draws | None
) -> tuple[Estimate, Estimate]:
    """(overlap, divergence) of the distances of a feature."""
    pairs = SetDistances(candidate, reference)
    likeness = pairs.likeness()
    if likeness is None:
        return NOTHING, NOTHING
    overlap, divergence = pairs.resampled(*draws) if draws is not None else (np.empty(0), np.empty(0))
    finite = likeness.divergence if math.isfinite(likeness.divergence) else None
    return (
        Estimate(likeness.overlap, resampling.centred_interval(likeness.overlap, overlap, 0, 1)),
        Estimate(finite, None if finite is None else resampling.centred_interval(finite, divergence, 0)),
    )


def _similarity_error(lags: tuple[NDArray[np.float64], NDArray[np.float64]], draws: Draws | None) -> Estimate:
    """Museformer's: the mean difference of the likeness of bars t bars apart, over t that both sets have."""

    def error(drawn: Draws) -> NDArray[np.float64]:
        """Of resamples, [resamples]; NaN where the sets have no lag in common."""
        means = [
            np.stack([resampling.means(lag, weights) for lag in part.T], axis=1)  # [resamples, lags]
            for part, weights in zip(lags, drawn, strict=True)
        ]
        return np.ma.masked_invalid(np.abs(means[0] - means[1])).mean(axis=1).filled(math.nan)

    whole = float(error((np.ones((1, len(lags[0]))), np.ones((1, len(lags[1])))))[0])
    if math.isnan(whole):
        return NOTHING
    return Estimate(whole, None if draws is None else resampling.centred_interval(whole, error(draws), 0))


def _in_encoder_space(vectors: Vectors, seed: int, remarks: list[str]) -> dict[str, Estimate]:
    """The distances of the sets' vectors."""
    if min(map(len, vectors)) < 2:
        remarks.append("Distances in the encoder's space need two pieces in each folder that the encoder can read.")
        return {"frechet_distance": NOTHING, "kernel_distance": NOTHING}
    draws = _draws([len(part) for part in vectors], is_paired=False, seed=seed)
    kernel = vector_distances.KernelDistance(*vectors)
    value = kernel.distance()
    within = None if draws is None else resampling.centred_interval(value, kernel.resampled(*draws))
    figures = {"kernel_distance": Estimate(value, within)}
    try:
        value = vector_distances.frechet(*vectors)
    except ValueError as error:
        counts = " and ".join(str(len(part)) for part in vectors)
        remarks.append(f"{error}; these have {counts}. The kernel distance is of any number.")
        return {"frechet_distance": NOTHING} | figures
    within = None
    if draws is not None:
        few = [part[:FRECHET_RESAMPLES] for part in draws]
        within = resampling.centred_interval(value, vector_distances.frechet_resampled(*vectors, *few), 0)
    return {"frechet_distance": Estimate(value, within)} | figures


def _pairs(
    stems: tuple[Mapping[str, Score], Mapping[str, Score]],
    region: tuple[float, float] | None,
    seed: int,
    remarks: list[str],
) -> dict[str, Estimate]:
    """The F1 of notes over the files that stand in both sets under one name; {} where there are none."""
    names = [stem for stem in stems[0] if stem in stems[1]]
    if not names:
        if region is not None:
            remarks.append("--region is for files of the same name in both folders, and there are none.")
        return {}
    remarks.append(f"F1 is of {len(names)} files of the same name in both folders.")
    figures = {}
    for name, offsets in (("note_f1", False), ("note_f1_with_ends", True)):
        scores = np.array(
            [note_matching.match(stems[0][stem], stems[1][stem], region, offsets=offsets).f1 for stem in names]
        )
        if np.isnan(scores).all():
            remarks.append("No file has a note in --region, so there is no F1.")
            return {}
        within = None
        if len(names) >= resampling.FEWEST:
            drawn = resampling.draws(len(names), np.random.default_rng(seed))
            within = resampling.interval(resampling.means(scores, drawn))
        figures[name] = Estimate(float(np.nanmean(scores)), within)
    return figures
