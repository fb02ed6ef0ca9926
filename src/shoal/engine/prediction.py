"""Assigns new rows to the cluster of the nearest centroid, if it is near enough."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Labels, Points, Rows
from shoal.engine.assignments import Assignments, all_noise
from shoal.engine.kmeans.centers import TwoNearest
from shoal.engine.parallel import map_in_order, one_blas_thread, spans
from shoal.engine.plan import DistanceMetric, Progress
from shoal.engine.rows.blocks import find_cells
from shoal.engine.rows.exact_sums import squared_distances
from shoal.engine.rows.geometry import check_points, half_squares, squared_lengths, unit_rows
from shoal.engine.rows.new_rows import approximate_lengths, check_new_points, max_length, score_slack
from shoal.errors import InvalidField

__all__ = ["Assigner", "Reach", "compute_reaches"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_CELLS: Final = 1 << 22
"""Scores of a block held at a time by one thread: 16 MiB."""
_ROWS: Final = 512
_FENCE: Final = 1.5
"""Interquartile ranges beyond the third quartile from which a value counts as an outlier (Tukey 1977)."""
_NO_SPREAD: Final = 1e-6
"""A reach below this fraction of the largest is rounding error: the members coincide with their centroid."""
_ROUNDING: Final = 1e-5
"""Relative tolerance of distances against a reach: distances may come from float32 columns."""
_ANGLE: Final = 1e-6
"""Absolute tolerance in cosine distance: unit rows are rounded to float32."""


@dataclass(frozen=True, slots=True)
class Assigner:
    """Assigns rows to the nearest of k centroids. Build with `of`. Safe to share between threads."""

    centroids: Points
    metric: DistanceMetric
    reach: Doubles | None
    _places: "Places"

    @staticmethod
    def of(centroids: Points, *, metric: DistanceMetric, reach: Doubles | None = None) -> "Assigner":
        """`centroids` (k, d), k may be 0; `reach` (k,) is the largest accepted distance in `metric`, None for any
        distance.

        "cosine" compares directions (1 - cos) of rows and centroids of any length. k-means on unit rows uses the
        Euclidean distance to means shorter than 1, so its labels are those of "euclidean" on unit rows. A zero centroid
        accepts no row under "cosine". Raises InvalidField.
        """
        table = check_points(centroids)
        if reach is not None and (reach.shape != (len(table),) or np.isnan(reach).any()):
            raise InvalidField("reach", "must hold one number for each cluster", value=reach.shape)
        if metric == "cosine":
            numbers = np.flatnonzero(squared_lengths(table))
            return Assigner(table, metric, reach, Places.of(unit_rows(table[numbers]), numbers))
        return Assigner(table, metric, reach, Places.of(table, np.arange(len(table))))

    def assign(self, points: NDArray[np.floating], threads: int, progress: Progress) -> Assignments:
        """The cluster of each row of `points` (n, d), ties to the lower number; -1 beyond the reach of the nearest.

        The strength is 1 - nearest / second nearest Euclidean distance (on unit rows under "cosine"), 1 if there is one
        cluster. The result for a row does not depend on the other rows or on the number of threads. O(n k d) time.
        Reports to `progress` as "cluster". Raises InvalidField for rows that are not (n, d), not finite, beyond 1e15,
        or zero under "cosine".
        """
        return self.place(check_new_points(points, self.centroids.shape[1]), threads, progress)

    def place(self, rows: Points, threads: int, progress: Progress) -> Assignments:
        """As `assign`, for validated rows."""
        result = all_noise(len(rows))
        if len(self._places.numbers) == 0 or len(rows) == 0:
            return result
        near = self._places.nearest(unit_rows(rows, threads) if self.metric == "cosine" else rows, threads, progress)
        labels, own, other = self._places.numbers[near.labels], near.squares[:, 0], near.squares[:, 1]
        share = np.where(other > 0, own / np.where(other > 0, other, 1.0), 0.0)
        fits = self._fits(labels, own)
        result.labels[:] = np.where(fits, labels, NOISE)
        result.strengths[:] = np.where(fits, 1.0 - np.sqrt(share), 0.0)
        return result

    def _fits(self, labels: Rows, squares: Doubles) -> NDArray[np.bool_]:
        if self.reach is None:
            return np.ones(len(labels), np.bool_)
        return _is_within(squares, self.reach[labels], self.metric)


@dataclass(frozen=True, slots=True)
class Reach:
    """The largest distance (k,) in `metric` from the `centroids` (k, d) at which a row still belongs to its cluster,
    whatever rule assigned it."""

    centroids: Points
    distances: Doubles
    metric: DistanceMetric

    @staticmethod
    def of(centroids: Points, distances: NDArray[np.floating], labels: Labels, metric: DistanceMetric) -> "Reach":
        """Reach by `compute_reaches` from the `distances` (n,) of the members. A zero centroid reaches any row."""
        reach = compute_reaches(distances, labels, len(centroids), metric=metric)
        if metric == "euclidean":
            return Reach(centroids, reach, metric)
        is_nonzero = squared_lengths(centroids) > 0
        targets = centroids.copy()
        targets[is_nonzero] = unit_rows(centroids[is_nonzero])
        return Reach(targets, np.where(is_nonzero, reach, np.inf), metric)

    def holds(self, points: Points, labels: Rows, threads: int) -> NDArray[np.bool_]:
        """(n,) whether each row, of unit length under "cosine", is within the reach of its cluster; independent of the
        other rows."""
        own = np.arange(len(points))
        squares = squared_distances(points, own, self.centroids, labels.astype(np.int32), threads)
        return _is_within(squares, self.distances[labels], self.metric)


def _is_within(squares: Doubles, reach: Doubles, metric: DistanceMetric) -> NDArray[np.bool_]:
    limit = reach * (1.0 + _ROUNDING)
    if metric == "cosine":
        return squares / 2 <= limit + _ANGLE
    return np.sqrt(squares) <= limit


@dataclass(frozen=True, slots=True)
class Places:
    """Centroids `numbers` (m,) in the space where Euclidean distances decide, centered on their mean to minimise
    rounding."""

    numbers: Rows
    targets: Points
    middle: Floats
    near: Points
    halves: Floats
    longest: float

    @staticmethod
    def of(targets: Points, numbers: Rows) -> "Places":
        middle = targets.mean(axis=0, dtype=np.float64).astype(np.float32) if len(targets) else targets.sum(axis=0)
        near = targets - middle
        halves = half_squares(near)
        return Places(numbers, targets, middle, near, halves, max_length(halves))

    def nearest(self, rows: Points, threads: int, progress: Progress) -> TwoNearest:
        """The two nearest targets of each row, block by block; labels index `targets`."""
        blocks = spans(len(rows), max(16, min(_ROWS, _CELLS // len(self.targets))))
        if len(blocks) == 1:
            return self._block(rows)
        result = TwoNearest(np.empty(len(rows), np.int32), np.empty((len(rows), 2)))
        with one_blas_thread():
            parts = map_in_order(lambda block: self._block(rows[block]), blocks, threads)
            for block, part in zip(blocks, parts, strict=True):
                result.labels[block], result.squares[block] = part.labels, part.squares
                progress("cluster", block.stop / len(rows))
        return result

    def _block(self, rows: Points) -> TwoNearest:
        rows = np.ascontiguousarray(rows)
        apart: Floats = rows - self.middle
        scores: Floats = apart @ self.near.T
        scores -= self.halves
        slack = score_slack(approximate_lengths(apart), self.longest, rows.shape[1])
        least = np.nextafter((_second_largest(scores) - 2 * slack).astype(np.float32), np.float32(-np.inf))
        row, number = find_cells(scores >= least[:, None])
        squares = squared_distances(rows, row, self.targets, number.astype(np.int32), 1)
        order = np.lexsort((number, squares, row))
        first = np.searchsorted(row[order], np.arange(len(rows)))
        second = np.full(len(rows), np.inf)
        if len(self.targets) > 1:
            second = squares[order[first + 1]]
        return TwoNearest(number[order[first]].astype(np.int32), np.stack([squares[order[first]], second], axis=1))


def _second_largest(scores: Floats) -> Floats:
    """(n,) the second largest value of each row (n, k), the largest if k is 1; eight times as fast as a partition."""
    own, first = np.arange(len(scores)), np.argmax(scores, axis=1)
    best: Floats = scores[own, first]
    if scores.shape[1] == 1:
        return best
    scores[own, first] = -np.inf
    second: Floats = scores.max(axis=1)
    scores[own, first] = best
    return second


def compute_reaches(
    distances: NDArray[np.floating], labels: Labels, clusters: int, *, metric: DistanceMetric
) -> Doubles:
    """(k,) how far from its centroid a new row may lie and still belong to a cluster.

    The reach is the upper whisker of Tukey's box plot (1977) of the members' Euclidean distances: the largest within
    1.5 interquartile ranges of the third quartile. The maximum would be set by a single outlier that k-means had to
    assign; a quantile would reject the same fraction of every cluster, however tight. It is widened by sqrt((m + 1) /
    (m - 1)) for m members, because a member pulls the centroid towards itself and a new row does not. A cluster of one
    member or of equal members has no spread: it gets the median reach of the others, or infinity if no cluster has any.

    Parameters
    ----------
    distances
        (n,) distance of each row to its centroid in `metric`; ignored for noise.
    labels
        (n,) clusters, -1 for noise.
    clusters
        k.
    """
    inside = np.flatnonzero(labels >= 0)
    away = np.maximum(np.asarray(distances[inside], np.float64), 0.0)
    away = np.sqrt(2 * away) if metric == "cosine" else away
    own = labels[inside]
    order = np.lexsort((away, own))
    away, own = away[order], own[order]
    sizes = np.bincount(own, minlength=clusters)
    several = np.flatnonzero(sizes > 1)
    starts, count = (np.cumsum(sizes) - sizes)[several], sizes[several]
    lower, upper = _segment_quantiles(away, starts, count, 0.25), _segment_quantiles(away, starts, count, 0.75)
    fence = np.zeros(clusters)
    fence[several] = upper + _FENCE * (upper - lower)
    reach = np.zeros(clusters)
    ordinary = away <= fence[own]
    np.maximum.at(reach, own[ordinary], away[ordinary])
    reach[several] *= np.sqrt((count + 1) / (count - 1))
    has_spread = (sizes > 1) & (reach > _NO_SPREAD * reach.max(initial=0.0))
    reach[~has_spread] = np.median(reach[has_spread]) if has_spread.any() else np.inf
    return reach**2 / 2 if metric == "cosine" else reach


def _segment_quantiles(ascending: Doubles, starts: Rows, count: Rows, share: float) -> Doubles:
    """(m,) quantile `share` of each segment of `count` values from `starts` on, with linear interpolation."""
    place = share * (count - 1)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    part: Doubles = ascending[starts + low]
    return part + (place - low) * (ascending[starts + high] - part)
