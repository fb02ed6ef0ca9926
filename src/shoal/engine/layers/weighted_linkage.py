"""Hierarchies of rows that count several times, which SciPy's linkage does not know."""

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points, Rows

__all__ = ["LinkageMethod", "link_distances", "weighted_linkage"]

Floats = NDArray[np.float64]
LinkageMethod = Literal["ward", "complete", "average", "single"]

_BLOCK: Final = 1024


def weighted_linkage(points: Points, weights: Rows, method: LinkageMethod, told: Callable[[Floats], Floats]) -> Floats:
    """(m - 1, 4) merges as SciPy's linkage gives them, sizes in weights, of rows (m, d) that count `weights` (m,).

    Equal rows are thought merged before, at distance 0. `told` makes distances of Euclidean ones. Nearest-neighbour
    chain (Murtagh 1983) with the updates of Lance and Williams (1967): O(m^2) time and 8 m^2 bytes.
    """
    if len(points) < 2:
        return np.zeros((0, 4))
    return link_distances(_distances(points, told), weights, method)


def link_distances(away: Floats, weights: Rows, method: LinkageMethod) -> Floats:
    """The same of distances (m, m), which are written over."""
    held = weights.astype(np.float64)
    if method == "ward":
        away = away**2 * 2 * np.outer(held, held) / (held[:, None] + held)
    np.fill_diagonal(away, np.inf)
    steps = _chain_merges(away, held, method)
    order = np.argsort(steps[:, 2], kind="stable")
    return _number_merges(steps[order], weights, method)


def _distances(points: Points, told: Callable[[Floats], Floats]) -> Floats:
    rows = points.astype(np.float64)
    rows -= rows.mean(axis=0)
    squares = (rows**2).sum(axis=1)
    away = np.empty((len(rows), len(rows)))
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        away[part] = squares[part, None] + squares - 2 * (rows[part] @ rows.T)
    np.maximum(away, 0.0, out=away)
    away = np.minimum(away, away.T)  # the same from either end
    return told(np.sqrt(away, out=away))


def _chain_merges(away: Floats, held: Floats, method: LinkageMethod) -> Floats:
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
        kept, gone = sorted((last, near))
        steps[number] = kept, gone, away[kept, gone]
        _merge(away, held, alive, kept, gone, method)
    return steps


def _merge(away: Floats, held: Floats, alive: NDArray[np.bool_], kept: int, gone: int, method: LinkageMethod) -> None:
    first, second = away[kept].copy(), away[gone].copy()
    if method == "single":
        merged = np.minimum(first, second)
    elif method == "complete":
        merged = np.maximum(first, second)
    elif method == "average":
        merged = (held[kept] * first + held[gone] * second) / (held[kept] + held[gone])
    else:
        whole = held + held[kept] + held[gone]
        merged = (held + held[kept]) * first + (held + held[gone]) * second - held * away[kept, gone]
        merged /= whole
    alive[gone] = False
    held[kept] += held[gone]
    merged[~alive] = np.inf
    merged[kept] = np.inf
    away[kept], away[:, kept] = merged, merged
    away[gone], away[:, gone] = np.inf, np.inf


def _number_merges(steps: Floats, weights: Rows, method: LinkageMethod) -> Floats:
    """The merges with SciPy's names of clusters: m + i for what merge i made."""
    total = len(weights)
    name, size = list(range(total)), weights.astype(np.float64)
    merges = np.empty((total - 1, 4))
    for number, (kept, gone, away) in enumerate(steps.tolist()):
        first, second = int(kept), int(gone)
        size[first] += size[second]
        height = np.sqrt(max(away, 0.0)) if method == "ward" else away
        merges[number] = min(name[first], name[second]), max(name[first], name[second]), height, size[first]
        name[first] = total + number
    return merges
