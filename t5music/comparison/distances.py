"""Distances between pieces, within a set and between two: overlapping area and KL divergence.

The absolute measures of mgeval (Yang and Lerch, "On the evaluation of generative models in music", NCA 2020): of a
feature, the distances between all pieces of a set (intra) and between each of it and each of another (inter); Gaussian
kernel densities of both, with Scott's bandwidth; then the area under both densities, and the divergence of the inter
from the intra density. A set that is like the reference has inter distances like the reference's own.

Unlike mgeval's, the densities are compared at the same distances (mgeval's KL takes each at its own), and over the
whole line: mgeval cuts their ends off, so that equal densities have an area below 1. They are computed on a grid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

GRID = 1024  # points of a density
MARGIN = 4.0  # bandwidths beyond the least and the greatest distance
FLOOR = 1e-10  # of a density's highest point: below it, a logarithm tells nothing
FEWEST = 4  # pieces in a set: of three there are three distances
MOST_PIECES = 200  # of a set whose distances are compared
_AT_A_TIME = 1 << 22  # weights of pairs
_TINY = float(np.finfo(float).tiny)


class Likeness(NamedTuple):
    """How alike the intra and the inter distances of a feature are.

    Attributes:
        overlap: the area under both densities, 0 to 1.
        divergence: the Kullback-Leibler divergence of inter from intra, in nats; infinite where distances that are
            all the same meet others.
    """

    overlap: float
    divergence: float


class SetDistances:
    """The distances of a feature between the pieces of a set and of its reference.

    Args:
        features: of the set, [pieces] or [pieces, n].
        reference: of the reference, likewise. Pieces without the feature (NaN) have no distances.
    """

    def __init__(self, features: NDArray[np.float64], reference: NDArray[np.float64]) -> None:
        rows, reference_rows = (_rows(part) for part in (features, reference))
        upper = np.triu_indices(len(reference_rows), 1)
        self._pairs = [upper, tuple(axis.ravel() for axis in np.indices((len(rows), len(reference_rows))))]
        intra, inter = cdist(reference_rows, reference_rows)[upper], cdist(rows, reference_rows).ravel()
        self._measured = [~np.isnan(intra), ~np.isnan(inter)]
        self._distances = [intra[self._measured[0]], inter[self._measured[1]]]
        self.is_measured = all(
            np.count_nonzero(~np.isnan(part).any(axis=1)) >= FEWEST for part in (rows, reference_rows)
        )  # enough pieces have the feature

    def likeness(self) -> Likeness | None:
        """Of all pieces; None where too few have the feature."""
        if not self.is_measured:
            return None
        overlaps, divergences = self._compared([np.ones((1, len(part))) for part in self._distances])
        return Likeness(float(overlaps[0]), float(divergences[0]))

    def resampled(
        self, weights: NDArray[np.float64], reference_weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(overlaps, divergences) of resamples of pieces, [resamples] each.

        A piece that is drawn twice has no distance from itself: that would be 0, as no two pieces' is.

        Args:
            weights: how often each piece of the set is drawn, [resamples, pieces].
            reference_weights: the same of the reference.
        """
        step = max(1, _AT_A_TIME // max(1, sum(len(part) for part in self._distances)))
        parts = []
        for first in range(0, len(weights), step):
            drawn, reference = weights[first : first + step], reference_weights[first : first + step]
            (one, other), (left, right) = self._pairs
            pairs = [reference[:, one] * reference[:, other], drawn[:, left] * reference[:, right]]
            parts.append(
                self._compared([pair[:, is_measured] for pair, is_measured in zip(pairs, self._measured, strict=True)])
            )
        overlaps, divergences = (np.concatenate(column) for column in zip(*parts, strict=True))
        return overlaps, divergences

    def _compared(self, weights: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(overlaps, divergences) of weighted intra and inter distances, [rows] each."""
        low = min(part.min() for part in self._distances)
        high = max(part.max() for part in self._distances)
        widths = [_bandwidths(part, weight) for part, weight in zip(self._distances, weights, strict=True)]
        margin = MARGIN * max(float(np.nanmax(width)) for width in widths)
        if not margin > 0:  # both are points
            same = float(low == high)
            return np.full(len(weights[0]), same), np.full(len(weights[0]), 0.0 if same else math.inf)
        grid_low, spacing = low - margin, (high - low + 2 * margin) / (GRID - 1)
        intra, inter = (
            _densities((part - grid_low) / spacing, weight, width / spacing)
            for part, weight, width in zip(self._distances, weights, widths, strict=True)
        )  # shares of the grid's points, [rows, GRID]
        is_empty = (weights[0].sum(axis=1) == 0) | (weights[1].sum(axis=1) == 0)  # one piece alone was drawn
        overlaps = np.where(is_empty, math.nan, np.minimum(intra, inter).sum(axis=1))
        floored = [np.maximum(part, FLOOR * part.max(axis=1, keepdims=True) + _TINY) for part in (intra, inter)]
        shares = [part / part.sum(axis=1, keepdims=True) for part in floored]
        divergences = (shares[0] * np.log(shares[0] / shares[1])).sum(axis=1)
        is_point = (widths[0] == 0) | (widths[1] == 0)  # next to a point, the grid decides what a density is
        return overlaps, np.where(is_empty, math.nan, np.where(is_point, math.inf, divergences))


def _rows(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return features.reshape(len(features), -1)


def _bandwidths(distances: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scott's bandwidth of each row of weights [rows, distances], as scipy.stats.gaussian_kde has it."""
    count = weights.sum(axis=1)
    centred = distances - distances.mean()
    mean = weights @ centred / np.maximum(count, 1)
    square = weights @ centred**2 / np.maximum(count, 1) - mean**2
    variance = np.maximum(square, 0) * count / np.maximum(count - 1, 1)
    variance[variance <= 1e-14 * float(np.square(distances).max(initial=0))] = 0  # of equal distances, by rounding
    return np.sqrt(variance) * np.maximum(count, 1) ** -0.2


def _densities(
    places: NDArray[np.float64], weights: NDArray[np.float64], widths: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Kernel densities on the grid, float64 [rows, GRID], each of sum 1.

    Every distance is shared between the two points of the grid beside it, and the histogram is folded with the kernel.

    Args:
        places: of the distances on the grid [distances].
        weights: [rows, distances].
        widths: of the kernel, in points [rows].
    """
    left = np.minimum(places.astype(np.int64), GRID - 2)
    share = places - left
    columns = np.concatenate([left, left + 1])
    rows = np.tile(np.arange(len(places)), 2)
    onto = scipy.sparse.csr_array((np.concatenate([1 - share, share]), (rows, columns)), shape=(len(places), GRID))
    histograms = (onto.T @ weights.T).T  # [rows, GRID]
    frequencies = scipy.fft.rfftfreq(2 * GRID)
    kernel = np.exp(-2 * (np.pi * frequencies * widths[:, None]) ** 2)
    folded = scipy.fft.irfft(scipy.fft.rfft(histograms, 2 * GRID, axis=1) * kernel, axis=1)[:, :GRID]
    folded = np.maximum(folded, 0)
    return folded / np.maximum(folded.sum(axis=1, keepdims=True), _TINY)
