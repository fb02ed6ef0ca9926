"""Which cluster of a new clustering is which of an earlier one, by the rows that both cluster.

Two clusters are the same where each holds at least half of the other's shared rows. That is the case wherever their
Jaccard index is at least .5, and where a cluster splits or several merge it names the heir: the largest part that is
most of the old cluster, the largest old cluster that is most of the new one. More than half can be true of one partner
alone, so the matching is one to one without a search for an assignment; what is left to decide are exact halves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels

__all__ = ["SharedRows", "count_shared_rows", "match_clusters"]

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SharedRows:
    """The cells of the contingency table that are not zero, (m,) each: `rows` rows are in the cluster `old` of the
    earlier clustering and in `new` of the later. By `old`, then `new`. A negative number is no cluster: such rows count
    only to the size of their cluster on the other side."""

    old: Numbers
    new: Numbers
    rows: Numbers


def count_shared_rows(old: Labels, new: Labels) -> SharedRows:
    """Count the rows that two aligned labellings (n,) share, without those that are noise (-1) in one of them.

    O(n log n) time and O(n) memory: there is no table of all pairs. Raises ValueError for labels of two lengths.
    """
    if old.shape != new.shape:
        raise ValueError(f"Labels are aligned; these have the shapes {old.shape} and {new.shape}.")
    both = (old >= 0) & (new >= 0)
    width = int(new.max(initial=0)) + 1
    cell, rows = np.unique(old[both].astype(np.int64) * width + new[both], return_counts=True)
    before, after = np.divmod(cell, width)
    return SharedRows(before, after, rows.astype(np.int64))


def match_clusters(shared: SharedRows, allowed: NDArray[np.bool_] | None = None) -> dict[int, int]:
    """The earlier cluster that each new cluster is, for the new ones that are one: at most one each way.

    Cells of the same pair are added up. `allowed` (m,) marks the cells whose pair may be matched, all where None. Of
    exact halves the pair with the larger Jaccard index goes first, then the one with more shared rows, then the smaller
    earlier and the smaller new number: order the numbers as ties are to be decided.
    """
    old, new, rows, free = _merge_cells(shared, allowed)
    of_old, of_new = _sizes(shared.old, shared.rows)[old], _sizes(shared.new, shared.rows)[new]
    same = free & (2 * rows >= of_old) & (2 * rows >= of_new)
    old, new, rows, union = old[same], new[same], rows[same], (of_old + of_new - rows)[same]
    found: dict[int, int] = {}
    taken = set[int]()
    for place in np.lexsort((new, old, -rows, -rows / np.maximum(union, 1))).tolist():
        before, after = int(old[place]), int(new[place])
        if after not in found and before not in taken:
            found[after] = before
            taken.add(before)
    return found


def _merge_cells(
    shared: SharedRows, allowed: NDArray[np.bool_] | None
) -> tuple[Numbers, Numbers, Numbers, NDArray[np.bool_]]:
    """The pairs of clusters, each once: numbers, rows, and whether the pair may be matched."""
    known = (shared.old >= 0) & (shared.new >= 0)
    old, new = shared.old[known], shared.new[known]
    width = int(new.max(initial=0)) + 1
    pair, place = np.unique(old * width + new, return_inverse=True)
    rows = np.bincount(place, shared.rows[known], minlength=len(pair)).astype(np.int64)
    free = np.ones(len(pair), np.bool_)
    if allowed is not None:
        free[place] = allowed[known]
    before, after = np.divmod(pair, width)
    return before, after, rows, free


def _sizes(numbers: Numbers, rows: Numbers) -> Numbers:
    known = numbers >= 0
    return np.bincount(numbers[known], rows[known], minlength=1).astype(np.int64)
