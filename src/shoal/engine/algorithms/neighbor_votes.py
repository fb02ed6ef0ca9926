"""Assigns new rows by a vote of the nearest fitted rows."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.assignments import Assignments, all_noise
from shoal.engine.communities.membership import log_distances
from shoal.engine.neighbors.graph import fuzzy_memberships
from shoal.engine.neighbors.lists import nearest_among
from shoal.engine.parallel import spans
from shoal.engine.plan import Progress

__all__ = ["NeighborVotes"]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

_BLOCK: Final = 4096


@dataclass(frozen=True, slots=True)
class NeighborVotes:
    """The distinct fitted rows, `points` (m, d), with `labels` (m,), -1 for noise; and the density of each cluster:
    `middle` and `spread` (k,) of the log of half the mean squared distances to `neighbors` rows.

    A new row joins the cluster with most weight among its `neighbors` nearest fitted rows, near rows counting more. It
    is noise if noise wins, or if they are more than `farthest` deviations farther away than usual in that cluster.
    """

    points: Points
    labels: Places
    middle: Floats
    spread: Floats
    neighbors: int
    farthest: float

    def assign(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """Labels of rows (n, d) that were not fitted; each is independent of the other rows of the call."""
        result = all_noise(len(points))
        if len(self.middle) == 0 or len(points) == 0:
            return result
        count = min(self.neighbors, len(self.points))
        tick = partial(_report_as_cluster, progress)
        near, distances = nearest_among(points, self.points, count, threads=threads, progress=tick)
        for block in spans(len(points), _BLOCK):
            labels, share = _tally_votes(self.labels[near[block]], fuzzy_memberships(distances[block] ** 2 / 2))
            far = (log_distances(distances[block]) - self.middle[labels]) / self.spread[labels]
            inside = (labels >= 0) & (far <= self.farthest)
            result.labels[block], result.strengths[block] = np.where(inside, labels, -1), np.where(inside, share, 0.0)
        return result

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """As `assign`, with votes of clustered rows only and at any distance."""
        inside = self.labels >= 0
        clustered = replace(self, points=self.points[inside], labels=self.labels[inside], farthest=np.inf)
        return clustered.assign(points, threads, progress)


def _report_as_cluster(progress: Progress, _: str, fraction: float) -> None:
    progress("cluster", fraction)


def _tally_votes(labels: Places, weight: Floats) -> tuple[Places, Floats]:
    """The label (n,) with the most weight in each row (n, k), ties to the nearer, and its share of the weight."""
    same = labels[:, :, None] == labels[:, None, :]
    total = (same * weight[:, None, :]).sum(axis=2)
    best = np.argmax(total, axis=1)
    own = np.arange(len(labels))
    return labels[own, best], total[own, best] / np.maximum(weight.sum(axis=1), 1e-300)
