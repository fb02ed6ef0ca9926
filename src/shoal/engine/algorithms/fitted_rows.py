"""Places new rows with the nearest of the rows, or micro-clusters, that were fitted."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points
from shoal.engine.algorithms.base import Assignments, all_noise
from shoal.engine.neighbors.lists import nearest_among
from shoal.engine.plan import Progress

__all__ = ["FittedRows", "as_they_are"]


def as_they_are(points: Points) -> Points:
    """Rows that are in the space already."""
    return points


@dataclass(frozen=True, slots=True)
class FittedRows:
    """`points` (m, d) and their `labels` (m,) int64. A new row gets the label of the nearest one, or is noise
    where that is farther than `reach`. `placed` brings new rows into the space of `points`."""

    points: Points
    labels: NDArray[np.int64]
    reach: float = np.inf
    placed: Callable[[Points], Points] = as_they_are

    def assign(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """The same for a row alone and among others."""
        found = all_noise(len(points))
        if len(self.points) == 0 or len(points) == 0:
            return found
        near, away = nearest_among(
            self.placed(points), self.points, 1, threads=threads, progress=lambda _, done: progress("cluster", done)
        )
        found.labels[:] = np.where(away[:, 0] <= self.reach, self.labels[near[:, 0]], NOISE)
        found.strengths[:] = found.labels >= 0
        return found

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """The same, however far the nearest row that is in a cluster is."""
        inside = self.labels >= 0
        labelled = replace(self, points=self.points[inside], labels=self.labels[inside], reach=np.inf)
        return labelled.assign(points, threads, progress)
