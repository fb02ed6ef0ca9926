"""Groups far apart without structure inside: each is one cluster, however many communities its graph falls into.

Modularity cuts a large group to the size of the small ones beside it (its resolution limit seen from the other side,
Fortunato and Barthelemy 2007): of 300 rows around one point and twice 20 around others, the 300 come in five parts.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows
from shoal.engine.belonging import robust_scores
from shoal.engine.choose_k import choose_k
from shoal.engine.cluster_merges import MOST, gaps, merges_of, middles
from shoal.engine.geometry import are_directions, squared_lengths

__all__ = ["join_plain_groups", "well_inside"]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

_APART: Final = 2.0
"""Groups are far apart where the means of communities are so many times farther from those of other groups than from
those of their own."""
_MOST: Final = 500
"""Communities, of more of which none are joined."""
_GROUPS: Final = 64
"""Groups that are looked for at most."""
_LOOKED_AT: Final = 1500
"""Rows of a group that are looked at."""
_INSIDE: Final = 5.0
"""A row is inside where its distance to the mean is at most so many robust deviations above the median. Of normal rows
in 2 to 384 dimensions hardly one in 100,000 is not."""


def join_plain_groups(points: Points, communities: Places, copies: Rows, threads: int) -> Places:
    """The communities (m,) of the rows `points` (m, d), those joined that lie in one of several groups far apart and
    that no structure tells from each other. `copies` (m,) says how many documents a row stands for."""
    count = int(communities.max(initial=-1)) + 1
    if not 2 < count <= _MOST:
        return communities
    means = middles(points, communities, copies)[0]
    group = _far_apart(means)
    if group is None:
        return communities
    parts = np.bincount(group)
    joined = np.arange(count)
    for number in np.flatnonzero(parts > 1).tolist():
        own = np.flatnonzero(group == number)
        rows = np.flatnonzero(np.isin(communities, own))[:_LOOKED_AT]
        if not choose_k(points[rows], normalize=are_directions(points), threads=threads).clear:
            joined[own] = own[0]
    if np.array_equal(joined, np.arange(count)):
        return communities
    return np.unique(joined, return_inverse=True)[1].astype(np.int32)[communities]


def _far_apart(means: Points) -> Places | None:
    """(k,) the group of each mean, in the division whose groups are farthest apart; None where none are far."""
    away = gaps(means)
    merges = merges_of(means, np.ones(len(means), np.int64))
    best, found = _APART, None
    for groups in range(2, min(len(means), _GROUPS + 1)):
        group = merges.cut(groups)
        same = group[:, None] == group
        ratio = float(away[~same].min() / max(away[same].max(), 1e-12))
        if ratio >= best:
            best, found = ratio, group
    return found


def well_inside(points: Points, communities: Places, copies: Rows, reach: Floats) -> NDArray[np.bool_]:
    """(m,) whether a row is no farther out than rows of its community are, and `reach` (m,), the mean distance to its
    neighbours, is less than half of the distance to the mean of any other community."""
    count = int(communities.max(initial=-1)) + 1
    if not 1 < count <= MOST:
        return np.zeros(len(points), np.bool_)
    means = middles(points, communities, copies)[0]
    between = gaps(means)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    out = np.sqrt(squared_lengths(points - means[communities]).astype(np.float64))
    other = nearest[communities] - out
    near = robust_scores(out, communities)[0] <= _INSIDE
    return np.asarray(near & (other >= _APART * reach), np.bool_)
