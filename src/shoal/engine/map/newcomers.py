"""Initial places of rows that are new to a map: with their neighbours, or in free space."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from shoal.columns import Points, Rows
from shoal.elementary import log
from shoal.engine.map.forces import STEEPNESS
from shoal.engine.map.layout import compute_places, jitter
from shoal.engine.parallel import spans
from shoal.engine.plan import Pulse, ignore_pulse

__all__ = ["Marks", "find_lost", "has_place", "likeliest_places", "place_newcomers"]

Floats = NDArray[np.float32]
Marks = NDArray[np.bool_]

_MAX_TIES: Final = 16
"""Strongest ties of a row that determine its place."""
_BLOCK: Final = 4096
_MIN_TIED_SHARE: Final = 0.5
"""Fraction of its ties from which a row starts among the placed rows."""
_ROUNDS: Final = 64
_MIN_CROWD: Final = 16
"""Rows mostly tied to each other that form a cluster of their own."""
_CELLS: Final = {2: 192, 3: 48}
"""Cells per side of the grid used to search for free space."""
_MARGIN: Final = 0.015
"""Margin around a new cluster, as a fraction of the map's extent."""
_NEAR: Final = 0.1
"""Radius of a neighbourhood, as a fraction of the map's extent."""
_MAX_NEAR_SHARE: Final = 0.02
_MIN_ELSEWHERE_SHARE: Final = 0.8
_MIN_NEIGHBORS: Final = 5


def has_place(places: Floats) -> Marks:
    """(m,) which rows have a place, (m, c)."""
    return np.asarray(np.isfinite(places).all(axis=1), np.bool_)


def place_newcomers(
    weights: csr_array,
    places: Floats,
    points: Points,
    size: float,
    seed: int,
    threads: int,
    pulse: Pulse = ignore_pulse,
) -> Floats:
    """`places` (m, c) completed for the rows that have none (NaN).

    A row with half of its ties by `weights` (m, m) to placed rows starts among those, then rows tied to these. The rest
    mostly ties to itself: new clusters, which start in the free space nearest to what they are tied to. `size` is the
    extent of the map.
    """
    places = _spread_places(weights, places, _MIN_TIED_SHARE, pulse)
    if np.isfinite(places).all():
        return places
    _place_crowds(weights, places, points, size, seed, threads, pulse)
    return _spread_places(weights, places, 0.0, pulse)


def find_lost(weights: csr_array, places: Floats, is_placed: Marks, size: float, pulse: Pulse = ignore_pulse) -> Marks:
    """(m,) which of the rows `is_placed` (m,) have hardly any neighbours near them, but almost all near one other
    place.

    `places` is (m, c), NaN for rows without a place. Rows with fewer than five placed neighbours are never lost.
    """
    is_lost = np.zeros(len(places), np.bool_)
    squared = (_NEAR * size) ** 2
    target = likeliest_places(weights, places, is_placed, pulse)
    near, tie = _ties(weights, is_placed)
    for block in spans(len(places), _BLOCK):
        pulse()
        spots = places[near[block]]
        total = np.maximum(tie[block].sum(axis=1), 1e-30)
        here, there = (
            (tie[block] * (((spots - middle[:, None]) ** 2).sum(axis=2) <= squared)).sum(axis=1) / total
            for middle in (places[block], target[block])
        )
        is_lost[block] = (
            (here < _MAX_NEAR_SHARE) & (there > _MIN_ELSEWHERE_SHARE) & ((tie[block] > 0).sum(axis=1) >= _MIN_NEIGHBORS)
        )
    return is_lost & is_placed


def likeliest_places(weights: csr_array, places: Floats, is_placed: Marks, pulse: Pulse = ignore_pulse) -> Floats:
    """(r, c) for rows with ties `weights` (r, m), the place of the placed neighbour (`is_placed`, (m,)) at which all of
    them attract the row most, so that it starts in one cluster and not between two; NaN for rows without such
    neighbours."""
    near, tie = _ties(weights, is_placed)
    target = np.full((len(near), places.shape[1]), np.nan, np.float32)
    for block in spans(len(near), _BLOCK):
        pulse()
        spots, strength = places[near[block]], tie[block]
        square = np.zeros((*strength.shape, _MAX_TIES), np.float32)
        for along in np.moveaxis(spots, 2, 0):
            square += (along[:, :, None] - along[:, None]) ** 2
        cost = np.where(strength > 0, (strength[:, None] * log(1.0 + STEEPNESS * square)).sum(axis=2), np.inf)
        best = np.take_along_axis(spots, cost.argmin(axis=1)[:, None, None], axis=1)[:, 0]
        target[block] = np.where(np.any(strength > 0, axis=1, keepdims=True), best, np.float32(np.nan))
    return target


def _ties(weights: csr_array, is_placed: Marks) -> tuple[Rows, Floats]:
    """(r, 16) the known neighbours of each row with the strongest ties, strongest first, and the ties; missing ones are
    a known row with a tie of 0."""
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    edges = np.flatnonzero(np.logical_and(is_placed[weights.indices], weights.data > 0))
    row, to, tie = row[edges], weights.indices[edges], weights.data[edges]
    order = np.lexsort((to, -tie, row))
    row, to, tie = row[order], to[order], tie[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    near = np.full((weights.shape[0], _MAX_TIES), int(is_placed.argmax()), np.int64)
    strength = np.zeros(near.shape, np.float32)
    first = rank < _MAX_TIES
    near[row[first], rank[first]], strength[row[first], rank[first]] = to[first], tie[first]
    return near, strength


def _spread_places(weights: csr_array, places: Floats, least: float, pulse: Pulse) -> Floats:
    """Place rows with more than `least` of their ties to placed rows, repeatedly."""
    places = places.copy()
    strength = np.maximum(np.asarray(weights.sum(axis=1)).ravel(), 1e-30)
    for _ in range(_ROUNDS):
        is_placed = has_place(places)
        newly_placed = ~is_placed & ((weights @ np.where(is_placed, np.float32(1), np.float32(0))) > least * strength)
        if not newly_placed.any():
            break
        places[newly_placed] = jitter(likeliest_places(weights[newly_placed], places, is_placed, pulse))
    return places


def _place_crowds(
    weights: csr_array,
    places: Floats,
    points: Points,
    size: float,
    seed: int,
    threads: int,
    pulse: Pulse,
) -> None:
    """Write into `places` those of rows tied to each other, the largest crowds first."""
    is_placed = has_place(places)
    new = np.flatnonzero(~is_placed)
    among = csr_array(weights[new][:, new])
    count, crowd = connected_components(among, directed=False)
    outward = csr_array(weights[new][:, np.flatnonzero(is_placed)])
    tied = np.bincount(crowd, np.asarray(outward.sum(axis=1)).ravel(), count) > 0
    sizes = np.bincount(crowd, minlength=count)
    members = np.split(np.argsort(crowd, kind="stable"), np.cumsum(sizes)[:-1])
    occupied = places[is_placed]
    for which in np.argsort(-sizes, kind="stable"):
        own = members[which]
        if len(own) < _MIN_CROWD and tied[which]:
            continue
        shape = compute_places(
            csr_array(among[own][:, own]), points[new[own]], places.shape[1], seed, threads, lambda *_: pulse()
        )
        reach = float(np.sqrt((shape**2).sum(axis=1)).max())
        radius = size / 2 * float(len(own) / len(places)) ** (1 / places.shape[1])
        middle = _weighted_median(places[is_placed], np.asarray(outward[own].sum(axis=0)).ravel())
        spot = _find_free_spot(occupied, middle, radius + _MARGIN * size)
        places[new[own]] = shape * np.float32(radius / max(reach, 1e-30)) + spot
        occupied = np.concatenate([occupied, places[new[own]]])


def _weighted_median(places: Floats, weight: NDArray[np.floating]) -> Floats:
    """(c,) the weighted median along each axis; unweighted if all weights are 0."""
    weight = weight.astype(np.float64) if weight.any() else np.ones(len(places))
    median = np.empty(places.shape[1], np.float32)
    for axis, along in enumerate(places.T):
        order = np.argsort(along, kind="stable")
        below = np.cumsum(weight[order])
        median[axis] = along[order][np.searchsorted(below, below[-1] / 2)]
    return median


def _find_free_spot(occupied: Floats, target: Floats, radius: float) -> Floats:
    """(c,) the center, nearest to `target`, of a ball that contains none of `occupied` (n, c), to the cell of a
    grid."""
    components = occupied.shape[1]
    low, high = occupied.min(axis=0) - 2 * radius, occupied.max(axis=0) + 2 * radius
    side = float((high - low).max()) / _CELLS[components]
    shape = np.floor((high - low) / side).astype(np.int64) + 1
    free = np.ones(shape, np.bool_)
    free[tuple(np.minimum((occupied - low) / side, shape - 1).astype(np.int64).T)] = False
    cells = np.argwhere(distance_transform_edt(free) * side >= radius)
    middles = low + (cells + 0.5) * side
    return np.asarray(middles[((middles - target) ** 2).sum(axis=1).argmin()], np.float32)
