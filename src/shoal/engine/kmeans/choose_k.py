"""How many clusters, for somebody who does not say.

For a grid of k the rows are grouped by k-means and the silhouette is taken; the same is done for rows without any
groups: normal ones of the same mean and covariance, and even ones over the same extent of every principal direction.
What the rows have over both is structure (the idea of the gap statistic, Tibshirani, Walther and Hastie 2001, with the
silhouette in place of the inertia). Of the k whose advantage is within a tenth of the largest the smallest is taken:
finer groups would tell little more. An advantage that rows without groups have over each other is no structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.clusters.centroids import cluster_means
from shoal.engine.clusters.quality import squared_silhouette
from shoal.engine.kmeans.lloyd import Lloyd, prepare_lloyd
from shoal.engine.kmeans.starts import Sample, kmeans_plusplus
from shoal.engine.parallel import one_blas_thread, spans
from shoal.engine.plan import Progress, ignore_progress, pulse_at, scale_progress
from shoal.engine.rows.geometry import check_points, origin_shift, shift_rows, unit_rows
from shoal.engine.rows.row_keys import row_keys, sort_by_key
from shoal.engine.rows.sampling import sample_rows

__all__ = ["ChosenK", "choice_workload", "choose_k"]

_SAMPLE: Final = 6000
_MAX_K: Final = 300
_GRID_SIZE: Final = 14
_MAX_WIDENINGS: Final = 2
"""Times the search is doubled where the best k lies at its edge."""
_MIN_ADVANTAGE: Final = 0.05
"""The search goes on for such an advantage: less is that of near-duplicates, which are nearest in the finest groups."""
_STEPS: Final = 8
_NEAR_BEST: Final = 0.9
_MAX_FEW: Final = 2000
"""Rows up to which the silhouettes are means of several starts: of few rows one start tells little."""
_STARTS: Final = 2
_SETS: Final = 2
"""Sets of normal and of even rows that the rows are compared with; of many rows one even set is enough."""
_MIN_SPREADS: Final = 5.0
"""Structure exceeds the spread among the sets without structure so many times. Chosen by eye, between rows without any
(normal and even ones, 2 to 768 dimensions, 50 to 5,000 rows) and rows with groups."""
_SEED: Final = 0
"""The number does not depend on the caller's seed."""


@dataclass(frozen=True, slots=True)
class ChosenK:
    """`k` is at least 2; `reason` says why in a sentence, and where there is no structure (`clear` is False) warns."""

    k: int
    reason: str
    clear: bool


def choose_k(
    points: NDArray[np.floating], *, normalize: bool = True, threads: int = 0, progress: Progress = ignore_progress
) -> ChosenK:
    """A number of clusters for k-means.

    Looks at 6,000 rows at most, and at k from 2 to 1.5 sqrt(n), at most 300; up to four times as far where the best
    lies at the end. The same for any order of the rows. Reports to `progress` as "choose_k". Raises InvalidField as
    `compute` does.
    """
    with one_blas_thread():
        rows = check_points(points)
        total = len(rows)
        if normalize and len(rows) <= _SAMPLE:
            rows = _sample_rows(unit_rows(rows), threads)
        else:
            rows = _sample_rows(rows, threads)
            rows = unit_rows(rows) if normalize else shift_rows(rows, origin_shift(rows))
        if len(rows) < 4:
            return ChosenK(2, f"2 clusters: {len(rows)} rows are too few to choose from.", True)
        if not np.ptp(rows, axis=0).any():
            return ChosenK(2, "2 clusters: all rows are equal.", True)
        search = _Search.of(rows, normalize, threads, progress)
        tried = _build_grid(2, _max_k(total))
        first = search.advantages(tried, 0.0, 0.6)
        found = first.values
        for widening in range(_MAX_WIDENINGS):
            last, most = tried[-1], min(2 * tried[-1], len(rows) // 4)
            inside = int(np.argmax(found)) < len(found) - 1
            if inside or most < 1.2 * last or float(found.max()) < max(_MIN_SPREADS * first.spread, _MIN_ADVANTAGE):
                break
            wider = _build_grid(last, most)[1:]
            further = search.advantages(wider, 0.6 + 0.2 * widening, 0.8 + 0.2 * widening)
            tried, found = [*tried, *wider], np.concatenate([found, further.values])
    return _pick_k(tried, found, first.spread)


def choice_workload(total: int) -> tuple[int, int]:
    """Rows that are looked at of so many, and those of all starts and sets of rows, by which the time goes: bounds
    spare most of what a larger k would take."""
    rows = min(total, _SAMPLE)
    few = rows <= _MAX_FEW
    sets = 1 + _SETS + (_SETS if few else 1)
    return rows, rows * sets * (_STARTS if few else 1)


def _pick_k(tried: list[int], found: NDArray[np.float64], spread: float) -> ChosenK:
    best = float(found.max())
    k = tried[int(np.argmax(found >= _NEAR_BEST * best))] if best > 0 else 2
    if best < _MIN_SPREADS * spread:
        return ChosenK(
            2,
            "No structure: no number of clusters tells these rows apart better than rows that have no groups at all. "
            "The 2 clusters only divide them; name a number to have another division.",
            False,
        )
    reason = (
        f"{k} clusters: the smallest of {len(tried)} numbers from 2 to {tried[-1]} whose silhouette exceeds that of "
        f"unstructured rows by at least {_NEAR_BEST:.0%} of the most found ({best:.3f})."
    )
    if int(np.argmax(found)) == len(tried) - 1:
        reason += " The most was found at the end of the search: more clusters may fit better."
    return ChosenK(k, reason, True)


def _sample_rows(rows: Points, threads: int) -> Points:
    """At most 6,000 rows, chosen and sorted by their keys: the same in whatever order they came."""
    by_key = sort_by_key(rows, threads)[0]
    chosen = sample_rows(len(rows), _SAMPLE, _SEED)
    return np.ascontiguousarray(rows[by_key if chosen is None else by_key[chosen]])


def _max_k(total: int) -> int:
    return max(2, min(_MAX_K, int(1.5 * np.sqrt(total)), total // 2))


def _build_grid(first: int, top: int) -> list[int]:
    """From the first to the top in even ratios."""
    steps = _GRID_SIZE if first == 2 else 4
    return sorted({round(float(k)) for k in np.geomspace(first, top, steps)})


@dataclass(frozen=True, slots=True)
class _Search:
    """The rows beside sets of rows without structure."""

    own: "_Trials"
    normal: Sequence["_Trials"]
    even: Sequence["_Trials"]
    progress: Progress

    @staticmethod
    def of(rows: Points, normalize: bool, threads: int, progress: Progress) -> "_Search":
        few = len(rows) <= _MAX_FEW
        starts = _STARTS if few else 1

        def trials(points: Points) -> _Trials:
            return _Trials.of(unit_rows(points) if normalize else points, starts, threads, progress)

        def drawn(kind: int, sets: int) -> list[np.random.Generator]:
            return [np.random.default_rng([_SEED, kind, number]) for number in range(sets)]

        axes = _principal_directions(rows)
        normal = [trials(_draw_normal(rows, rng)) for rng in drawn(1, _SETS)]
        even = [trials(_draw_uniform(rows, axes, rng)) for rng in drawn(2, _SETS if few else 1)]
        return _Search(_Trials.of(rows, starts, threads, progress), normal, even, progress)

    def advantages(self, tried: list[int], start: float, stop: float) -> "_Advantages":
        """For each k the silhouette of the rows less that of the better of the two kinds without structure."""
        sets = [self.own, *self.normal, *self.even]
        scores = []
        for number, one in enumerate(sets):
            first, last = (start + (stop - start) * (number + part) / len(sets) for part in (0, 1))
            scores.append(one.silhouettes(tried, scale_progress(self.progress, "choose_k", first, last)))
        normal, even = np.array(scores[1 : 1 + len(self.normal)]), np.array(scores[1 + len(self.normal) :])
        apart = [kind - kind.mean(axis=0) for kind in (normal, even)]
        free = sum(len(kind) - 1 for kind in (normal, even)) * len(tried)
        spread = float(np.sqrt(sum((part**2).sum() for part in apart) / free))
        return _Advantages(scores[0] - np.maximum(normal.mean(axis=0), even.mean(axis=0)), spread)


@dataclass(frozen=True, slots=True)
class _Advantages:
    """(t,) for each k, and the standard deviation of the same among the sets without structure."""

    values: NDArray[np.float64]
    spread: float


@dataclass(frozen=True, slots=True)
class _Trials:
    """Short runs of k-means over rows; the starts of a smaller k are the first of those of a larger one."""

    rows: Points
    sample: Sample
    lloyd: Lloyd
    starts: int

    @staticmethod
    def of(rows: Points, starts: int, threads: int, progress: Progress) -> "_Trials":
        lloyd = prepare_lloyd(
            rows, row_keys(rows, threads), _max_k(len(rows)), threads, pulse_at(progress, "choose_k", 0.0)
        )
        return _Trials(rows, Sample(rows, lloyd.rows, threads), lloyd, starts)

    def silhouettes(self, tried: list[int], progress: Progress) -> NDArray[np.float64]:
        """(t,) for each k the mean silhouette of its runs."""
        scores = np.zeros(len(tried))
        for start in range(self.starts):
            rng = np.random.default_rng([_SEED, 3, start])
            part = scale_progress(progress, "choose_k", start / self.starts, (start + 1) / self.starts)
            rows = kmeans_plusplus(self.sample, tried[-1], rng, scale_progress(part, "choose_k", 0, 0.2))
            for place, k in enumerate(tried):
                share = scale_progress(
                    part, "choose_k", 0.2 + 0.8 * place / len(tried), 0.2 + 0.8 * (place + 1) / len(tried)
                )
                run = self.lloyd.run(self.rows[rows[:k]], _STEPS, 0.0, share)
                scores[place] += _silhouette(self.rows, run.nearest.labels.astype(np.int64)) / self.starts
        return scores


def _draw_normal(rows: Points, rng: np.random.Generator) -> Points:
    """As many normal rows of the same mean and covariance: random combinations of all rows."""
    mean = rows.mean(axis=0, dtype=np.float64)
    apart = ((rows - mean) / np.sqrt(len(rows))).astype(np.float32)
    plain = np.empty_like(rows)
    for block in spans(len(rows), 512):
        draws = rng.standard_normal((block.stop - block.start, len(rows)), dtype=np.float32)
        plain[block] = draws @ apart + mean
    return plain


def _principal_directions(rows: Points) -> NDArray[np.float64]:
    """(d, r) the principal directions of the rows."""
    apart = rows - rows.mean(axis=0, dtype=np.float64)
    return np.asarray(np.linalg.eigh(apart.T @ apart)[1][:, -min(len(rows), rows.shape[1]) :], np.float64)


def _draw_uniform(rows: Points, axes: NDArray[np.float64], rng: np.random.Generator) -> Points:
    """As many rows spread evenly over the extent of the rows along each of the axes (d, r)."""
    mean = rows.mean(axis=0, dtype=np.float64)
    along = (rows - mean) @ axes
    drawn = rng.uniform(along.min(axis=0), along.max(axis=0), along.shape)
    return np.ascontiguousarray(drawn @ axes.T + mean, np.float32)


def _silhouette(rows: Points, found: Rows) -> float:
    """With squared Euclidean distances, on unit rows twice the cosine ones; 0 where it is not defined."""
    labels = np.unique(found, return_inverse=True)[1]
    clusters = int(labels.max()) + 1
    if not 2 <= clusters < len(labels):
        return 0.0
    return squared_silhouette(rows, labels, cluster_means(rows, labels.astype(np.int32), clusters))
