"""The clusters of rows, as algorithms and predictions return them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import NOISE, Points
from shoal.engine.plan import Progress

__all__ = ["Assign", "Assignments", "all_noise", "assign_nothing"]


@dataclass(frozen=True, slots=True)
class Assignments:
    """The cluster of each row: `labels` (n,) int64, in any numbering 0..k-1, -1 for noise; `strengths` (n,) in 0..1, 0
    for noise."""

    labels: NDArray[np.int64]
    strengths: NDArray[np.float32]


Assign = Callable[[Points, int, Progress], Assignments]
"""Assigns rows that were not fitted: (points, threads, progress)."""


def assign_nothing(points: Points, threads: int, progress: Progress) -> Assignments:
    """Label all rows as noise: nothing was fitted."""
    del threads, progress
    return all_noise(len(points))


def all_noise(total: int) -> Assignments:
    """Assignments of `total` rows, all noise."""
    return Assignments(np.full(total, NOISE, np.int64), np.zeros(total, np.float32))
