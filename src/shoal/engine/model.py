"""A clustering that assigns new rows: same scaling, the rule of the algorithm, same cluster numbers."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points
from shoal.engine.algorithms.base import Fit
from shoal.engine.assignments import Assign, Assignments
from shoal.engine.known_rows import KnownRows
from shoal.engine.parallel import one_blas_thread
from shoal.engine.plan import Progress, ignore_progress
from shoal.engine.prediction import Reach
from shoal.engine.rows.geometry import unit_rows
from shoal.engine.rows.new_rows import check_new_points

__all__ = ["Model"]


@runtime_checkable
class _NearestPlacer(Protocol):
    """Rule that rejects rows as noise and can also name the cluster nearest to them."""

    def nearest(self, points: Points, threads: int, progress: Progress) -> Assignments: ...


@dataclass(frozen=True, slots=True)
class Model:
    """Build with `of`. Safe to share between threads."""

    dimensions: int
    normalize: bool
    number: NDArray[np.int64]
    """(m,) cluster number in the outcome of each of the algorithm's labels; -1 in the last place."""
    place: Assign
    reach: Reach | None
    """None where the algorithm itself rejects rows as noise."""
    known: KnownRows

    @staticmethod
    def of(
        fit: Fit, labels: Labels, dimensions: int, normalize: bool, reach: Reach | None, known_rows: KnownRows
    ) -> "Model":
        """`labels` (n,) are the outcome's labels of the fitted rows; `known_rows` holds all rows of the outcome."""
        clustered = fit.assignments.labels >= 0
        number = np.full(int(fit.assignments.labels.max(initial=-1)) + 2, NOISE, np.int64)
        number[fit.assignments.labels[clustered]] = labels[clustered]
        return Model(dimensions, normalize, number, fit.assign, reach if fit.assigns_all else None, known_rows)

    def assign(
        self, points: NDArray[np.floating], threads: int = 0, progress: Progress = ignore_progress
    ) -> Assignments:
        """Find the cluster of each row of `points` (n, d), -1 for noise.

        A row equal to a clustered one gets the same cluster. For other rows density and graph methods apply their own
        rule. The remaining methods assign every row; a row farther from the centroid than the ordinary members of the
        cluster (`Reach`) is noise. The result for a row does not depend on the other rows of the call.

        Raises InvalidField for rows of another dimension, values that are not finite and, with `normalize`, zero rows;
        Cancelled from `progress`, which is called with the stage "cluster".
        """
        rows = check_new_points(points, self.dimensions)
        rows = unit_rows(rows, threads) if self.normalize else rows
        with one_blas_thread():
            own = self.place(rows, threads, progress)
        labels = self.number[own.labels]
        fits = labels >= 0
        if self.reach is not None:
            fits[fits] = self.reach.holds(rows[fits], labels[fits], threads)
        assigned = Assignments(np.where(fits, labels, NOISE), np.where(fits, own.strengths, 0).astype(np.float32))
        return self.known.recall(rows, assigned, threads)

    def nearest(self, rows: Points, threads: int = 0, progress: Progress = ignore_progress) -> Assignments:
        """The cluster nearest to each of the `rows` (n, d) by the algorithm's own rule, however far; -1 where the rule
        gives none. Rows must be scaled like the fitted ones; labels of equal fitted rows are not looked up."""
        owner = getattr(self.place, "__self__", None)
        place = owner.nearest if isinstance(owner, _NearestPlacer) else self.place
        with one_blas_thread():
            own = place(rows, threads, progress)
        labels = self.number[own.labels]
        return Assignments(labels, np.where(labels >= 0, own.strengths, 0).astype(np.float32))
