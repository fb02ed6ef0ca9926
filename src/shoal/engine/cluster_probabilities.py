"""Probability of each cluster for a row: a mixture of spherical Gaussians of equal size around the centroids."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.outcome import Outcome
from shoal.engine.parallel import map_in_order, one_blas_thread, spans
from shoal.engine.plan import Progress, ignore_progress

__all__ = ["Mixture", "TopClusters"]

Floats = NDArray[np.float64]
_CELLS: Final = 1 << 20
"""Distances held at a time by one thread: 8 MiB."""


@dataclass(frozen=True, slots=True)
class TopClusters:
    """The m most probable clusters of n rows, most probable first: `labels` (n, m) int32 and `probabilities` (n, m)
    float32, which sum to less than 1 if there are more clusters."""

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mixture:
    """k spherical Gaussians of equal weight around the `centroids` (k, d), with the same `variance` in each of the
    effective dimensions. Build with `of`."""

    centroids: Floats
    variance: float

    @staticmethod
    def of(outcome: Outcome) -> "Mixture":
        """Estimate the variance from the squared distances of members to their centroid.

        They are modelled as a multiple of a chi-square variable whose degrees of freedom, the effective dimension, are
        twice its squared mean over its variance (Satterthwaite 1946). The variance per dimension is the mean divided by
        them. Embeddings vary in far fewer dimensions than they have; with all of them every probability would be 0 or
        1.
        """
        centroids = np.asarray(outcome.centroids, np.float64)
        members = outcome.labels >= 0
        away = np.asarray(outcome.distances[members], np.float64)
        if outcome.distance_metric == "cosine":
            lengths = np.linalg.norm(centroids, axis=1)[outcome.labels[members]]
            squares = np.maximum(1 + lengths**2 - 2 * lengths * (1 - away), 0)
        else:
            squares = away**2
        mean, spread = (float(squares.mean()), float(squares.var())) if len(squares) else (0.0, 0.0)
        return Mixture(centroids, spread / (2 * mean) if spread > 0 else mean)

    def probabilities(
        self, points: Points, threads: int = 0, progress: Progress = ignore_progress
    ) -> NDArray[np.float32]:
        """(n, k) probabilities for the rows of `points` (n, d), each row summing to 1."""
        result = np.empty((len(points), len(self.centroids)), np.float32)
        for block, part in self._blocks(points, threads, progress):
            result[block] = part
        return result

    def top(self, points: Points, most: int, threads: int = 0, progress: Progress = ignore_progress) -> TopClusters:
        """The `most` probable clusters of each row, ties to the lower number; only one block of rows is compared with
        all clusters at a time."""
        most = min(most, len(self.centroids))
        result = TopClusters(np.empty((len(points), most), np.int32), np.empty((len(points), most), np.float32))
        for block, part in self._blocks(points, threads, progress):
            order = np.argsort(-part, axis=1, kind="stable")[:, :most]
            result.labels[block] = order
            result.probabilities[block] = np.take_along_axis(part, order, axis=1)
        return result

    def _blocks(self, points: Points, threads: int, progress: Progress) -> Iterator[tuple[slice, Floats]]:
        halves = np.einsum("ij,ij->i", self.centroids, self.centroids) / 2

        def block_of(block: slice) -> Floats:
            # The length of the row is the same for all clusters and cancels.
            closeness: Floats = np.asarray(points[block], np.float64) @ self.centroids.T - halves
            closeness -= closeness.max(axis=1, keepdims=True, initial=-np.inf)
            if self.variance > 0:
                np.exp(closeness / self.variance, out=closeness)
            else:
                closeness = (closeness == 0).astype(np.float64)
            closeness /= closeness.sum(axis=1, keepdims=True)
            return closeness

        blocks = spans(len(points), max(1, _CELLS // max(len(self.centroids), 1)))
        with one_blas_thread():
            for block, part in zip(blocks, map_in_order(block_of, blocks, threads), strict=True):
                yield block, part
                progress("cluster", block.stop / len(points))
