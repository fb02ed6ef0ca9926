"""Matches the clusters of a new clustering to those of an earlier one by the rows they share.

Two clusters match if each contains at least half of the other's shared rows. That holds whenever their Jaccard index is
at least .5, and for splits and merges it selects the heir: the largest part that is most of the old cluster, the
largest old cluster that is most of the new one. More than half can be true of one partner only, so the matching is one
to one without an assignment problem; only exact halves need tie-breaking.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels

__all__ = ["SharedRows", "count_shared_rows", "match_clusters"]

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SharedRows:
    """The nonzero cells of the contingency table, (m,) each: `rows` rows are in cluster `old` of the earlier clustering
    and `new` of the later one, sorted by `old`, then `new`. A negative number is no cluster: such rows only count
    towards the size of the cluster on the other side."""

    old: Numbers
    new: Numbers
    rows: Numbers


def count_shared_rows(old: Labels, new: Labels) -> SharedRows:
    """Count the rows shared by the clusters of two aligned labellings (n,), without rows that are noise (-1) in either.

    O(n log n) time and O(n) memory: there is no full contingency table. Raises ValueError for labels of different
    length.
    """
    if old.shape != new.shape:
        raise ValueError(f"Labels must be aligned; these have the shapes {old.shape} and {new.shape}.")
    both = (old >= 0) & (new >= 0)
    width = int(new.max(initial=0)) + 1
    cell, rows = np.unique(old[both].astype(np.int64) * width + new[both], return_counts=True)
    before, after = np.divmod(cell, width)
    return SharedRows(before, after, rows.astype(np.int64))


def match_clusters(shared: SharedRows, allowed: NDArray[np.bool_] | None = None) -> dict[int, int]:
    """Map new clusters to the earlier cluster they match, at most one each way.

    Cells of the same pair are added up. `allowed` (m,) marks the cells whose pair may match, all if None. Of exact
    halves the pair with the larger Jaccard index goes first, then the one with more shared rows, then the smaller
    earlier and the smaller new number, so number the clusters by the desired priority.
    """
    old, new, rows, is_allowed = _merge_cells(shared, allowed)
    of_old, of_new = _sizes(shared.old, shared.rows)[old], _sizes(shared.new, shared.rows)[new]
    same = is_allowed & (2 * rows >= of_old) & (2 * rows >= of_new)
    old, new, rows, union = old[same], new[same], rows[same], (of_old + of_new - rows)[same]
    matches: dict[int, int] = {}
    matched = set[int]()
    for place in np.lexsort((new, old, -rows, -rows / np.maximum(union, 1))).tolist():
        before, after = int(old[place]), int(new[place])
        if after not in matches and before not in matched:
            matches[after] = before
            matched.add(before)
    return matches


def _merge_cells(
    shared: SharedRows, allowed: NDArray[np.bool_] | None
) -> tuple[Numbers, Numbers, Numbers, NDArray[np.bool_]]:
    """The pairs of clusters, each once: numbers, rows, and whether the pair may match."""
    is_cluster = (shared.old >= 0) & (shared.new >= 0)
    old, new = shared.old[is_cluster], shared.new[is_cluster]
    width = int(new.max(initial=0)) + 1
    pair, place = np.unique(old * width + new, return_inverse=True)
    rows = np.bincount(place, shared.rows[is_cluster], minlength=len(pair)).astype(np.int64)
    free = np.ones(len(pair), np.bool_)
    if allowed is not None:
        free[place] = allowed[is_cluster]
    before, after = np.divmod(pair, width)
    return before, after, rows, free


def _sizes(numbers: Numbers, rows: Numbers) -> Numbers:
    is_cluster = numbers >= 0
    return np.bincount(numbers[is_cluster], rows[is_cluster], minlength=1).astype(np.int64)
