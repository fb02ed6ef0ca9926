"""Groups far apart without structure inside: each is one cluster, however many communities its graph falls into.

Modularity cuts a large group to the size of the small ones beside it (its resolution limit seen from the other side,
Fortunato and Barthelemy 2007): of 300 rows around one point and twice 20 around others, the 300 come in five parts.
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
from shoal.engine.plan import Pulse
from shoal.engine.rows.geometry import are_directions, squared_lengths

__all__ = ["is_well_inside", "merge_low_dimensional_groups", "merge_unstructured_groups"]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

_SEPARATION: Final = 2.0
"""Groups are far apart where the means of communities are so many times farther from those of other groups than from
those of their own."""
_MAX_COMMUNITIES: Final = 500
"""Communities, of more of which none are joined."""
_MAX_GROUPS: Final = 64
"""Groups that are looked for at most."""
_ROWS_PER_COMMUNITY: Final = 20
_MIN_SAMPLE: Final = 300
_MAX_SAMPLE: Final = 1500
"""Rows of a group that are looked at: so many for each of its communities, within these bounds."""
_MAX_ROWS: Final = 3000
_MAX_ROWS_LOW_DIMENSIONAL: Final = 30_000
"""Rows of all groups that are looked at, the largest groups first, and those of rows of few dimensions; what is not
looked at stays as it is."""
_GAP: Final = 4.5
"""Standard deviations between parts with a gap. The halves of normal rows are some three apart."""
_MAX_DEVIATIONS: Final = 5.0
"""A row is inside where its distance to the mean is at most so many robust deviations above the median. Of normal rows
in 2 to 384 dimensions hardly one in 100,000 is not."""


def merge_unstructured_groups(points: Points, communities: Places, copies: Rows, threads: int, pulse: Pulse) -> Places:
    """The communities (m,) of the rows `points` (m, d), those joined that lie in one of several groups far apart and
    between which there is no structure. `copies` (m,) says how many documents a row stands for; `pulse` is called
    every now and then."""
    count = int(communities.max(initial=-1)) + 1
    if not 2 < count <= _MAX_COMMUNITIES:
        return communities
    means = weighted_means(points, communities, copies)[0]
    group = _find_separated_groups(means)
    if group is None:
        return communities
    joined, normalize = np.arange(count), are_directions(points)
    for own, rows in _sample_groups(communities, group):
        if not choose_k(points[rows], normalize=normalize, threads=threads, progress=lambda *_: pulse()).clear:
            joined[own] = own[0]
    return _relabel(communities, joined)


def merge_low_dimensional_groups(
    points: Points, communities: Places, copies: Rows, threads: int, pulse: Pulse
) -> Places:
    """The same for rows of few dimensions, whose neighbour graph hangs together along any shape: the rows are divided
    into as many groups as their silhouette shows, each of these again, until a group has no structure inside; the
    communities of such a group are joined."""
    count = int(communities.max(initial=-1)) + 1
    if not 2 < count <= _MAX_COMMUNITIES:
        return communities
    means, sizes = weighted_means(points, communities, copies)
    joined, normalize = np.arange(count), are_directions(points)
    left, waiting = _MAX_ROWS_LOW_DIMENSIONAL, [np.arange(count)]
    while waiting:
        own = waiting.pop()
        rows = _thin_out(np.flatnonzero(np.isin(communities, own)), _MAX_SAMPLE)
        left -= len(rows)
        if left < 0:
            break
        looked = points[rows]
        found = choose_k(looked, normalize=normalize, threads=threads, progress=lambda *_: pulse())
        if found.clear and found.k < len(own):
            group = merge_clusters(means[own], sizes[own]).cut(found.k)
            waiting += [own[group == number] for number in np.flatnonzero(np.bincount(group) > 1).tolist()]
        elif not found.clear and len(own) < count:
            joined[own] = own[0] + count * _connect_touching(looked, communities[rows], own)
    return _relabel(communities, joined)


def _relabel(communities: Places, joined: Rows) -> Places:
    """The communities by the numbers (k,) of what they were joined into; the same array where none were."""
    if np.array_equal(joined, np.arange(len(joined))):
        return communities
    return np.unique(joined, return_inverse=True)[1].astype(np.int32)[communities]


def _connect_touching(points: Points, communities: Places, own: Rows) -> Places:
    """(k,) the groups of communities `own` whose rows leave no gap between them. Few rows may show no structure though
    they lie in two places."""
    parts = [points[communities == one].astype(np.float64) for one in own.tolist()]
    ones, others = np.triu_indices(len(own), 1)
    near = [_is_near(parts[one], parts[other]) for one, other in zip(ones.tolist(), others.tolist(), strict=True)]
    ties = coo_array((np.ones(sum(near)), (ones[near], others[near])), shape=(len(own), len(own)))
    return connected_components(ties, directed=False)[1].astype(np.int32)


def _is_near(one: Floats, other: Floats) -> bool:
    """Whether two parts are at most so many standard deviations apart, along the line between their means."""
    if len(one) == 0 or len(other) == 0:
        return True
    between = other.mean(axis=0) - one.mean(axis=0)
    along = [part @ between for part in (one, other)]
    deviation = np.sqrt(np.mean([part.var() for part in along]))
    return bool(along[1].mean() - along[0].mean() <= _GAP * deviation)


def _thin_out(rows: Rows, wanted: int) -> Rows:
    """At most so many of the rows, from all over them."""
    return rows[:: max(-(-len(rows) // wanted), 1)]


def _sample_groups(communities: Places, group: Places) -> Iterator[tuple[Rows, Rows]]:
    """The communities of each group that has several, and a sample of the rows from all over it, largest first."""
    parts, sizes = np.bincount(group), np.bincount(group[communities])
    left = _MAX_ROWS
    for number in np.lexsort((np.arange(len(parts)), -sizes)).tolist():
        wanted = int(np.clip(_ROWS_PER_COMMUNITY * parts[number], _MIN_SAMPLE, _MAX_SAMPLE))
        if parts[number] < 2 or parts[number] * _ROWS_PER_COMMUNITY > _MAX_SAMPLE or min(wanted, sizes[number]) > left:
            continue
        chosen = _thin_out(np.flatnonzero(group[communities] == number), wanted)
        left -= len(chosen)
        yield np.flatnonzero(group == number), chosen


def _find_separated_groups(means: Points) -> Places | None:
    """(k,) the group of each mean, in the division whose groups are farthest apart; None where none are far."""
    away = pairwise_distances(means)
    merges = merge_clusters(means, np.ones(len(means), np.int64))
    best, found = _SEPARATION, None
    for groups in range(2, min(len(means), _MAX_GROUPS + 1)):
        group = merges.cut(groups)
        same = group[:, None] == group
        ratio = float(away[~same].min() / max(away[same].max(), 1e-12))
        if ratio >= best:
            best, found = ratio, group
    return found


def is_well_inside(points: Points, communities: Places, copies: Rows, reach: Floats) -> NDArray[np.bool_]:
    """(m,) whether a row is no farther out than rows of its community are, and `reach` (m,), the mean distance to its
    neighbours, is less than half of the distance to the mean of any other community."""
    count = int(communities.max(initial=-1)) + 1
    if not 1 < count <= MAX_CLUSTERS:
        return np.zeros(len(points), np.bool_)
    means = weighted_means(points, communities, copies)[0]
    between = pairwise_distances(means)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    out = np.sqrt(squared_lengths(points - means[communities]).astype(np.float64))
    other = nearest[communities] - out
    near = robust_scores(out, communities)[0] <= _MAX_DEVIATIONS
    return np.asarray(near & (other >= _SEPARATION * reach), np.bool_)
