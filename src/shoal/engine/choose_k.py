"""How many clusters, for somebody who does not say.

For a grid of k the rows are grouped by k-means and the silhouette is taken; the same is done for rows without any
groups, normal with the same mean and covariance. What the first has over the second is structure (the idea of the gap
statistic, Tibshirani, Walther and Hastie 2001, with the silhouette in place of the inertia). Of the k whose advantage
is within a tenth of the largest the smallest is taken: finer groups would tell little more.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.centroids import cluster_means
from shoal.engine.geometry import checked_points, moved, origin_shift, unit_rows
from shoal.engine.lloyd import prepared
from shoal.engine.parallel import one_blas_thread, spans
from shoal.engine.plan import Progress, pulse_at, silent, within
from shoal.engine.quality import squared_silhouette
from shoal.engine.row_keys import row_keys
from shoal.engine.sampling import sample_rows
from shoal.engine.starts import Sample, spread_out

__all__ = ["choose_k"]

_SAMPLE: Final = 6000
_LARGEST: Final = 300
_TRIED: Final = 14
_STEPS: Final = 8
_ENOUGH: Final = 0.9


def choose_k(
    points: NDArray[np.floating], seed: int, *, normalize: bool = True, threads: int = 0, progress: Progress = silent
) -> tuple[int, str]:
    """A number of clusters for k-means, at least 2, and a sentence that says why.

    Looks at 6,000 rows at most, and at k from 2 to 1.5 sqrt(n), at most 300. Reports to `progress` as "choose_k".
    Raises InvalidField as `compute` does.
    """
    with one_blas_thread():
        rows = checked_points(points)
        tried = _grid(len(rows))
        chosen = sample_rows(len(rows), _SAMPLE, seed)
        rows = rows if chosen is None else rows[chosen]
        rows = unit_rows(rows) if normalize else moved(rows, origin_shift(rows))
        if len(rows) < 4:
            return 2, f"2 clusters: {len(rows)} rows are too few to choose from."
        found = _advantage(rows, tried, seed, normalize, threads, progress)
    best = float(found.max())
    if best <= 0:
        return 2, "2 clusters: no number of clusters tells the rows apart better than rows without any structure."
    k = tried[int(np.argmax(found >= _ENOUGH * best))]
    return k, (
        f"{k} clusters: the smallest of {len(tried)} numbers from 2 to {tried[-1]} whose silhouette exceeds that of "
        f"unstructured rows by at least {_ENOUGH:.0%} of the most found ({best:.3f})."
    )


def _grid(total: int) -> list[int]:
    """2 and up in even ratios."""
    top = max(2, min(_LARGEST, int(1.5 * np.sqrt(total)), total // 2))
    return sorted({round(float(k)) for k in np.geomspace(2, top, _TRIED)})


def _advantage(
    rows: Points, tried: list[int], seed: int, normalize: bool, threads: int, progress: Progress
) -> NDArray[np.float64]:
    """For each k the silhouette of the rows less that of rows without structure."""
    plain = _without_structure(rows, np.random.default_rng([seed, 1]))
    if normalize:
        plain = unit_rows(plain)
    own = _silhouettes(rows, tried, seed, threads, within(progress, "choose_k", 0, 0.5))
    return own - _silhouettes(plain, tried, seed, threads, within(progress, "choose_k", 0.5, 1))


def _without_structure(rows: Points, rng: np.random.Generator) -> Points:
    """As many normal rows of the same mean and covariance: random combinations of all rows."""
    mean = rows.mean(axis=0, dtype=np.float64)
    apart = ((rows - mean) / np.sqrt(len(rows))).astype(np.float32)
    plain = np.empty_like(rows)
    for block in spans(len(rows), 512):
        draws = rng.standard_normal((block.stop - block.start, len(rows)), dtype=np.float32)
        plain[block] = draws @ apart + mean
    return plain


def _silhouettes(rows: Points, tried: list[int], seed: int, threads: int, progress: Progress) -> NDArray[np.float64]:
    """For each k the mean silhouette of a short k-means; the starts of a smaller k are the first of a larger one's."""
    lloyd = prepared(rows, row_keys(rows, threads), tried[-1], threads, pulse_at(progress, "choose_k", 0.0))
    rng = np.random.default_rng([seed, 2])
    sample = Sample(rows, lloyd.rows, threads)
    starts = spread_out(sample, tried[-1], rng, within(progress, "choose_k", 0, 0.2))
    scores = np.zeros(len(tried))
    done, whole = 0, sum(tried)
    for place, k in enumerate(tried):
        share = within(progress, "choose_k", 0.2 + 0.8 * done / whole, 0.2 + 0.8 * (done + k) / whole)
        run = lloyd.run(rows[starts[:k]], _STEPS, 0.0, share)
        scores[place] = _silhouette(rows, run.nearest.labels.astype(np.int64))
        done += k
    return scores


def _silhouette(rows: Points, found: Rows) -> float:
    """With squared Euclidean distances, on unit rows twice the cosine ones; 0 where it is not defined."""
    labels = np.unique(found, return_inverse=True)[1]
    clusters = int(labels.max()) + 1
    if not 2 <= clusters < len(labels):
        return 0.0
    return squared_silhouette(rows, labels, cluster_means(rows, labels.astype(np.int32), clusters))
