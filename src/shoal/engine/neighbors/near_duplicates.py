"""Near-duplicates: copies, and rows within a small distance of a representative."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from shoal.columns import NOISE, Labels, Points, Rows
from shoal.engine.clusters.labels import number_by_size
from shoal.engine.neighbors.neighborhood import Neighborhood
from shoal.engine.parallel import spans
from shoal.engine.rows.exact_sums import squared_distances

__all__ = ["NEAR", "NearDuplicates", "find_near_duplicates"]

Doubles = NDArray[np.float64]
Marks = NDArray[np.bool_]

NEAR: Final = 0.05
"""Cosine distance up to which rows are near-duplicates; for rows without unit length, the squared distance as a
fraction of the mean over all pairs, which is equivalent for evenly distributed directions."""
_BLOCK: Final = 8192


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Groups of n rows, all within `limit` (a Euclidean distance) of the representative of their group."""

    labels: Labels
    """(n,) the group of each row, the largest first; -1 for rows in no group."""
    representatives: Rows
    """(g,) the row of each group with the most near rows."""
    away: Doubles
    """(n,) Euclidean distance to the representative; NaN for rows in no group."""
    limit: float

    def take(self, rows: Rows, places: Rows) -> "NearDuplicates":
        """Row i of the result is row `rows[i]`, and row j of this is row `places[j]` of the result."""
        return NearDuplicates(self.labels[rows], places[self.representatives], self.away[rows], self.limit)

    @property
    def spare(self) -> int:
        """Rows that could be removed while keeping one of each group."""
        return int(np.count_nonzero(self.labels >= 0)) - len(self.representatives)


def find_near_duplicates(points: Points, near: Neighborhood, *, unit: bool) -> NearDuplicates:
    """Find the groups among the n rows of `points` (n, d); `unit` if rows have unit length.

    Connected rows form a group if all are near its representative, the row with the most near ones. If they are not,
    because a chain leads on from row to row, rows with more near ones than their neighbours represent those around
    them. Such a chain may be split into more groups than necessary, as each row has only its 15 nearest neighbours. O(n
    k) time beside the neighbours; independent of row order.
    """
    values, total = near.values, len(near.values.rows)
    limit = _distance_limit(points, unit)
    row, to = _find_pairs(near, limit)
    degree = np.bincount(row, minlength=total) + values.copies - 1
    leader = np.arange(total)
    if len(row):
        leader = _choose_leaders(points, values.rows, row, to, degree, limit)
    inside = (np.bincount(leader, values.copies, total) > 1)[leader]
    own = np.where(inside, leader, NOISE)[values.back]
    labels = number_by_size(own)
    group = np.full(int(labels.max(initial=-1)) + 1, 0, np.int64)
    group[labels[own >= 0]] = own[own >= 0]
    away = np.full(total, np.nan)
    grouped = np.flatnonzero(inside)
    away[grouped] = np.sqrt(_squares(points, values.rows, grouped, leader[grouped]))
    return NearDuplicates(labels, values.rows[group], away[values.back], limit)


def _distance_limit(points: Points, unit: bool) -> float:
    if unit or len(points) == 0:
        return float(np.sqrt(2 * NEAR))
    middle, spread = points.mean(axis=0, dtype=np.float64), 0.0
    for block in spans(len(points), _BLOCK):
        spread += float(((points[block] - middle) ** 2).sum())
    return float(np.sqrt(NEAR * 2 * spread / len(points)))


def _find_pairs(near: Neighborhood, limit: float) -> tuple[Rows, Rows]:
    """Both ends of each pair of distinct rows within the limit, in both directions, each once."""
    lists, total = near.lists, len(near.values.rows)
    row, place = np.nonzero(lists.distances <= limit)
    to = lists.rows[row, place].astype(np.int64)
    apart = row != to
    cells = np.unique(np.concatenate([row[apart] * total + to[apart], to[apart] * total + row[apart]]))
    first, second = np.divmod(cells, max(total, 1))
    return first, second


def _squares(points: Points, rows: Rows, left: Rows, other: Rows) -> Doubles:
    """(m,) squared distances between distinct rows, block by block."""
    squared = np.empty(len(left))
    for block in spans(len(left), _BLOCK):
        targets, place = np.unique(rows[other[block]], return_inverse=True)
        centers = np.ascontiguousarray(points[targets], np.float32)
        squared[block] = squared_distances(points, rows[left[block]], centers, place.astype(np.int32), 1)
    return squared


def _choose_leaders(points: Points, rows: Rows, row: Rows, to: Rows, degree: Rows, limit: float) -> Rows:
    """(m,) the representative of each distinct row, itself if there is none."""
    total = len(rows)
    rank = np.empty(total, np.int64)
    rank[np.lexsort((np.arange(total), -degree))] = np.arange(total)
    part = connected_components(csr_array((np.ones(len(row), np.float32), (row, to)), shape=(total, total)))[1]
    first = np.full(int(part.max()) + 1, total, np.int64)
    np.minimum.at(first, part, rank)
    leader = np.argsort(rank)[first[part]]
    linked = np.unique(row)
    far = linked[_squares(points, rows, linked, leader[linked]) > limit**2]
    chained = np.isin(part, part[far])
    leader[chained] = np.flatnonzero(chained)
    _lead_chains(leader, rank, row[chained[row]], to[chained[row]])
    return leader


def _lead_chains(leader: Rows, rank: Rows, row: Rows, to: Rows) -> None:
    """In rounds (Luby 1986), free rows that precede all their free neighbours become the leaders of these."""
    free = np.zeros(len(leader), np.bool_)
    free[row] = True
    while len(row):
        best = np.full(len(leader), len(leader), np.int64)
        np.minimum.at(best, row, rank[to])
        leads = free & (rank < best)
        joins = free & ~leads & np.isin(np.arange(len(leader)), row[leads[to]])
        nearest = np.full(len(leader), len(leader), np.int64)
        chosen = leads[to] & joins[row]
        np.minimum.at(nearest, row[chosen], rank[to[chosen]])
        by_rank = np.argsort(rank)
        leader[joins] = by_rank[nearest[joins]]
        free &= ~(leads | joins)
        left = free[row] & free[to]
        row, to = row[left], to[left]
