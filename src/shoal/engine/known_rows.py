"""What was found of rows that come again: a row that was fitted is assigned as it was fitted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.algorithms.base import Assignments
from shoal.engine.rows.row_keys import Keys, row_keys

__all__ = ["KnownRows"]


@dataclass(frozen=True, slots=True)
class KnownRows:
    """The keys of m different rows, ascending, with the `labels` (m,) and `strengths` (m,) they have. Make it with
    `of`; 20 bytes a row."""

    keys: Keys
    labels: NDArray[np.int64]
    strengths: NDArray[np.float32]

    @staticmethod
    def of(points: Points, labelled: Assignments, threads: int) -> "KnownRows":
        """`points` (n, d) as the algorithm saw them, equal ones labelled alike."""
        keys, first = np.unique(row_keys(points, threads), return_index=True)
        return KnownRows(keys, labelled.labels[first].astype(np.int64), labelled.strengths[first])

    def recall(self, points: Points, found: Assignments, threads: int) -> Assignments:
        """`found` of `points` (n, d), but what is known of the rows that are equal to a known one, bit by bit."""
        if len(self.keys) == 0 or len(points) == 0:
            return found
        keys = row_keys(points, threads)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = self.keys[place] == keys
        return Assignments(
            np.where(known, self.labels[place], found.labels),
            np.where(known, self.strengths[place], found.strengths).astype(np.float32),
        )
