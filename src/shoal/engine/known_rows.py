"""Labels of rows by content, so that a row equal to a clustered one gets the same cluster."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.assignments import Assignments
from shoal.engine.rows.row_keys import Keys, row_keys

__all__ = ["KnownRows"]


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Keys of m distinct rows, ascending, with their `labels` (m,) and `strengths` (m,). 20 bytes a row. Build with
    `of`."""

    keys: Keys
    labels: NDArray[np.int64]
    strengths: NDArray[np.float32]

    @staticmethod
    def of(points: Points, labelled: Assignments, threads: int) -> "KnownRows":
        """`points` (n, d) in the space of the algorithm; equal rows must have equal labels."""
        keys, first = np.unique(row_keys(points, threads), return_index=True)
        return KnownRows(keys, labelled.labels[first].astype(np.int64), labelled.strengths[first])

    def recall(self, points: Points, assigned: Assignments, threads: int) -> Assignments:
        """`assigned` for `points` (n, d), replaced by the stored labels where a row equals a known one bit by bit."""
        if len(self.keys) == 0 or len(points) == 0:
            return assigned
        keys = row_keys(points, threads)
        position = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        is_known = self.keys[position] == keys
        return Assignments(
            np.where(is_known, self.labels[position], assigned.labels),
            np.where(is_known, self.strengths[position], assigned.strengths).astype(np.float32),
        )
