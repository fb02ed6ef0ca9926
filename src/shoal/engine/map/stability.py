"""Keeps the map of a rerun similar to the previous one: aligned to it as a whole, or with old rows in place."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shoal.columns import Points
from shoal.engine.map.forces import FINE, find_unit, settle_layout
from shoal.engine.map.layout import MIN_ROWS, lay_out, map_graph
from shoal.engine.map.levels import Level
from shoal.engine.map.newcomers import Marks, find_lost, has_place, likeliest_places, place_newcomers
from shoal.engine.neighbors.neighborhood import Neighborhood, find_neighborhood
from shoal.engine.plan import Progress, pulse_at, scale_progress
from shoal.engine.rows.row_keys import Distinct

__all__ = ["REACH", "Applied", "RevisedMap", "Stability", "extent", "revise_map"]

Floats = NDArray[np.float32]

Stability: TypeAlias = Literal["none", "align", "transform"]
Applied: TypeAlias = Literal["none", "aligned", "transform"]

REACH: Final = 0.01
"""How far an old row may move, as a fraction of the old map's extent."""
_REACH_MARGIN: Final = 0.99
"""Applied to that limit, so that rounding does not exceed it."""
_MIN_SHARED: Final = 1 / 3
"""Fraction of the distinct rows that must have an old place to keep them."""
_MIN_ALIGNED: Final = 10
"""Minimum number of distinct rows with an old place to align a map."""
_ITERATIONS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisedMap:
    """A map of n rows and how it relates to the previous one."""

    places: Floats
    """(n, components)."""
    applied: Applied
    reason: str
    """Why `applied` has its value, in a sentence."""
    moved: float | None = None
    """The largest movement of a row that should stay in place, as a fraction of the old map's extent; None if there was
    no previous map."""
    freed: int = 0
    """Rows with an old place that got a new one."""
    warnings: list[str] = field(default_factory=list)


def extent(places: Floats) -> float:
    """The longer side of the bounding box of `places` (n, components)."""
    return float(np.ptp(places.astype(np.float64), axis=0).max(initial=0.0)) if len(places) else 0.0


def revise_map(
    points: Points,
    previous: Floats,
    stability: Stability,
    components: int,
    seed: int,
    threads: int,
    progress: Progress,
    changed: Marks | None = None,
    near: Neighborhood | None = None,
) -> RevisedMap:
    """Lay out `points` (n, d) given a previous map of some of them.

    "none" is a fresh map. "align" is a fresh map, rotated, mirrored, scaled and shifted as a whole onto the old places
    (Schönemann 1966), where rows that moved far count little. With "transform" old rows stay within 1 % of the old
    map's extent (the longer side of the bounding box of the old places), and new rows are laid out among them, starting
    at their neighbours; new rows mostly tied to each other start in the nearest free space.

    A row whose neighbours are all elsewhere, and together, has a changed vector: "transform" lays it out as a new one.

    "transform" needs 50 distinct rows with old places, and a third of all to have one, else the map is aligned; that
    needs 10. If the number of components changed the map is a fresh one. Independent of row order and of the number of
    threads. O(n log n) beside the neighbours. Reports to `progress` as "layout".

    Parameters
    ----------
    previous
        (n, c) old places, NaN for new rows.
    changed
        (n,) whose vectors changed: only these rows can be freed. None allows all.
    near
        The neighbours of the rows, computed if omitted.
    """
    near = near or find_neighborhood(points, threads, scale_progress(progress, "layout", 0, 0.5))
    if stability == "none":
        places = lay_out(points, components, seed, threads, progress, near)
        return RevisedMap(places=places, applied="none", reason="Every map is laid out from scratch.")
    values = near.values
    old = _PreviousMap.of(previous, values, changed)
    method, reason = _choose_method(stability, old, components)
    notes = [] if method == _REQUESTED[stability] else [f"layout_stability {stability} could not be applied: {reason}"]
    if method == "transform":
        revised = _keep_places(points, near, old, seed, threads, progress)
    else:
        places = lay_out(points, components, seed, threads, progress, near)
        revised = RevisedMap(places=places, applied="none", reason="")
        if method == "aligned":
            aligned = _align(places[values.rows], old.places, old.is_known)
            revised = RevisedMap(
                places=aligned[values.back], applied="aligned", reason="", moved=old.max_shift(aligned, old.is_known)
            )
    return replace(revised, reason=reason or revised.reason, warnings=notes)


_REQUESTED: Final[dict[Stability, Applied]] = {"none": "none", "align": "aligned", "transform": "transform"}


@dataclass(frozen=True, slots=True)
class _PreviousMap:
    """The old `places` (m, c) of the distinct rows, NaN for new ones. Copies of a row with several old places have them
    all in `offers` (o, c) of the rows `owners` (o,), ascending; the first is in `places`. `loose` (m,) may be freed."""

    places: Floats
    loose: Marks
    owners: NDArray[np.int64]
    offers: Floats

    @property
    def is_known(self) -> Marks:
        return has_place(self.places)

    @property
    def extent(self) -> float:
        return extent(self.places[self.is_known])

    @staticmethod
    def of(previous: Floats, values: Distinct, changed: Marks | None) -> "_PreviousMap":
        """Copies whose vectors changed are ignored beside one whose vector did not."""
        rows = np.flatnonzero(has_place(previous))
        owner, place = values.back[rows], previous[rows].astype(np.float32)
        loose = np.ones(len(rows), np.bool_) if changed is None else changed[rows]
        order = np.lexsort((*place.T[::-1], loose, owner))
        owner, place, loose = owner[order], place[order], loose[order]
        is_fixed = np.zeros(len(values.rows), np.bool_)
        is_fixed[owner[~loose]] = True
        counts = ~(loose & is_fixed[owner])
        owner, place = owner[counts], place[counts]
        new = np.ones(len(owner), np.bool_)
        new[1:] = (owner[1:] != owner[:-1]) | (place[1:] != place[:-1]).any(axis=1)
        owner, place = owner[new], place[new]
        places = np.full((len(values.rows), previous.shape[1]), np.nan, np.float32)
        places[owner[::-1]] = place[::-1]
        return _PreviousMap(places, ~is_fixed, owner, place)

    def choose_offers(self, target: Floats) -> "_PreviousMap":
        """Select the offer nearest to `target` (m, c) for each row that has several."""
        squares = ((self.offers.astype(np.float64) - target[self.owners]) ** 2).sum(axis=1)
        order = np.lexsort((np.where(np.isfinite(squares), squares, np.inf), self.owners))
        places = self.places.copy()
        places[self.owners[order][::-1]] = self.offers[order][::-1]
        return replace(self, places=places)

    def max_shift(self, places: Floats, rows: Marks) -> float:
        """The largest movement of one of `rows` (m,), as a fraction of the extent."""
        away = places[rows].astype(np.float64) - self.places[rows]
        return float(np.sqrt((away**2).sum(axis=1)).max(initial=0.0)) / self.extent


def _choose_method(stability: Stability, old: _PreviousMap, components: int) -> tuple[Applied, str]:
    """What is possible, and the reason if that is not `stability`."""
    shared, total = int(old.is_known.sum()), len(old.places)
    if old.places.shape[1] != components:
        return "none", f"The previous map had {old.places.shape[1]} dimensions, this one has {components}."
    if shared < _MIN_ALIGNED:
        return "none", f"Only {shared} distinct rows have a place on the previous map."
    if old.extent == 0:
        return "none", "All rows had the same place on the previous map."
    if stability == "align":
        return "aligned", ""
    if shared < MIN_ROWS:
        return "aligned", f"Only {shared} distinct rows have a place on the previous map."
    if shared < _MIN_SHARED * total:
        return "aligned", f"Only {shared:,} of {total:,} distinct rows have a place on the previous map."
    return "transform", ""


def _align(places: Floats, old: Floats, shared: Marks) -> Floats:
    """`places` (m, c), rotated, mirrored, scaled and shifted as a whole onto those of `old` (m, c) that are `shared`.

    Orthogonal Procrustes with Cauchy weights, so that rows which moved far count little. The scale is the ratio of the
    spreads: that of least squares would shrink the map a little at every rerun.
    """
    source, target = places[shared].astype(np.float64), old[shared].astype(np.float64)
    weight = np.ones(len(source))
    for _ in range(_ITERATIONS):
        share = weight[:, None] / weight.sum()
        middles = (share * source).sum(axis=0), (share * target).sum(axis=0)
        left, right = source - middles[0], target - middles[1]
        before, _, after = np.linalg.svd(np.einsum("ni,nj->ij", share * left, right))
        spread = float((share * left**2).sum())
        scale = float(np.sqrt((share * right**2).sum() / spread)) if spread > 0 else 1.0
        turn = scale * (before @ after)
        squares = ((np.einsum("ni,ij->nj", left, turn) - right) ** 2).sum(axis=1)
        weight = 1 / (1 + squares / max(float(np.median(squares)), 1e-300))
    return np.asarray(np.einsum("ni,ij->nj", places - middles[0], turn) + middles[1], np.float32)


def _keep_places(
    points: Points, near: Neighborhood, old: _PreviousMap, seed: int, threads: int, progress: Progress
) -> RevisedMap:
    """Lay out in the unit of a fresh map, whatever that of the old one."""
    pulse = pulse_at(progress, "layout", 0.5)
    values, weights = near.values, map_graph(near, threads, pulse)
    if len(old.owners) > old.is_known.sum():
        old = old.choose_offers(likeliest_places(weights, old.places, old.is_known, pulse))
    unit = np.float32(
        find_unit(Level.of_rows(csr_array(weights[old.is_known][:, old.is_known])), old.places[old.is_known])
    )
    size, places = old.extent * float(unit), old.places * unit
    is_fixed = old.is_known & ~(find_lost(weights, places, old.is_known, size, pulse) & old.loose)
    places = place_newcomers(
        weights,
        np.where(is_fixed[:, None], places, np.float32(np.nan)),
        points[values.rows],
        size,
        seed,
        threads,
        pulse,
    )
    reach = np.where(is_fixed, np.float32(_REACH_MARGIN * REACH * size), np.float32(np.inf))
    level, part = Level.of_rows(weights), scale_progress(progress, "layout", 0.6, 1)
    places = settle_layout(level, places, reach, FINE, seed, threads, part) / unit
    progress("layout", 1.0)
    freed = old.is_known & ~is_fixed
    return RevisedMap(
        places=places[values.back],
        applied="transform",
        reason=_account(int(is_fixed.sum()), int((~old.is_known).sum()), int(freed.sum())),
        moved=old.max_shift(places, is_fixed),
        freed=int(freed[values.back].sum()),
    )


def _account(held: int, new: int, freed: int) -> str:
    notes = f"{held:,} distinct rows stayed where they were, {new:,} are new."
    if freed:
        notes += f" {freed:,} have a new place, because their neighbours lie elsewhere on the map before."
    return notes
