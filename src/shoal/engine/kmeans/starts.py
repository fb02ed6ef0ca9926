"""Initial centers of k-means: rows far from each other, or random rows.

All draws use the keys of the rows, so that the same rows in another order give the same starts.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine import kernels
from shoal.engine.kmeans.centers import CodedRows, encode_rows
from shoal.engine.parallel import thread_count
from shoal.engine.plan import Progress, Pulse, ignore_pulse
from shoal.engine.rows.exact_sums import choose_quantum, round_to_grid, squared_distances
from shoal.engine.rows.geometry import half_squares
from shoal.engine.rows.row_keys import Keys, mix_bits

__all__ = ["Sample", "draw_order", "draw_sample", "kmeans_plusplus"]

Doubles = NDArray[np.float64]

_MIN_SAMPLE: Final = 16_384
"""Rows that starts are drawn from, or 20 per center: a larger sample costs more and gives no better starts."""
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows that starts are drawn from, in the order used by the draws."""

    points: Points
    rows: CodedRows | None
    threads: int


def draw_order(keys: Keys, seed: int) -> Rows:
    """(n,) a random permutation of the rows, determined by their keys and the seed. Only equal rows may swap."""
    by_key = np.argsort(keys, kind="stable")
    ordered = keys[by_key]
    places = np.arange(len(keys))
    new = np.append(True, ordered[1:] != ordered[:-1])
    copy = places - np.maximum.accumulate(np.where(new, places, 0))
    salt = mix_bits(np.array([seed % (1 << 64)], np.uint64) + _STEP)
    draw = mix_bits((ordered ^ salt) + copy.astype(np.uint64) * _STEP)
    order: Rows = by_key[np.lexsort((ordered, draw))].astype(np.int64)
    return order


def draw_sample(
    points: Points,
    keys: Keys,
    centers: int,
    seed: int,
    threads: int,
    coded_rows: CodedRows | None = None,
    *,
    pulse: Pulse = ignore_pulse,
) -> Sample:
    """A sample of max(16,384, 20 k) rows, or all. `coded_rows` are the codes of all rows, if any."""
    chosen = draw_order(keys, seed)[: max(_MIN_SAMPLE, 20 * centers)]
    rows = np.ascontiguousarray(points[chosen])
    return Sample(rows, encode_rows(rows, centers, threads, coded_rows, pulse=pulse), threads)


def kmeans_plusplus(sample: Sample, count: int, rng: np.random.Generator, progress: Progress) -> Rows:
    """(count,) rows of the sample by greedy k-means++: each next one is the best of 2 + log(count) candidates, drawn in
    proportion to the squared distance to the rows already chosen (Arthur and Vassilvitskii 2007)."""
    trials = 2 + int(np.log(count))
    first = int(rng.integers(len(sample.points)))
    draws = rng.random((count - 1, trials))
    core = kernels.native()
    if core is None or sample.rows is None:
        return _ReferenceSeeding(sample, first).choose(draws, progress)
    order, codes, threads = sample.rows.order, sample.rows.codes, thread_count(sample.threads)
    near = np.ascontiguousarray(sample.points[order])
    chosen: Rows = core.spread_starts(codes, near, order, first, draws, threads, lambda done: progress("starts", done))
    return chosen


class _ReferenceSeeding:
    """NumPy reference: float32 products rule out rows that a candidate is certainly no nearer to."""

    def __init__(self, sample: Sample, first: int) -> None:
        self._sample, self._chosen = sample, [first]
        self._apart = sample.points - sample.points.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._halves = half_squares(self._apart)
        share = (self._apart.shape[1] + 16) * float(np.finfo(np.float32).eps)
        self._slack = np.float32(4 * share * (2 * float(self._halves.max()) + 1e-30))
        all_rows = np.arange(len(sample.points))
        self._closest = self._squares(all_rows, np.full(len(all_rows), first))

    def choose(self, draws: Doubles, progress: Progress) -> Rows:
        for step, own in enumerate(draws):
            self._next(own)
            if step % 16 == 15:
                progress("starts", (step + 1) / len(draws))
        return np.array(self._chosen, np.int64)

    def _squares(self, rows: Rows, others: Rows) -> Doubles:
        points = self._sample.points
        return squared_distances(points, rows, points, others.astype(np.int32), self._sample.threads)

    def _next(self, draws: Doubles) -> None:
        cumulative = np.cumsum(self._closest)
        candidates = np.minimum(np.searchsorted(cumulative, draws * cumulative[-1], side="right"), len(cumulative) - 1)
        quantum = choose_quantum(float(self._closest.max()), len(cumulative))
        approximate = self._halves + self._halves[candidates][:, None] - self._apart[candidates] @ self._apart.T
        trial, row = np.nonzero(approximate <= (self._closest / 2).astype(np.float32) + self._slack)
        squares = self._squares(row, candidates[trial])
        gains = round_to_grid(np.maximum(self._closest[row] - squares, 0.0), quantum)
        best = int(np.argmax(np.bincount(trial, weights=gains, minlength=len(candidates))))
        own = trial == best
        self._closest[row[own]] = np.minimum(self._closest[row[own]], squares[own])
        self._chosen.append(int(candidates[best]))
