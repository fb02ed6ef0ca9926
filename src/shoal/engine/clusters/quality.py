"""Quality measures of a clustering. Noise is excluded from all of them except the noise ratio."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points, Rows
from shoal.engine.clusters.centroids import Memberships
from shoal.engine.parallel import map_in_order, spans
from shoal.engine.plan import DistanceMetric, Progress, ignore_progress, scale_progress
from shoal.engine.rows.geometry import half_squares, origin_shift, shift_rows
from shoal.engine.rows.row_keys import row_keys
from shoal.engine.rows.sampling import sample_rows

__all__ = ["Grouping", "measure", "silhouette", "silhouettes", "squared_silhouette"]

Floats = NDArray[np.float64]
_MAX_EXACT: Final = 20_000
"""Rows up to which a Euclidean silhouette uses all rows; above, a sample with the same amount of work."""
_MIN_SAMPLE: Final = 1000
"""Minimum size of that sample."""
_ROW_BLOCK: Final = 512
_COLUMN_BLOCK: Final = 8192
_MAX_PRODUCTS: Final = 1 << 20
"""Numbers of a block of products held at a time by one thread."""
_CLOSE: Final = 1e-6
"""Fraction of their squared lengths below which the distance of two means is computed from their difference."""
_Z_95: Final = 1.96
"""Standard errors on either side of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """A clustering to measure: `means` (k, d) of the members, and the memberships of the rows."""

    points: Points
    labels: Labels
    means: Floats
    memberships: Memberships
    metric: DistanceMetric

    @property
    def sizes(self) -> Rows:
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.means)).astype(np.int64)


def measure(
    grouping: Grouping, seed: int, threads: int, progress: Progress = ignore_progress
) -> dict[str, float | None]:
    """All measures, named as in contract.md#metrics; None if undefined (usually: fewer than two clusters).

    `silhouette_score` uses the distance metric; `davies_bouldin_index`, `calinski_harabasz_score` and `inertia` (sum of
    squared distances to the mean) are Euclidean. `cluster_size_entropy` is in nats: ln k for clusters of equal size.
    Above 20,000 members a Euclidean silhouette is the mean over a seeded sample, each row compared with all members;
    then `silhouette_sampled` is the sample size, and `silhouette_low` to `silhouette_high` contains the mean over all
    members in 95 % of samples (normal approximation with finite population correction, Cochran 1977). The interval is
    about this clustering of these rows, not about another seed or future rows. Reports to `progress` as "describe".
    """
    sizes, total = grouping.sizes, len(grouping.labels)
    inside = int(sizes.sum())
    return {
        **_silhouette_metrics(grouping, seed, threads, scale_progress(progress, "describe", 0, 0.7)),
        **_scatter_metrics(grouping, threads, scale_progress(progress, "describe", 0.7, 1)),
        "noise_ratio": 1 - inside / total if total else None,
        "avg_cluster_size": inside / len(sizes) if len(sizes) else None,
        "cluster_size_entropy": _entropy(sizes / inside) if inside else None,
        **_cosine_metrics(grouping.memberships),
    }


def _entropy(shares: Floats) -> float:
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def _cosine_metrics(memberships: Memberships) -> dict[str, float | None]:
    cosine = memberships.cosine[~np.isnan(memberships.cosine)]
    return {
        "mean_cosine_to_centroid": float(cosine.mean()) if len(cosine) else None,
        "min_cosine_to_centroid": float(cosine.min()) if len(cosine) else None,
    }


def _scatter_metrics(grouping: Grouping, threads: int, progress: Progress) -> dict[str, float | None]:
    """Inertia, Davies-Bouldin (1979) and Calinski-Harabasz (1974)."""
    sizes, means = grouping.sizes, grouping.means
    clusters, inside = len(sizes), int(sizes.sum())
    if clusters == 0:
        return {"inertia": None, "davies_bouldin_index": None, "calinski_harabasz_score": None}
    distance = _distances_to_means(grouping, threads, scale_progress(progress, "describe", 0, 0.4))
    members = grouping.labels >= 0
    inner = float((distance[members] ** 2).sum())
    index = score = None
    if 2 <= clusters < inside:
        spread = np.bincount(grouping.labels[members], distance[members], clusters) / sizes
        index = _davies_bouldin(means, spread, threads, scale_progress(progress, "describe", 0.4, 1))
        middle = (means * sizes[:, None]).sum(axis=0) / inside
        between = float((((means - middle) ** 2).sum(axis=1) * sizes).sum())
        score = between / inner * (inside - clusters) / (clusters - 1) if inner > 0 else None
    return {"inertia": inner, "davies_bouldin_index": index, "calinski_harabasz_score": score}


def _distances_to_means(grouping: Grouping, threads: int, progress: Progress) -> Floats:
    """(n,) Euclidean distance to the mean of the own cluster; 0 for noise."""
    distance = np.zeros(len(grouping.labels))

    def measure_block(block: slice) -> None:
        inside = block.start + np.flatnonzero(grouping.labels[block] >= 0)
        away = grouping.points[inside] - grouping.means[grouping.labels[inside]]
        distance[inside] = np.sqrt(np.einsum("ij,ij->i", away, away))

    blocks = spans(len(distance), 1024)
    for block, _ in zip(blocks, map_in_order(measure_block, blocks, threads), strict=True):
        progress("describe", block.stop / len(distance))
    return distance


def _davies_bouldin(means: Floats, spread: Floats, threads: int, progress: Progress) -> float | None:
    """Mean over clusters of the worst (spread + spread) / distance of means; None if two means coincide.

    Distances are computed from products, or from differences for means too close to each other for that.
    """
    near = means - means.mean(axis=0)
    squares = np.einsum("ij,ij->i", near, near)

    def worst(block: slice) -> Floats:
        lengths = squares[block][:, None] + squares
        apart = lengths - 2 * (near[block] @ near.T)
        own, other = np.nonzero(apart <= _CLOSE * lengths)
        for pair in spans(len(own), max(1, _MAX_PRODUCTS // means.shape[1])):
            gap = means[block.start + own[pair]] - means[other[pair]]
            apart[own[pair], other[pair]] = np.einsum("ij,ij->i", gap, gap)
        apart[np.arange(len(apart)), np.arange(block.start, block.stop)] = np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = (spread + spread[block][:, None]) / np.sqrt(apart)
        return np.where(apart.all(axis=1), ratios.max(axis=1), np.nan)

    parts, blocks = [], spans(len(means), max(1, min(_ROW_BLOCK, _MAX_PRODUCTS // len(means))))
    for block, part in zip(blocks, map_in_order(worst, blocks, threads), strict=True):
        parts.append(part)
        progress("describe", block.stop / len(means))
    mean = float(np.concatenate(parts).mean())
    return None if np.isnan(mean) else mean


def _silhouette_metrics(grouping: Grouping, seed: int, threads: int, progress: Progress) -> dict[str, float | None]:
    rows = np.flatnonzero(grouping.labels >= 0)
    if len(grouping.means) < 2 or len(rows) <= len(grouping.means):
        return {"silhouette_score": None}
    if grouping.metric == "cosine":
        of_members = grouping.points[rows], grouping.labels[rows], grouping.means
        return {"silhouette_score": squared_silhouette(*of_members, threads, progress)}
    chosen = sample_rows(len(rows), max(_MIN_SAMPLE, _MAX_EXACT**2 // len(rows)), seed)
    if chosen is None:
        return {"silhouette_score": silhouette(grouping.points, grouping.labels, threads, progress)}
    by_key = rows[np.argsort(row_keys(grouping.points, threads)[rows], kind="stable")]
    return _estimate_silhouette(grouping, np.sort(by_key[chosen]), threads, progress)


def _estimate_silhouette(grouping: Grouping, rows: Rows, threads: int, progress: Progress) -> dict[str, float | None]:
    scores = silhouettes(grouping.points, grouping.labels, threads, rows, progress)
    score = _clipped_mean(scores)
    if scores is None or score is None:
        return {"silhouette_score": None}
    left_out = 1 - len(rows) / int(grouping.sizes.sum())
    half_width = _Z_95 * float(scores.std(ddof=1)) * (left_out / len(rows)) ** 0.5
    return {
        "silhouette_score": score,
        "silhouette_sampled": float(len(rows)),
        "silhouette_low": max(score - half_width, -1.0),
        "silhouette_high": min(score + half_width, 1.0),
    }


def squared_silhouette(
    points: Points, labels: NDArray[np.integer], means: Floats, threads: int = 1, progress: Progress = ignore_progress
) -> float:
    """Mean silhouette with squared Euclidean distances, on unit rows that with cosine distances; exact in O(n k d).

    The mean squared distance of a row to a cluster is that to its mean plus the cluster's variance. `means` (k, d) are
    those of the members, every cluster has one, `labels` (n,) are not negative.
    """
    sizes = np.bincount(labels, minlength=len(means))
    lengths = np.concatenate([_squared_lengths(points[block]) for block in spans(len(points), 4096)])
    own = np.bincount(labels, lengths, len(means)) / sizes

    def scores(block: slice) -> float:
        squares = lengths[block][:, None] + own - 2.0 * (points[block] @ means.T)
        return float(_silhouette_scores(np.maximum(squares, 0.0) * sizes, labels[block], sizes).sum())

    total, blocks = 0.0, spans(len(points), max(16, min(2048, _MAX_PRODUCTS // len(means))))
    for block, part in zip(blocks, map_in_order(scores, blocks, threads), strict=True):
        total += part
        progress("describe", block.stop / len(points))
    return float(np.clip(total / len(points), -1.0, 1.0))


def _squared_lengths(points: Points) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", points, points, dtype=np.float64), np.float64)


def silhouette(points: Points, labels: Labels, threads: int, progress: Progress = ignore_progress) -> float | None:
    """The mean of `silhouettes`."""
    return _clipped_mean(silhouettes(points, labels, threads, progress=progress))


def _clipped_mean(scores: Floats | None) -> float | None:
    return None if scores is None else float(np.clip(scores.mean(), -1.0, 1.0))


def silhouettes(
    points: Points, labels: Labels, threads: int, rows: Rows | None = None, progress: Progress = ignore_progress
) -> Floats | None:
    """Silhouettes (Rousseeuw 1987) with Euclidean distances of the members `rows` (m,), in ascending order of all if
    None, each compared with all members; 0 for the only member of a cluster.

    O(m n d) time, 16 MiB and 16,384 rows per thread beside `points` (n, d). Rows with a negative label are not members.
    None with fewer than two clusters present, or only clusters of one row.
    """
    inside = np.flatnonzero(labels >= 0)
    numbers = np.full(len(labels), -1, np.int64)
    numbers[inside] = np.unique(labels[inside], return_inverse=True)[1]
    sizes = np.bincount(numbers[inside])
    if not 2 <= len(sizes) < len(inside):
        return None
    measured = inside if rows is None else rows
    others = _Others.of(points, inside[np.argsort(numbers[inside], kind="stable")], numbers)

    def block_scores(block: slice) -> Floats:
        return _silhouette_scores(others.sums(measured[block], len(sizes)), numbers[measured[block]], sizes)

    parts, blocks = [], spans(len(measured), _ROW_BLOCK)
    for block, part in zip(blocks, map_in_order(block_scores, blocks, threads), strict=True):
        parts.append(part)
        progress("describe", block.stop / len(measured))
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class _Others:
    """The members to compare with: `order` by cluster, `places` (n,) in it, `numbers` (n,) of the clusters."""

    points: Points
    order: Rows
    places: Rows
    numbers: Rows
    shift: NDArray[np.float32] | None
    halves: NDArray[np.float32]

    @staticmethod
    def of(points: Points, order: Rows, numbers: Rows) -> "_Others":
        shift, places = origin_shift(points), np.full(len(points), -1, np.int64)
        places[order] = np.arange(len(order))
        halves = np.concatenate(
            [half_squares(shift_rows(points[part], shift)) for part in spans(len(points), _COLUMN_BLOCK)]
        )
        return _Others(points, order, places, numbers, shift, halves)

    def sums(self, rows: Rows, clusters: int) -> Floats:
        """(b, k) summed distances of `rows` (b,) to the members of each cluster."""
        near, totals = shift_rows(self.points[rows], self.shift), np.zeros((len(rows), clusters))
        for part in spans(len(self.order), _COLUMN_BLOCK):
            others = self.order[part]
            squares = near @ shift_rows(self.points[others], self.shift).T
            squares -= self.halves[others]
            squares -= self.halves[rows][:, None]
            squares *= -2
            np.maximum(squares, 0, out=squares)
            own = np.flatnonzero((self.places[rows] >= part.start) & (self.places[rows] < part.stop))
            squares[own, self.places[rows[own]] - part.start] = 0
            starts = np.flatnonzero(np.diff(self.numbers[others], prepend=-1))
            first = self.numbers[others[0]]
            here = slice(first, first + len(starts))
            totals[:, here] += np.add.reduceat(np.sqrt(squares, out=squares), starts, axis=1)
        return totals


def _silhouette_scores(sums: Floats, labels: NDArray[np.integer], sizes: Rows) -> Floats:
    """(b,) silhouettes from the (b, k) sums of the distances of each row to the members of each cluster."""
    rows = np.arange(len(labels))
    alone = sizes[labels] == 1
    inner = np.maximum(sums[rows, labels], 0.0) / np.maximum(sizes[labels] - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    outer = np.maximum(means.min(axis=1), 0.0)
    larger = np.maximum(inner, outer)
    return np.where(alone | (larger == 0), 0.0, (outer - inner) / np.where(larger > 0, larger, 1.0))
