"""A clustering that takes new rows: scaled as the first were, placed by the algorithm's own rule, numbered alike."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points
from shoal.engine.algorithms.base import Assign, Assignments, Fit
from shoal.engine.known_rows import KnownRows
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import Progress, ignore_progress
from shoal.engine.prediction import Reach
from shoal.engine.rows.geometry import unit_rows
from shoal.engine.rows.new_rows import check_new_points

__all__ = ["Model"]


@runtime_checkable
class _NearestPlacer(Protocol):
    """What places rows by a rule that leaves some out, and can say where these are nearest."""

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments: ...


@dataclass(frozen=True, slots=True)
class Model:
    """Make it with `of`; it may be shared between threads."""

    dimensions: int
    normalize: bool
    number: NDArray[np.int64]
    """(m,) what the labels of the algorithm are called in the outcome; -1 in the last place."""
    place: Assign
    reach: Reach | None
    """None where the algorithm itself leaves rows out."""
    known: KnownRows

    @staticmethod
    def of(
        fit: Fit, labels: Labels, dimensions: int, normalize: bool, reach: Reach | None, known: KnownRows
    ) -> "Model":
        """`labels` (n,) are those of the outcome for the rows that were fitted; `known` are all rows of the outcome."""
        inside = fit.assignments.labels >= 0
        number = np.full(int(fit.assignments.labels.max(initial=-1)) + 2, NOISE, np.int64)
        number[fit.assignments.labels[inside]] = labels[inside]
        return Model(dimensions, normalize, number, fit.assign, reach if fit.assigns_all else None, known)

    def assign(
        self, points: NDArray[np.floating], threads: int = 0, progress: Progress = ignore_progress
    ) -> Assignments:
        """The cluster of each row of `points` (n, d), -1 where it fits none.

        A row that is equal to a clustered one is where that is. Of others, density-based and graph methods tell by
        their own rule what fits. The rest put every row somewhere; there a row does not fit where it is farther from
        the centroid than the cluster's ordinary members (`Reach`). The same for a row alone and among others. Raises
        InvalidField for rows of other dimensions, numbers that are not finite and, with `normalize`, zero rows;
        Cancelled from `progress`, which hears "cluster".
        """
        rows = check_new_points(points, self.dimensions)
        rows = unit_rows(rows, threads) if self.normalize else rows
        with one_blas_thread():
            found = self.place(rows, threads, progress)
        labels = self.number[found.labels]
        fits = labels >= 0
        if self.reach is not None:
            fits[fits] = self.reach.holds(rows[fits], labels[fits], threads)
        placed = Assignments(np.where(fits, labels, NOISE), np.where(fits, found.strengths, 0).astype(np.float32))
        return self.known.recall(rows, placed, threads)

    def nearest(self, rows: Points, threads: int = 0, progress: Progress = ignore_progress) -> Assignments:
        """The cluster of each row (n, d), scaled as those fitted were, that is nearest by the algorithm's own rule,
        however far; -1 where that says none. What is known of equal rows does not count."""
        owner = getattr(self.place, "__self__", None)
        place = owner.nearest if isinstance(owner, _NearestPlacer) else self.place
        with one_blas_thread():
            found = place(rows, threads, progress)
        labels = self.number[found.labels]
        return Assignments(labels, np.where(labels >= 0, found.strengths, 0).astype(np.float32))
