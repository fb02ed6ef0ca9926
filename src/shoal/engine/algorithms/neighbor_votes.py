"""Places new rows by the clusters of the rows around them."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.algorithms.base import Assignments, all_noise
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
    """The distinct rows that were fitted, `points` (m, d), and their `labels` (m,), -1 for noise; and of each cluster
    how dense it is: `middle` and `spread` (k,) of the logs of half the mean squared distances to `neighbors` rows.

    A new row joins the cluster most of its `neighbors` nearest fitted rows are in, near ones counting more. It is noise
    where that is noise, or where they are more than `farthest` deviations farther than is usual in that cluster.
    """

    points: Points
    labels: Places
    middle: Floats
    spread: Floats
    neighbors: int
    farthest: float

    def assign(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """The cluster of rows (n, d) that were not fitted; the same for a row alone and among others."""
        found = all_noise(len(points))
        if len(self.middle) == 0 or len(points) == 0:
            return found
        count = min(self.neighbors, len(self.points))
        tick = partial(_report_as_cluster, progress)
        near, away = nearest_among(points, self.points, count, threads=threads, progress=tick)
        for block in spans(len(points), _BLOCK):
            labels, share = _tally_votes(self.labels[near[block]], fuzzy_memberships(away[block] ** 2 / 2))
            far = (log_distances(away[block]) - self.middle[labels]) / self.spread[labels]
            inside = (labels >= 0) & (far <= self.farthest)
            found.labels[block], found.strengths[block] = np.where(inside, labels, -1), np.where(inside, share, 0.0)
        return found

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """The same where only fitted rows that are in a cluster vote, and none is too far."""
        inside = self.labels >= 0
        among = replace(self, points=self.points[inside], labels=self.labels[inside], farthest=np.inf)
        return among.assign(points, threads, progress)


def _report_as_cluster(progress: Progress, _: str, fraction: float) -> None:
    progress("cluster", fraction)


def _tally_votes(labels: Places, weight: Floats) -> tuple[Places, Floats]:
    """The label (n,) with the most weight among those of each row (n, k), the nearer where equal, and its share."""
    same = labels[:, :, None] == labels[:, None, :]
    total = (same * weight[:, None, :]).sum(axis=2)
    best = np.argmax(total, axis=1)
    own = np.arange(len(labels))
    return labels[own, best], total[own, best] / np.maximum(weight.sum(axis=1), 1e-300)
