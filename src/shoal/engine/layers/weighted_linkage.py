"""Hierarchical clustering of weighted rows, which SciPy's linkage does not support."""

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows

__all__ = ["LinkageMethod", "link_distances", "weighted_linkage"]

Floats = NDArray[np.float64]
LinkageMethod = Literal["ward", "complete", "average", "single"]

_BLOCK: Final = 1024


def weighted_linkage(
    points: Points, weights: Rows, method: LinkageMethod, to_metric: Callable[[Floats], Floats]
) -> Floats:
    """(m - 1, 4) merges in the format of SciPy's linkage, with weighted sizes.

    Nearest-neighbour chain (Murtagh 1983) with the updates of Lance and Williams (1967): O(m^2) time and 8 m^2 bytes.

    Parameters
    ----------
    points
        (m, d) rows.
    weights
        (m,) number of equal rows that each represents, as if merged at distance 0.
    to_metric
        Converts Euclidean distances to the metric.
    """
    if len(points) < 2:
        return np.zeros((0, 4))
    return link_distances(_distances(points, to_metric), weights, method)


def link_distances(away: Floats, weights: Rows, method: LinkageMethod) -> Floats:
    """As `weighted_linkage`, from distances (m, m), which are overwritten."""
    masses = weights.astype(np.float64)
    if method == "ward":
        away = away**2 * 2 * np.outer(masses, masses) / (masses[:, None] + masses)
    np.fill_diagonal(away, np.inf)
    steps = _chain_merges(away, masses, method)
    order = np.argsort(steps[:, 2], kind="stable")
    return _number_merges(steps[order], weights, method)


def _distances(points: Points, to_metric: Callable[[Floats], Floats]) -> Floats:
    rows = points.astype(np.float64)
    rows -= rows.mean(axis=0)
    squares = (rows**2).sum(axis=1)
    away = np.empty((len(rows), len(rows)))
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        away[part] = squares[part, None] + squares - 2 * (rows[part] @ rows.T)
    np.maximum(away, 0.0, out=away)
    away = np.minimum(away, away.T)  # the same from either end
    return to_metric(np.sqrt(away, out=away))


def _chain_merges(away: Floats, masses: Floats, method: LinkageMethod) -> Floats:
    """(m - 1, 3) the row that keeps a merged cluster, the row that goes, and the distance; in the order found."""
    total = len(away)
    alive = np.ones(total, np.bool_)
    steps, chain = np.empty((total - 1, 3)), list[int]()
    for number in range(total - 1):
        if not chain:
            chain.append(int(np.argmax(alive)))
        while True:
            last = chain[-1]
            near = int(np.argmin(away[last]))
            if len(chain) > 1 and away[last, chain[-2]] <= away[last, near]:
                near = chain[-2]
                break
            chain.append(near)
        chain[-2:] = []
        survivor, absorbed = sorted((last, near))
        steps[number] = survivor, absorbed, away[survivor, absorbed]
        _merge(away, masses, alive, survivor, absorbed, method)
    return steps


def _merge(
    away: Floats, masses: Floats, alive: NDArray[np.bool_], survivor: int, absorbed: int, method: LinkageMethod
) -> None:
    first, second = away[survivor].copy(), away[absorbed].copy()
    if method == "single":
        merged = np.minimum(first, second)
    elif method == "complete":
        merged = np.maximum(first, second)
    elif method == "average":
        merged = (masses[survivor] * first + masses[absorbed] * second) / (masses[survivor] + masses[absorbed])
    else:
        whole = masses + masses[survivor] + masses[absorbed]
        merged = (
            (masses + masses[survivor]) * first
            + (masses + masses[absorbed]) * second
            - masses * away[survivor, absorbed]
        )
        merged /= whole
    alive[absorbed] = False
    masses[survivor] += masses[absorbed]
    merged[~alive] = np.inf
    merged[survivor] = np.inf
    away[survivor], away[:, survivor] = merged, merged
    away[absorbed], away[:, absorbed] = np.inf, np.inf


def _number_merges(steps: Floats, weights: Rows, method: LinkageMethod) -> Floats:
    """Number the merges as SciPy does: m + i for the result of merge i."""
    total = len(weights)
    name, size = list(range(total)), weights.astype(np.float64)
    merges = np.empty((total - 1, 4))
    for number, (survivor, absorbed, away) in enumerate(steps.tolist()):
        first, second = int(survivor), int(absorbed)
        size[first] += size[second]
        height = np.sqrt(max(away, 0.0)) if method == "ward" else away
        merges[number] = min(name[first], name[second]), max(name[first], name[second]), height, size[first]
        name[first] = total + number
    return merges
