"""Keeps well-separated groups without internal structure whole, however many communities their graph falls into.

Modularity splits a large group to the size of the small ones beside it (its resolution limit in reverse, Fortunato and
Barthelemy 2007): 300 rows around one point beside two groups of 20 are split into five communities.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shoal.columns import Points, Rows
from shoal.engine.communities.membership import robust_scores
from shoal.engine.kmeans.choose_k import choose_k
from shoal.engine.layers.cluster_merges import MAX_CLUSTERS, merge_clusters, pairwise_distances, weighted_means
from shoal.engine.parallel import spans
from shoal.engine.plan import Pulse
from shoal.engine.rows.geometry import are_directions, squared_lengths

__all__ = ["is_well_inside", "merge_low_dimensional_groups", "merge_unstructured_groups"]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

_SEPARATION: Final = 2.0
"""Groups are separated if means of communities in different groups are this many times farther apart than those within
a group."""
_MAX_COMMUNITIES: Final = 500
"""No communities are merged if there are more than this."""
_MAX_GROUPS: Final = 64
"""Maximum number of groups considered."""
_ROWS_PER_COMMUNITY: Final = 20
_MIN_SAMPLE: Final = 300
_MAX_SAMPLE: Final = 1500
"""Bounds of the sample of a group, `_ROWS_PER_COMMUNITY` for each of its communities."""
_MAX_ROWS: Final = 3000
_MAX_ROWS_LOW_DIMENSIONAL: Final = 30_000
"""Total rows sampled over all groups, largest groups first, and the same for low-dimensional rows; groups beyond it are
left unchanged."""
_GAP: Final = 4.5
"""Standard deviations between two parts with a gap. The halves of normally distributed rows are about three apart."""
_MAX_DEVIATIONS: Final = 5.0
"""A row is inside if its distance to the mean is at most this many robust deviations above the median. Of normally
distributed rows in 2 to 384 dimensions about one in 100,000 is not."""
_BLOCK: Final = 8192
"""Rows whose differences from their means are held at a time."""


def merge_unstructured_groups(points: Points, communities: Places, copies: Rows, threads: int, pulse: Pulse) -> Places:
    """Merge the communities (m,) of `points` (m, d) that lie in the same well-separated group without structure.
    `copies` (m,) is how many documents a row stands for; `pulse` is called periodically."""
    count = int(communities.max(initial=-1)) + 1
    if not 2 < count <= _MAX_COMMUNITIES:
        return communities
    means = weighted_means(points, communities, copies)[0]
    group = _find_separated_groups(means)
    if group is None:
        return communities
    target, normalize = np.arange(count), are_directions(points)
    for own, rows in _sample_groups(communities, group):
        if not choose_k(points[rows], normalize=normalize, threads=threads, progress=lambda *_: pulse()).clear:
            target[own] = own[0]
    return _relabel(communities, target)


def merge_low_dimensional_groups(
    points: Points, communities: Places, copies: Rows, threads: int, pulse: Pulse
) -> Places:
    """As `merge_unstructured_groups`, for low-dimensional rows, whose neighbour graph connects along any shape: groups
    are split by their silhouette until they show no structure, and the communities of such a group are merged."""
    count = int(communities.max(initial=-1)) + 1
    if not 2 < count <= _MAX_COMMUNITIES:
        return communities
    means, sizes = weighted_means(points, communities, copies)
    target, normalize = np.arange(count), are_directions(points)
    budget, pending = _MAX_ROWS_LOW_DIMENSIONAL, [np.arange(count)]
    while pending:
        own = pending.pop()
        rows = _thin_out(np.flatnonzero(np.isin(communities, own)), _MAX_SAMPLE)
        budget -= len(rows)
        if budget < 0:
            break
        sampled = points[rows]
        choice = choose_k(sampled, normalize=normalize, threads=threads, progress=lambda *_: pulse())
        if choice.clear and choice.k < len(own):
            group = merge_clusters(means[own], sizes[own]).cut(choice.k)
            pending += [own[group == number] for number in np.flatnonzero(np.bincount(group) > 1).tolist()]
        elif not choice.clear and len(own) < count:
            target[own] = own[0] + count * _connect_touching(sampled, communities[rows], own)
    return _relabel(communities, target)


def _relabel(communities: Places, target: Rows) -> Places:
    """Communities renumbered by the group (k,) each was merged into; the same array if none were."""
    if np.array_equal(target, np.arange(len(target))):
        return communities
    return np.unique(target, return_inverse=True)[1].astype(np.int32)[communities]


def _connect_touching(points: Points, communities: Places, own: Rows) -> Places:
    """(k,) groups of the communities `own` whose rows leave no gap between them. A small sample may show no structure
    even if it lies in two places."""
    parts = [points[communities == community].astype(np.float64) for community in own.tolist()]
    ones, others = np.triu_indices(len(own), 1)
    near = [_is_near(parts[first], parts[second]) for first, second in zip(ones.tolist(), others.tolist(), strict=True)]
    ties = coo_array((np.ones(sum(near)), (ones[near], others[near])), shape=(len(own), len(own)))
    return connected_components(ties, directed=False)[1].astype(np.int32)


def _is_near(first: Floats, second: Floats) -> bool:
    """Whether two parts are within `_GAP` standard deviations, along the line between their means."""
    if len(first) == 0 or len(second) == 0:
        return True
    between = second.mean(axis=0) - first.mean(axis=0)
    along = [part @ between for part in (first, second)]
    deviation = np.sqrt(np.mean([part.var() for part in along]))
    return bool(along[1].mean() - along[0].mean() <= _GAP * deviation)


def _thin_out(rows: Rows, limit: int) -> Rows:
    """At most `limit` rows, evenly spaced."""
    return rows[:: max(-(-len(rows) // limit), 1)]


def _sample_groups(communities: Places, group: Places) -> Iterator[tuple[Rows, Rows]]:
    """For each group of several communities, largest first, its communities and an evenly spaced sample of rows."""
    parts, sizes = np.bincount(group), np.bincount(group[communities])
    budget = _MAX_ROWS
    for number in np.lexsort((np.arange(len(parts)), -sizes)).tolist():
        size = int(np.clip(_ROWS_PER_COMMUNITY * parts[number], _MIN_SAMPLE, _MAX_SAMPLE))
        if parts[number] < 2 or parts[number] * _ROWS_PER_COMMUNITY > _MAX_SAMPLE or min(size, sizes[number]) > budget:
            continue
        chosen = _thin_out(np.flatnonzero(group[communities] == number), size)
        budget -= len(chosen)
        yield np.flatnonzero(group == number), chosen


def _find_separated_groups(means: Points) -> Places | None:
    """(k,) the group of each mean in the partition with the widest separation, or None if no groups are separated."""
    away = pairwise_distances(means)
    merges = merge_clusters(means, np.ones(len(means), np.int64))
    best, best_group = _SEPARATION, None
    for groups in range(2, min(len(means), _MAX_GROUPS + 1)):
        group = merges.cut(groups)
        same = group[:, None] == group
        ratio = float(away[~same].min() / max(away[same].max(), 1e-12))
        if ratio >= best:
            best, best_group = ratio, group
    return best_group


def is_well_inside(points: Points, communities: Places, copies: Rows, reach: Floats) -> NDArray[np.bool_]:
    """(m,) whether a row is no farther out than is usual in its community, and its `reach` (m,), the mean distance to
    its neighbours, is less than half the distance to the mean of any other community."""
    count = int(communities.max(initial=-1)) + 1
    if not 1 < count <= MAX_CLUSTERS:
        return np.zeros(len(points), np.bool_)
    means = weighted_means(points, communities, copies)[0]
    between = pairwise_distances(means)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    blocks = spans(len(points), _BLOCK)
    squares = [squared_lengths(points[block] - means[communities[block]]) for block in blocks]
    out = np.sqrt(np.concatenate(squares))
    other = nearest[communities] - out
    near = robust_scores(out, communities)[0] <= _MAX_DEVIATIONS
    return np.asarray(near & (other >= _SEPARATION * reach), np.bool_)
