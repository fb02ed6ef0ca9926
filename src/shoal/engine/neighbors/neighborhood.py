"""The nearest others of every distinct row: found once, for the clusters, the map and the near-duplicates alike."""

from dataclasses import dataclass

from shoal.columns import Points
from shoal.engine.neighbors.lists import NeighborLists, find_neighbors
from shoal.engine.plan import Progress
from shoal.engine.rows.row_keys import Distinct, find_distinct

__all__ = ["COUNT", "Neighborhood", "find_neighborhood"]

COUNT = 15
"""Neighbours of a row that a map and near-duplicates look at."""
_MAX_EXACT = 50_000
"""Rows above which neighbours are searched among near blocks of rows only: a map can do with most of them."""


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """`lists` of the distinct rows `values.rows` of n; positions are those among them."""

    values: Distinct
    lists: NeighborLists


def find_neighborhood(points: Points, threads: int, progress: Progress) -> Neighborhood:
    """The 15 nearest others of each distinct row of `points` (n, d); above 50,000 rows most of them. Reports to
    `progress` as "neighbors"."""
    values = find_distinct(points, threads)
    many = len(values.rows) > _MAX_EXACT
    lists = find_neighbors(points, values.rows, COUNT, threads=threads, progress=progress, approximate=many)
    return Neighborhood(values, lists)
