"""Nearest neighbours of every distinct row, computed once for clusters, map and near-duplicates."""

from dataclasses import dataclass

from shoal.columns import Points
from shoal.engine.neighbors.lists import NeighborLists, find_neighbors
from shoal.engine.plan import Progress
from shoal.engine.rows.row_keys import Distinct, find_distinct

__all__ = ["COUNT", "Neighborhood", "find_neighborhood"]

COUNT = 15
"""Neighbours per row used by maps and near-duplicates."""
_MAX_EXACT = 50_000
"""Rows above which only near blocks of rows are searched: most neighbours are enough for a map."""


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """`lists` of the distinct rows `values.rows` of n; positions refer to these."""

    values: Distinct
    lists: NeighborLists


def find_neighborhood(points: Points, threads: int, progress: Progress) -> Neighborhood:
    """The 15 nearest other rows of each distinct row of `points` (n, d); approximate above 50,000 rows. Reports to
    `progress` as "neighbors"."""
    values = find_distinct(points, threads)
    many = len(values.rows) > _MAX_EXACT
    lists = find_neighbors(points, values.rows, COUNT, threads=threads, progress=progress, approximate=many)
    return Neighborhood(values, lists)
