"""How two clusterings of the same rows relate: which clusters share rows, and how far they agree overall."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.errors import InvalidField

__all__ = ["ABSENT", "Agreement", "Overlap", "find_overlaps", "measure_agreement"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

ABSENT: Final = -2
"""The label of a row that one of the clusterings does not contain, beside -1 for noise."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over the `rows` that both cluster: normalised mutual information (arithmetic mean of the entropies) and the
    adjusted Rand index (Hubert and Arabie 1985). 1 for equal clusterings; None without such rows."""

    rows: int
    nmi: float | None
    ari: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Pairs of clusters (m,) one of which lies in the other, by `left` and then by `rows` descending."""

    left: Counts
    right: Counts
    rows: Counts
    """Rows in both."""
    share_of_left: Floats
    """Fraction of the left cluster, counting its rows that both clusterings contain, including noise."""
    share_of_right: Floats


def find_overlaps(left: Labels, right: Labels, *, least: float = 0.7) -> Overlap:
    """The pairs of clusters at least one of which has the fraction `least` of its rows in the other.

    Labels (n,) are aligned, -1 for noise, -2 (`ABSENT`) for rows to ignore. O(n log n) time, O(n) memory: there is no
    full contingency table. Raises InvalidField for labels of different length (`labels`) and a fraction outside 0..1
    (`least`).
    """
    if left.shape != right.shape:
        raise InvalidField("labels", "must be of the same rows", value=(left.shape, right.shape))
    if not 0 < least <= 1:
        raise InvalidField("least", "must be above 0 and at most 1", value=least)
    is_present = (left > ABSENT) & (right > ABSENT)
    left, right = left[is_present], right[is_present]
    both = (left >= 0) & (right >= 0)
    width = int(right.max(initial=0)) + 1
    cell, rows = np.unique(left[both].astype(np.int64) * width + right[both], return_counts=True)
    lefts, rights = np.divmod(cell, width)
    of_left, of_right = rows / _sizes(left)[lefts], rows / _sizes(right)[rights]
    order = np.flatnonzero((of_left >= least) | (of_right >= least))
    order = order[np.lexsort((rights[order], -rows[order], lefts[order]))]
    return Overlap(
        left=lefts[order],
        right=rights[order],
        rows=rows[order].astype(np.int64),
        share_of_left=of_left[order],
        share_of_right=of_right[order],
    )


def measure_agreement(left: Labels, right: Labels) -> Agreement:
    """Agreement of two clusterings of the same rows; rows that are noise in either are ignored."""
    # Imported here: it takes a third of the start-up time of every process, and few compare clusterings.
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    both = (left >= 0) & (right >= 0)
    if not both.any():
        return Agreement(0, None, None)
    left_labels, right_labels = left[both], right[both]
    return Agreement(
        len(left_labels),
        float(normalized_mutual_info_score(left_labels, right_labels)),
        float(adjusted_rand_score(left_labels, right_labels)),
    )


def _sizes(labels: Labels) -> Counts:
    return np.bincount(labels[labels >= 0], minlength=1).astype(np.int64)
