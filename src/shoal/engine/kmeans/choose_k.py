"""Chooses the number of clusters.

For a grid of k, the silhouette of k-means on the rows is compared with that on reference sets without groups: normally
distributed rows of the same mean and covariance, and rows uniform along the principal directions. The advantage over
both is structure (the idea of the gap statistic, Tibshirani, Walther and Hastie 2001, with the silhouette in place of
the inertia). The smallest k whose advantage is within a tenth of the largest wins: finer groups add little. An
advantage that reference sets have over each other is not structure.
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
"""Times the search is doubled if the best k is the largest."""
_MIN_ADVANTAGE: Final = 0.05
"""The search is widened only for such an advantage: smaller ones come from near-duplicates, which favour the finest
groups."""
_STEPS: Final = 8
_NEAR_BEST: Final = 0.9
_MAX_FEW: Final = 2000
"""Rows up to which silhouettes are averaged over several starts: on few rows a single start is noisy."""
_STARTS: Final = 2
_SETS: Final = 2
"""Normal and uniform reference sets; one uniform set is enough for many rows."""
_MIN_SPREADS: Final = 5.0
"""Structure must exceed the spread among the reference sets this many times. Chosen by inspection, between rows without
groups (normal and uniform, 2 to 768 dimensions, 50 to 5,000 rows) and rows with groups."""
_SEED: Final = 0
"""Fixed, so that the number does not depend on the caller's seed."""


@dataclass(frozen=True, slots=True)
class ChosenK:
    """`k` is at least 2; `reason` explains it in a sentence, and warns if there is no structure (`clear` is False)."""

    k: int
    reason: str
    clear: bool


def choose_k(
    points: NDArray[np.floating], *, normalize: bool = True, threads: int = 0, progress: Progress = ignore_progress
) -> ChosenK:
    """Choose a number of clusters for k-means.

    Uses at most 6,000 rows, and k from 2 to 1.5 sqrt(n), at most 300; up to four times as far if the best is the
    largest. Independent of row order. Reports to `progress` as "choose_k". Raises InvalidField as `compute` does.
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
        candidates = _build_grid(2, _max_k(total))
        first = search.advantages(candidates, 0.0, 0.6)
        advantages = first.values
        for widening in range(_MAX_WIDENINGS):
            last, most = candidates[-1], min(2 * candidates[-1], len(rows) // 4)
            inside = int(np.argmax(advantages)) < len(advantages) - 1
            if (
                inside
                or most < 1.2 * last
                or float(advantages.max()) < max(_MIN_SPREADS * first.spread, _MIN_ADVANTAGE)
            ):
                break
            wider = _build_grid(last, most)[1:]
            more = search.advantages(wider, 0.6 + 0.2 * widening, 0.8 + 0.2 * widening)
            candidates, advantages = [*candidates, *wider], np.concatenate([advantages, more.values])
    return _pick_k(candidates, advantages, first.spread)


def choice_workload(total: int) -> tuple[int, int]:
    """Rows sampled of `total`, and the rows of all starts and reference sets, which determine the time: bounds save
    most of the work of a larger k."""
    rows = min(total, _SAMPLE)
    few = rows <= _MAX_FEW
    sets = 1 + _SETS + (_SETS if few else 1)
    return rows, rows * sets * (_STARTS if few else 1)


def _pick_k(candidates: list[int], advantages: NDArray[np.float64], spread: float) -> ChosenK:
    best = float(advantages.max())
    k = candidates[int(np.argmax(advantages >= _NEAR_BEST * best))] if best > 0 else 2
    if best < _MIN_SPREADS * spread:
        return ChosenK(
            2,
            "No structure: no number of clusters separates these rows better than rows without any groups. The 2 "
            "clusters are an arbitrary division; set the number of clusters for another one.",
            False,
        )
    reason = (
        f"{k} clusters: the smallest of {len(candidates)} numbers from 2 to {candidates[-1]} whose silhouette "
        f"advantage over unstructured rows is at least {_NEAR_BEST:.0%} of the maximum ({best:.3f})."
    )
    if int(np.argmax(advantages)) == len(candidates) - 1:
        reason += " The maximum is at the end of the search: more clusters may fit better."
    return ChosenK(k, reason, True)


def _sample_rows(rows: Points, threads: int) -> Points:
    """At most 6,000 rows, drawn and sorted by their keys: independent of row order."""
    by_key = sort_by_key(rows, threads)[0]
    chosen = sample_rows(len(rows), _SAMPLE, _SEED)
    return np.ascontiguousarray(rows[by_key if chosen is None else by_key[chosen]])


def _max_k(total: int) -> int:
    return max(2, min(_MAX_K, int(1.5 * np.sqrt(total)), total // 2))


def _build_grid(first: int, top: int) -> list[int]:
    """Geometric grid from `first` to `top`."""
    steps = _GRID_SIZE if first == 2 else 4
    return sorted({round(float(k)) for k in np.geomspace(first, top, steps)})


@dataclass(frozen=True, slots=True)
class _Search:
    """The rows and the reference sets."""

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

        def generators(kind: int, sets: int) -> list[np.random.Generator]:
            return [np.random.default_rng([_SEED, kind, number]) for number in range(sets)]

        axes = _principal_directions(rows)
        normal = [trials(_draw_normal(rows, rng)) for rng in generators(1, _SETS)]
        even = [trials(_draw_uniform(rows, axes, rng)) for rng in generators(2, _SETS if few else 1)]
        return _Search(_Trials.of(rows, starts, threads, progress), normal, even, progress)

    def advantages(self, candidates: list[int], start: float, stop: float) -> "_Advantages":
        """For each k the silhouette of the rows minus that of the better kind of reference sets."""
        sets = [self.own, *self.normal, *self.even]
        scores = []
        for number, trial_set in enumerate(sets):
            first, last = (start + (stop - start) * (number + part) / len(sets) for part in (0, 1))
            scores.append(trial_set.silhouettes(candidates, scale_progress(self.progress, "choose_k", first, last)))
        normal, even = np.array(scores[1 : 1 + len(self.normal)]), np.array(scores[1 + len(self.normal) :])
        apart = [kind - kind.mean(axis=0) for kind in (normal, even)]
        degrees_of_freedom = sum(len(kind) - 1 for kind in (normal, even)) * len(candidates)
        spread = float(np.sqrt(sum((part**2).sum() for part in apart) / degrees_of_freedom))
        return _Advantages(scores[0] - np.maximum(normal.mean(axis=0), even.mean(axis=0)), spread)


@dataclass(frozen=True, slots=True)
class _Advantages:
    """(t,) for each k, and the standard deviation among the reference sets."""

    values: NDArray[np.float64]
    spread: float


@dataclass(frozen=True, slots=True)
class _Trials:
    """Short k-means runs on rows; the starts of a smaller k are the first of those of a larger one."""

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

    def silhouettes(self, candidates: list[int], progress: Progress) -> NDArray[np.float64]:
        """(t,) for each k the mean silhouette of its runs."""
        scores = np.zeros(len(candidates))
        for start in range(self.starts):
            rng = np.random.default_rng([_SEED, 3, start])
            part = scale_progress(progress, "choose_k", start / self.starts, (start + 1) / self.starts)
            rows = kmeans_plusplus(self.sample, candidates[-1], rng, scale_progress(part, "choose_k", 0, 0.2))
            for place, k in enumerate(candidates):
                share = scale_progress(
                    part, "choose_k", 0.2 + 0.8 * place / len(candidates), 0.2 + 0.8 * (place + 1) / len(candidates)
                )
                run = self.lloyd.run(self.rows[rows[:k]], _STEPS, 0.0, share)
                scores[place] += _silhouette(self.rows, run.nearest.labels.astype(np.int64)) / self.starts
        return scores


def _draw_normal(rows: Points, rng: np.random.Generator) -> Points:
    """As many normally distributed rows of the same mean and covariance: random combinations of all rows."""
    mean = rows.mean(axis=0, dtype=np.float64)
    apart = ((rows - mean) / np.sqrt(len(rows))).astype(np.float32)
    reference = np.empty_like(rows)
    for block in spans(len(rows), 512):
        draws = rng.standard_normal((block.stop - block.start, len(rows)), dtype=np.float32)
        reference[block] = draws @ apart + mean
    return reference


def _principal_directions(rows: Points) -> NDArray[np.float64]:
    """(d, r) the principal directions of the rows."""
    apart = rows - rows.mean(axis=0, dtype=np.float64)
    return np.asarray(np.linalg.eigh(apart.T @ apart)[1][:, -min(len(rows), rows.shape[1]) :], np.float64)


def _draw_uniform(rows: Points, axes: NDArray[np.float64], rng: np.random.Generator) -> Points:
    """As many rows, uniform over the extent of the rows along each of the axes (d, r)."""
    mean = rows.mean(axis=0, dtype=np.float64)
    along = (rows - mean) @ axes
    coordinates = rng.uniform(along.min(axis=0), along.max(axis=0), along.shape)
    return np.ascontiguousarray(coordinates @ axes.T + mean, np.float32)


def _silhouette(rows: Points, raw_labels: Rows) -> float:
    """With squared Euclidean distances, on unit rows twice the cosine ones; 0 if undefined."""
    labels = np.unique(raw_labels, return_inverse=True)[1]
    clusters = int(labels.max()) + 1
    if not 2 <= clusters < len(labels):
        return 0.0
    return squared_silhouette(rows, labels, cluster_means(rows, labels.astype(np.int32), clusters))
