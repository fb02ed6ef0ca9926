"""How good a clustering is, by the field's measures. Noise is left out of all of them but the noise ratio."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points, Rows
from shoal.engine.centroids import Memberships
from shoal.engine.geometry import half_squares, moved, origin_shift
from shoal.engine.parallel import in_order, spans
from shoal.engine.plan import DistanceMetric
from shoal.engine.sampling import sample_rows

__all__ = ["Grouping", "measure", "silhouette", "silhouettes", "squared_silhouette"]

Floats = NDArray[np.float64]
_EXACT_TO: Final = 20_000
"""Rows up to which a Euclidean silhouette looks at all pairs; above, at those of a seeded sample of so many."""
_DEVIATIONS: Final = 1.96
"""Standard errors to either side that hold 95 of 100 means."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """A clustering to measure: `means` (k, d) of the members, and how members lie to their centroid."""

    points: Points
    labels: Labels
    means: Floats
    memberships: Memberships
    metric: DistanceMetric

    @property
    def sizes(self) -> Rows:
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.means)).astype(np.int64)


def measure(grouping: Grouping, seed: int, threads: int) -> dict[str, float | None]:
    """All measures by the contract's names; None where one is not defined (fewer than two clusters, as a rule).

    `silhouette_score` is in the distance metric; `davies_bouldin_index`, `calinski_harabasz_score` and `inertia` (sum
    of squared distances to the mean) are Euclidean. `cluster_size_entropy` is in nats: ln k where all are of one size.
    Only where the silhouette is that of some sampled rows, `silhouette_sampled` tells how many, `silhouette_low` and
    `silhouette_high` the 95 % interval of the mean over all rows (normal approximation, finite population).
    """
    sizes, total = grouping.sizes, len(grouping.labels)
    inside = int(sizes.sum())
    return {
        **_silhouette_of_rows(grouping, seed, threads),
        **_scatter(grouping),
        "noise_ratio": 1 - inside / total if total else None,
        "avg_cluster_size": inside / len(sizes) if len(sizes) else None,
        "cluster_size_entropy": _entropy(sizes / inside) if inside else None,
        **_closeness(grouping.memberships),
    }


def _entropy(shares: Floats) -> float:
    return float(max(0.0, -(shares * np.log(shares)).sum()))


def _closeness(memberships: Memberships) -> dict[str, float | None]:
    cosine = memberships.cosine[~np.isnan(memberships.cosine)]
    return {
        "mean_cosine_to_centroid": float(cosine.mean()) if len(cosine) else None,
        "min_cosine_to_centroid": float(cosine.min()) if len(cosine) else None,
    }


def _scatter(grouping: Grouping) -> dict[str, float | None]:
    """Inertia, Davies-Bouldin (1979) and Calinski-Harabasz (1974)."""
    sizes, means = grouping.sizes, grouping.means
    clusters, inside = len(sizes), int(sizes.sum())
    if clusters == 0:
        return {"inertia": None, "davies_bouldin_index": None, "calinski_harabasz_score": None}
    distance = _to_means(grouping)
    members = grouping.labels >= 0
    within = float((distance[members] ** 2).sum())
    index = score = None
    if 2 <= clusters < inside:
        spread = np.bincount(grouping.labels[members], distance[members], clusters) / sizes
        index = _davies_bouldin(means, spread)
        middle = (means * sizes[:, None]).sum(axis=0) / inside
        between = float((((means - middle) ** 2).sum(axis=1) * sizes).sum())
        score = between / within * (inside - clusters) / (clusters - 1) if within > 0 else None
    return {"inertia": within, "davies_bouldin_index": index, "calinski_harabasz_score": score}


def _to_means(grouping: Grouping) -> Floats:
    """(n,) Euclidean distance to the mean of the own cluster; 0 for noise."""
    distance = np.zeros(len(grouping.labels))
    for block in spans(len(distance), 4096):
        inside = block.start + np.flatnonzero(grouping.labels[block] >= 0)
        away = grouping.points[inside] - grouping.means[grouping.labels[inside]]
        distance[inside] = np.sqrt(np.einsum("ij,ij->i", away, away))
    return distance


def _davies_bouldin(means: Floats, spread: Floats) -> float | None:
    """Mean over clusters of the worst (spread + spread) / distance of means; None where two means are one point."""
    worst = np.empty(len(means))
    for number, mean in enumerate(means):
        apart = np.linalg.norm(means - mean, axis=1)
        apart[number] = np.inf
        if not apart.all():
            return None
        worst[number] = ((spread + spread[number]) / apart).max()
    return float(worst.mean())


def _silhouette_of_rows(grouping: Grouping, seed: int, threads: int) -> dict[str, float | None]:
    rows = np.flatnonzero(grouping.labels >= 0)
    if len(grouping.means) < 2 or len(rows) <= len(grouping.means):
        return {"silhouette_score": None}
    if grouping.metric == "cosine":
        return {"silhouette_score": squared_silhouette(grouping.points[rows], grouping.labels[rows], grouping.means)}
    chosen = sample_rows(len(rows), _EXACT_TO, seed)
    rows = rows if chosen is None else rows[chosen]
    scores = silhouettes(grouping.points[rows], grouping.labels[rows], threads)
    score = _mean(scores)
    if chosen is None or scores is None or score is None:
        return {"silhouette_score": score}
    total = int(grouping.sizes.sum())
    half = _DEVIATIONS * float(scores.std(ddof=1)) * ((total - len(rows)) / (total - 1) / len(rows)) ** 0.5
    return {
        "silhouette_score": score,
        "silhouette_sampled": float(len(rows)),
        "silhouette_low": max(score - half, -1.0),
        "silhouette_high": min(score + half, 1.0),
    }


def squared_silhouette(points: Points, labels: NDArray[np.integer], means: Floats) -> float:
    """Mean silhouette with squared Euclidean distances, on unit rows that with cosine distances; exact in O(n k d).

    The mean squared distance of a row to a cluster is that to its mean plus the cluster's own variance. `means` (k, d)
    are those of the members, every cluster has one, `labels` (n,) are not negative.
    """
    sizes = np.bincount(labels, minlength=len(means))
    lengths = np.concatenate([_lengths(points[block]) for block in spans(len(points), 4096)])
    own = np.bincount(labels, lengths, len(means)) / sizes
    total = 0.0
    for block in spans(len(points), 2048):
        squares = lengths[block][:, None] + own - 2.0 * (points[block] @ means.T)
        total += float(_scores(np.maximum(squares, 0.0) * sizes, labels[block], sizes).sum())
    return float(np.clip(total / len(points), -1.0, 1.0))


def _lengths(points: Points) -> Floats:
    return np.asarray(np.einsum("ij,ij->i", points, points, dtype=np.float64), np.float64)


def silhouette(points: Points, labels: Labels, threads: int) -> float | None:
    """The mean of `silhouettes`."""
    return _mean(silhouettes(points, labels, threads))


def _mean(scores: Floats | None) -> float | None:
    return None if scores is None else float(np.clip(scores.mean(), -1.0, 1.0))


def silhouettes(points: Points, labels: Labels, threads: int) -> Floats | None:
    """Silhouettes (Rousseeuw 1987) with Euclidean distances, (n,) in the order of the clusters; 0 for the only member
    of a cluster.

    O(n^2 d) time in blocks. `labels` are not negative. None with fewer than two clusters present, or only single ones.
    """
    places = np.unique(labels, return_inverse=True)[1]
    sizes = np.bincount(places)
    if not 2 <= len(sizes) < len(places):
        return None
    order = np.argsort(places, kind="stable")
    rows = moved(points, origin_shift(points))[order]
    halves, own, starts = half_squares(rows), places[order], np.cumsum(sizes) - sizes

    def block_scores(block: slice) -> Floats:
        squares = rows[block] @ rows.T
        squares -= halves
        squares -= halves[block][:, None]
        squares *= -2
        np.maximum(squares, 0, out=squares)
        squares[np.arange(len(squares)), np.arange(block.start, block.stop)] = 0
        sums = np.add.reduceat(np.sqrt(squares, out=squares), starts, axis=1).astype(np.float64)
        return _scores(sums, own[block], sizes)

    return np.concatenate(list(in_order(block_scores, spans(len(rows), 256), threads)))


def _scores(sums: Floats, labels: NDArray[np.integer], sizes: Rows) -> Floats:
    """(b,) silhouettes from the (b, k) sums of the distances of each row to the members of each cluster."""
    rows = np.arange(len(labels))
    alone = sizes[labels] == 1
    inner = np.maximum(sums[rows, labels], 0.0) / np.maximum(sizes[labels] - 1, 1)
    means = sums / sizes
    means[rows, labels] = np.inf
    outer = np.maximum(means.min(axis=1), 0.0)
    larger = np.maximum(inner, outer)
    return np.where(alone | (larger == 0), 0.0, (outer - inner) / np.where(larger > 0, larger, 1.0))
