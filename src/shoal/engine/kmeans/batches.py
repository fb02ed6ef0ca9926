"""Mini-batch k-means for rows whose codes do not fit in memory (Sculley 2010)."""

from math import fsum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.kmeans.centers import find_two_nearest
from shoal.engine.parallel import spans
from shoal.engine.plan import Progress, Pulse, pulse_at
from shoal.engine.rows.exact_sums import choose_quantum, move_rows

__all__ = ["fit_minibatch"]

Doubles = NDArray[np.float64]

_BATCH: Final = 1 << 16
_MIN_DECREASE: Final = 1e-3
"""Stop when a pass decreases the mean square by less than this fraction."""


def fit_minibatch(
    points: Points, centers: Points, passes: int, rng: np.random.Generator, threads: int, progress: Progress
) -> tuple[Doubles, bool]:
    """(k, d) means after at most `passes` passes over the rows, and whether they converged. Each batch is a contiguous
    block of 65,536 rows, in a seeded order of blocks; each center weights a row by 1 / rows it has received."""
    current, counts = centers.astype(np.float64), np.zeros(len(centers), np.int64)
    blocks = spans(len(points), _BATCH)
    previous = np.inf
    for number in range(passes):
        squares = []
        for place, at in enumerate(rng.permutation(len(blocks))):
            batch = np.ascontiguousarray(points[blocks[at]])
            position = number + place / len(blocks)
            pulse = pulse_at(progress, "steps", position / (position + 2))
            current, counts, batch_square = _update_centers(batch, current, counts, threads, pulse)
            squares.append(batch_square)
            progress_made = number + (place + 1) / len(blocks)
            progress("steps", progress_made / (progress_made + 2))
        total = fsum(squares)
        if total >= previous * (1 - _MIN_DECREASE):
            return current, True
        previous = total
    return current, False


def _update_centers(
    batch: Points, current: Doubles, counts: NDArray[np.int64], threads: int, pulse: Pulse
) -> tuple[Doubles, NDArray[np.int64], float]:
    nearest = find_two_nearest(batch, current.astype(np.float32), threads, lambda _: pulse())
    sizes = np.bincount(nearest.labels, minlength=len(current))
    rows, none = np.arange(len(batch)), np.full(len(batch), -1, np.int32)
    quantum = choose_quantum(max(float(batch.max()), -float(batch.min())), len(batch))
    sums = move_rows(batch, (rows, none, nearest.labels), np.zeros_like(current), quantum, threads)
    total = counts + sizes
    means = (current * counts[:, None] + sums) / np.maximum(total, 1)[:, None]
    return np.where(sizes[:, None] > 0, means, current), total, fsum(nearest.squares[:, 0])
