"""Assigns new rows to the cluster of the nearest fitted row or micro-cluster."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points
from shoal.engine.assignments import Assignments, all_noise
from shoal.engine.neighbors.lists import nearest_among
from shoal.engine.plan import Progress

__all__ = ["FittedRows", "as_they_are"]


def as_they_are(points: Points) -> Points:
    """Identity, for rows that are in the right space. The name is stored in saved clusterings."""
    return points


@dataclass(frozen=True, slots=True)
class FittedRows:
    """`points` (m, d) with their `labels` (m,) int64. A new row gets the label of the nearest point, or is noise beyond
    `reach`. `placed` maps new rows into the space of `points`."""

    points: Points
    labels: NDArray[np.int64]
    reach: float = np.inf
    placed: Callable[[Points], Points] = as_they_are

    def assign(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """Labels of new rows; each is independent of the other rows of the call."""
        result = all_noise(len(points))
        if len(self.points) == 0 or len(points) == 0:
            return result
        near, distances = nearest_among(
            self.placed(points), self.points, 1, threads=threads, progress=lambda _, done: progress("cluster", done)
        )
        result.labels[:] = np.where(distances[:, 0] <= self.reach, self.labels[near[:, 0]], NOISE)
        result.strengths[:] = result.labels >= 0
        return result

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments:
        """As `assign`, with the nearest clustered row at any distance."""
        clustered = self.labels >= 0
        fitted = replace(self, points=self.points[clustered], labels=self.labels[clustered], reach=np.inf)
        return fitted.assign(points, threads, progress)
