"""Distances of two sets of pieces in the space of an encoder: Fréchet's, and the kernel distance for small sets.

The Fréchet distance takes both sets for normal distributions (Heusel et al. 2017; of music's vectors, Kilgour et al.
2019). It needs a covariance, so more pieces than a vector has numbers. The kernel distance (Bińkowski et al. 2018) is
the squared maximum mean discrepancy by the kernel (x.y / n + 1)^3 of vectors of n numbers; its estimate is right on
average however few the pieces are, so that it may be below 0 for sets that are alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-6  # relative; vectors of float32 that differ by less are the same


def frechet(vectors: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """The squared Fréchet distance of the normal distributions of two sets, [pieces, n] each.

    Raises:
        ValueError: a set has no more pieces than a vector has numbers.
    """
    width = vectors.shape[1]
    if min(len(vectors), len(reference)) <= width:
        raise ValueError(f"Fréchet's distance of vectors of {width} numbers needs more than {width} pieces in each set")
    ones = [np.ones((1, len(part))) for part in (vectors, reference)]
    return float(frechet_resampled(vectors, reference, *ones)[0])


def frechet_resampled(
    vectors: NDArray[np.floating],
    reference: NDArray[np.floating],
    weights: NDArray[np.float64],
    reference_weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The same of resamples, [resamples]; the weights say how often each piece is drawn, [resamples, pieces]."""
    results = []
    for drawn, other in zip(weights, reference_weights, strict=True):
        (mean, covariance), (mean_2, covariance_2) = (
            _normal(part.astype(np.float64), weight) for part, weight in ((vectors, drawn), (reference, other))
        )
        # The trace of the root of a product of two covariances, by the symmetric matrix that has the same eigenvalues.
        values, axes = np.linalg.eigh(covariance)
        root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
        shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_2 @ root), 0)).sum()
        results.append(np.square(mean - mean_2).sum() + np.trace(covariance) + np.trace(covariance_2) - 2 * shared)
    return np.maximum(results, 0)


def _normal(vectors: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """(mean [n], covariance [n, n]) of weighted vectors; the divisor is their number less one."""
    total = weights.sum()
    mean = weights @ vectors / total
    centred = vectors - mean
    return mean, (weights[:, None] * centred).T @ centred / (total - 1)


class KernelDistance:
    """The kernel distance of two sets of vectors, [pieces, n] each, at least two pieces.

    Vectors are centred and scaled together first, by the reference: an encoder's have a large part in common, beside
    which the kernel would see nothing.
    """

    def __init__(self, vectors: NDArray[np.floating], reference: NDArray[np.floating]) -> None:
        mean = reference.mean(axis=0, dtype=np.float64)
        scale = float(reference.std(axis=0, dtype=np.float64).mean())
        if scale <= ROUNDING * float(np.abs(mean).mean()):  # pieces that are all the same have no scale
            scale = 1.0
        scaled, scaled_reference = ((part.astype(np.float64) - mean) / scale for part in (vectors, reference))
        width = vectors.shape[1]
        self._within, self._reference, self._between = (
            (one @ other.T / width + 1) ** 3
            for one, other in ((scaled, scaled), (scaled_reference, scaled_reference), (scaled, scaled_reference))
        )
        np.fill_diagonal(self._within, 0)
        np.fill_diagonal(self._reference, 0)

    def distance(self) -> float:
        """Of all pieces."""
        ones = [np.ones((1, side)) for side in self._between.shape]
        return float(self.resampled(*ones)[0])

    def resampled(self, weights: NDArray[np.float64], reference_weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of resamples, [resamples]; the weights say how often each piece is drawn, [resamples, pieces].

        A piece that is drawn twice is not compared with itself.
        """

        def mean(kernel: NDArray, drawn: NDArray) -> NDArray:
            pairs = drawn.sum(axis=1) ** 2 - np.square(drawn).sum(axis=1)
            return np.einsum("ri,ij,rj->r", drawn, kernel, drawn, optimize=True) / np.maximum(pairs, 1)

        between = np.einsum("ri,ij,rj->r", weights, self._between, reference_weights, optimize=True)
        between /= weights.sum(axis=1) * reference_weights.sum(axis=1)
        return mean(self._within, weights) + mean(self._reference, reference_weights) - 2 * between
