"""The edges by which rows reach each other: enough of them to hold a minimum spanning tree of mutual reachability.

The mutual reachability of two rows is the largest of their distance and their two core distances (Campello, Moulavi and
Sander 2013). The compiled core works in these steps:

1. neighbour lists among near blocks of rows, and from them upper bounds of the core distances;
2. the lightest forest of the lists (Kruskal), its trees joined by their lightest edges to each other (Boruvka), found
   among all rows;
3. for the exact answer, one pass over all pairs of rows keeps those no farther apart than the way between them in the
   tree is wide. No other pair can be in the minimum spanning tree, by the cycle property, and all rows within the core
   distance of a row are among them.

The approximate answer stops after the second step. Without the core the exact edges are found in NumPy. Where core
distances hold many rows, they are found first and by themselves, and the third step keeps only pairs that none of them
reaches (`wide_reach.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shoal.columns import Points, Rows
from shoal.engine import kernels
from shoal.engine.density.linkage import Linkage, gaps_along, leaf_order, single_linkage
from shoal.engine.density.spanning_forest import spanning_forest
from shoal.engine.density.spanning_tree import listed_edges, reachability_tree
from shoal.engine.density.wide_reach import Crowds
from shoal.engine.neighbors.nearest import find_neighborhoods
from shoal.engine.parallel import spans, thread_count
from shoal.engine.plan import Progress, pulse_at, within
from shoal.engine.rows.coding import CERTAINTY, Codes, Frame, block_pairs, encode, frame_of, near_order, near_pairs

__all__ = ["Reachability", "find_reachability"]

Floats = NDArray[np.float64]
Places = NDArray[np.int32]

_FEWEST_LISTED: Final = 15
"""Neighbours of a row in approximate lists; for the exact answer those within the core distance will do."""
_FEWEST_BLOCKS: Final = 6
"""Blocks that each block is compared with for the lists, itself counted; _NEAR sqrt(blocks) where that is more."""
_NEAR: Final = 0.7
_PAIRS_KEPT: Final = 64
"""Pairs a row kept in the third step before the tree is improved with them."""
_CHECKED: Final = 100
"""Rows whose neighbours are found without codes, to tell the recall of approximate lists."""


@dataclass(frozen=True, slots=True)
class Reachability:
    """Edges between distinct rows, `left`, `right` (m,) int32 and `weight` (m,) float64 mutual reachability, and `core`
    (n,) float64 core distances. All edges of a minimum spanning tree are among them, and all that a core distance sets.

    `recall` is None where that is exact; else the share of true neighbours in the lists, told from a sample, and core
    distances may be too large.
    """

    left: Places
    right: Places
    weight: Floats
    core: Floats
    recall: float | None = None


def find_reachability(
    points: Points,
    rows: Rows,
    copies: Rows,
    min_samples: int,
    *,
    approximate: bool,
    threads: int,
    progress: Progress,
) -> Reachability:
    """Edges between the rows `points[rows]`, which are distinct; row i stands for `copies[i]` equal ones.

    `points` (n, d) float32 may be a memory map. The core distance of a row is the radius that holds `min_samples` rows,
    itself and equal ones counted; min_samples <= sum of copies. The answer depends on the order of `rows`, but not on
    that of `points` or on the number of threads. Reports to `progress` as "reachability".
    """
    core = kernels.native()
    if core is None or points.shape[1] > _WIDEST_CODED or len(rows) < 2:
        return _plain(points[rows], copies, min_samples, threads, progress)
    search = _Search.over(core, points, rows, copies, min_samples, thread_count(threads), progress)
    return search.run(approximate, progress)


_WIDEST_CODED: Final = 8192
"""Sums of more products of codes might not fit 32 bits."""


_WIDE: Final = 64
"""Rows within a core distance beyond which pairs within it are not kept."""


def _plain(points: Points, copies: Rows, min_samples: int, threads: int, progress: Progress) -> Reachability:
    if min_samples > _WIDE:
        return _plain_wide(points, copies, min_samples, threads, progress)
    near = find_neighborhoods(points, copies, min_samples, threads, within(progress, "reachability", 0, 0.75))
    listed = listed_edges(near)
    edges = listed.plus(reachability_tree(points, near, listed, threads, within(progress, "reachability", 0.75, 1)))
    return Reachability(edges.left.astype(np.int32), edges.right.astype(np.int32), edges.weight, near.core)


def _plain_wide(points: Points, copies: Rows, min_samples: int, threads: int, progress: Progress) -> Reachability:
    """As `_Search._wide`; of several shortest ways between two dense regions, exactly as long, it knows one."""
    crowds = Crowds.of(points, copies, threads)
    core = crowds.core_distances(min_samples, within(progress, "reachability", 0, 0.3))
    few = find_neighborhoods(
        points, np.ones(len(points), np.int64), 1, threads, within(progress, "reachability", 0.3, 0.5)
    )
    near = replace(few, core=core)
    tree = reachability_tree(points, near, listed_edges(near), threads, within(progress, "reachability", 0.5, 0.7))
    order, gaps = leaf_order(single_linkage(tree.left, tree.right, tree.weight))
    left, right = crowds.paced(core, order, gaps, within(progress, "reachability", 0.7, 1))
    return Reachability(
        np.concatenate([tree.left.astype(np.int32), left]),
        np.concatenate([tree.right.astype(np.int32), right]),
        np.concatenate([tree.weight, core[left]]),
        core,
    )


@dataclass(frozen=True, slots=True)
class _Edges:
    """Pairs of places and their distances."""

    left: Places
    right: Places
    length: Floats

    def plus(self, other: "_Edges") -> "_Edges":
        return _Edges(
            np.concatenate([self.left, other.left]),
            np.concatenate([self.right, other.right]),
            np.concatenate([self.length, other.length]),
        )

    def at(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "_Edges":
        return _Edges(self.left[chosen], self.right[chosen], self.length[chosen])

    def moved(self, place: Places) -> "_Edges":
        """The same pairs where row p is now at place[p]."""
        return _Edges(place[self.left], place[self.right], self.length)

    def reachability(self, core: Floats) -> Floats:
        return np.maximum(self.length, np.maximum(core[self.left], core[self.right]))


@dataclass(frozen=True, slots=True)
class _Search:
    """Rows by place: the row at place p is points[rows[near[p]]]. `near` is their rank too: it does not depend on the
    order of `points`."""

    native: ModuleType
    points: Points
    rows: Rows
    copies: Rows
    min_samples: int
    threads: int
    frame: Frame
    near: Places

    @staticmethod
    def over(
        native: ModuleType,
        points: Points,
        rows: Rows,
        copies: Rows,
        min_samples: int,
        threads: int,
        progress: Progress,
    ) -> "_Search":
        pulse = pulse_at(progress, "reachability", 0.0)
        frame = frame_of(points, native.levels(), rows=rows, pulse=pulse)
        near = near_order(points, frame, threads, rows=rows, pulse=pulse)
        return _Search(native, points, rows, copies, min_samples, threads, frame, near)

    def run(self, approximate: bool, progress: Progress) -> Reachability:
        codes = encode(
            self.points, self.frame, self._given(self.near), self.threads, pulse_at(progress, "reachability", 0.0)
        )
        if self.min_samples > _WIDE and not approximate:
            return self._wide(codes, progress)
        shares = (0.9, 1.0) if approximate else (0.15, 0.2)
        fewest = _FEWEST_LISTED if approximate else _FEWEST_LISTED // 2
        listed, core, recall = self._lists(codes, fewest, approximate, within(progress, "reachability", 0, shares[0]))
        joined = self._joined(codes, listed, core, within(progress, "reachability", *shares))
        if approximate:
            return self._told(listed.plus(joined), core, self.near, recall)
        return self._exact(codes, joined, core, within(progress, "reachability", shares[1], 1))

    def _wide(self, codes: Codes, progress: Progress) -> Reachability:
        crowds = Crowds.of(self.points[self.rows], self.copies, self.threads)
        by_row = crowds.core_distances(self.min_samples, within(progress, "reachability", 0, 0.35))
        few = replace(self, min_samples=1)
        listed, _, _ = few._lists(codes, _FEWEST_LISTED, False, within(progress, "reachability", 0.35, 0.45))
        core = by_row[self.near]
        tree = self._joined(codes, listed, core, within(progress, "reachability", 0.45, 0.5))
        part = within(progress, "reachability", 0.5, 0.65)
        tree, kept, order = self._verified(codes, tree, core, part, paced=True)
        rank = self.near[order]
        core = core[order]
        found = tree.plus(kept)
        tree = found.at(self._forest(found, core, rank))
        linkage = single_linkage(tree.left.astype(np.int64), tree.right.astype(np.int64), tree.reachability(core))
        kept = kept.at(self._possible(kept, linkage, core, paced=True))
        told = self._told(tree.plus(kept), core, rank, None)
        leaves, gaps = leaf_order(linkage)
        rows = rank[leaves].astype(np.int64)
        left, right = crowds.paced(by_row, rows, gaps, within(progress, "reachability", 0.65, 1))
        return Reachability(
            np.concatenate([told.left, left]),
            np.concatenate([told.right, right]),
            np.concatenate([told.weight, by_row[left]]),
            by_row,
        )

    def _given(self, order: Places) -> Places:
        """Rows of `points` from positions in `rows`."""
        return np.ascontiguousarray(self.rows[order], dtype=np.int32)

    def _lists(
        self, codes: Codes, fewest: int, checked: bool, progress: Progress
    ) -> tuple[_Edges, Floats, float | None]:
        """The edges of the neighbour lists, the core distances as these tell them, and with `checked` the recall."""
        total, block = len(self.near), self.native.BLOCK
        wanted = min(max(self.min_samples - 1, fewest), total - 1)
        enough = -(-(wanted + 1) // block) + 1
        blocks = -(-total // block)
        order = self._given(self.near)
        pairs = near_pairs(
            self.points, self.frame, order, block, max(_FEWEST_BLOCKS, enough, round(_NEAR * blocks**0.5))
        )
        places, squares, _, _ = self.native.nearest_rows(
            codes, self.points, order, self.near, wanted, CERTAINTY, pairs, self.threads, _tick(progress)
        )
        lengths = np.sqrt(squares)
        core = self._core(places, lengths)
        own = np.repeat(np.arange(total, dtype=np.int32), wanted)
        other, flat = places.ravel(), lengths.ravel()
        # A pair that both list is wanted once; at the end of a list equals may be missing, so those stay.
        once = (other >= 0) & ((own < other) | (flat >= lengths[other, -1]))
        edges = _Edges(np.minimum(own, other)[once], np.maximum(own, other)[once], flat[once])
        return edges, core, self._recall(places, lengths) if checked else None

    def _core(self, places: Places, lengths: Floats) -> Floats:
        copies = self.copies[self.near]
        held = copies[:, None] + np.cumsum(np.where(places >= 0, copies[places], 0), axis=1)
        enough = held >= self.min_samples
        radius = np.where(enough.any(axis=1), lengths[np.arange(len(lengths)), np.argmax(enough, axis=1)], np.inf)
        return np.where(copies >= self.min_samples, 0.0, radius)

    def _recall(self, places: Places, lengths: Floats) -> float:
        """The share of the nearest rows of some that their lists hold."""
        some = np.linspace(0, len(places) - 1, min(_CHECKED, len(places))).astype(np.int64)
        own = (self.points[self._given(self.near[some])] - self.frame.mean).astype(np.float64)
        squares = (own**2).sum(axis=1)
        kept = lengths.shape[1] + 1  # the row itself is among them
        nearest, longest = np.full((len(some), kept), np.inf), 0.0
        for block in spans(len(self.rows), 1 << 12):
            others = (self.points[self.rows[block]] - self.frame.mean).astype(np.float64)
            lengths_of_others = (others**2).sum(axis=1)
            away = squares[:, None] + lengths_of_others - 2 * (own @ others.T)
            away = np.partition(away, min(kept, away.shape[1]) - 1, axis=1)[:, :kept]
            nearest = np.partition(np.concatenate([nearest, away], axis=1), kept - 1, axis=1)[:, :kept]
            longest = max(longest, float(lengths_of_others.max()))
        slack = (own.shape[1] + 12) * float(np.finfo(np.float64).eps) * (squares + longest)
        limit = nearest.max(axis=1) * (1 + 1e-6) + slack  # moving rows to the mean rounds, in float32
        return float((lengths[some] ** 2 <= limit[:, None]).mean())

    def _forest(self, edges: _Edges, core: Floats, rank: Places) -> NDArray[np.int64]:
        weight = edges.reachability(core)
        return spanning_forest(edges.left, edges.right, weight, edges.length, rank, threads=self.threads)

    def _joined(self, codes: Codes, listed: _Edges, core: Floats, progress: Progress) -> _Edges:
        """A spanning tree: the lightest forest of the lists and, while it has several trees, the lightest edge of each
        but the largest to another."""
        tree = listed.at(self._forest(listed, core, self.near))
        total = len(core)
        while len(tree.left) < total - 1:
            count, component = connected_components(
                coo_array((np.ones(len(tree.left), np.int8), (tree.left, tree.right)), shape=(total, total)),
                directed=False,
            )
            by_size = np.empty(count, np.int32)
            by_size[np.argsort(np.bincount(component), kind="stable")] = np.arange(count, dtype=np.int32)
            component = by_size[component]
            order = np.argsort(component, kind="stable").astype(np.int32)
            rank = np.ascontiguousarray(self.near[order])
            left, right, length = self.native.joining_edges(
                codes.reordered(order, self.threads),
                self.points,
                self._given(rank),
                rank,
                core[order],
                component[order],
                count,
                self.threads,
                _tick(progress),
            )
            found = tree.plus(_Edges(order[left], order[right], length))
            tree = found.at(self._forest(found, core, self.near))
        return tree

    def _exact(self, codes: Codes, tree: _Edges, core: Floats, progress: Progress) -> Reachability:
        """The pairs that the tree leaves possible, with the true core distances."""
        _, kept, order = self._verified(codes, tree, core, progress, paced=False)
        rank = self.near[order]
        core = self.native.core_distances(kept.left, kept.right, kept.length, self.copies[rank], self.min_samples)
        return self._told(kept, core, rank, None)

    def _verified(
        self, codes: Codes, tree: _Edges, core: Floats, progress: Progress, *, paced: bool
    ) -> tuple[_Edges, _Edges, Places]:
        """The tree, and the pairs it leaves possible, by their places in the order that follows, its leaf order at
        first. With `paced` the core distances are true, and pairs that one of them reaches are left out."""
        order, gaps = _laid_out(tree, tree.reachability(core))
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        tree, core, rank = tree.moved(place), core[order], np.ascontiguousarray(self.near[order])
        codes, given = codes.reordered(order, self.threads), self._given(rank)
        blocks = block_pairs(len(order), self.native.BLOCK)
        kept, done, room = tree.at(np.zeros(0, np.int64)), 0, _PAIRS_KEPT * len(order)
        while done < len(blocks):
            part = within(progress, "reachability", done / len(blocks), 1)
            known = core if paced else None
            left, right, squares, looked, _ = self.native.close_pairs(
                codes, self.points, given, gaps, known, blocks[done:], room, self.threads, _tick(part)
            )
            kept, done = kept.plus(_Edges(left, right, np.sqrt(squares))), done + looked
            if done < len(blocks):  # the tree was poor: with what was found it is better, and most of that can go
                found = tree.plus(kept)
                tree = found.at(self._forest(found, core, rank))
                linkage = single_linkage(
                    tree.left.astype(np.int64), tree.right.astype(np.int64), tree.reachability(core)
                )
                gaps = gaps_along(np.arange(len(order)), linkage)
                kept = kept.at(self._possible(kept, linkage, core, paced=paced))
                room = _PAIRS_KEPT * len(order)
        return tree, kept, order

    def _possible(self, pairs: _Edges, tree: Linkage, core: Floats, *, paced: bool) -> NDArray[np.bool_]:
        """(m,) which pairs may still be edges of the minimum spanning tree, being no farther apart than the way between
        them in this one is wide."""
        ends = pairs.left.astype(np.int64), pairs.right.astype(np.int64)
        ways: Floats = self.native.meeting_heights(tree.left, tree.right, tree.height, tree.size, *ends)
        near: NDArray[np.bool_] = pairs.length <= ways
        return near & (np.maximum(core[pairs.left], core[pairs.right]) < ways) if paced else near

    def _told(self, edges: _Edges, core: Floats, rank: Places, recall: float | None) -> Reachability:
        """In terms of positions in `rows`."""
        by_row = np.empty_like(core)
        by_row[rank] = core
        return Reachability(rank[edges.left], rank[edges.right], edges.reachability(core), by_row, recall)


def _laid_out(tree: _Edges, weight: Floats) -> tuple[Places, Floats]:
    """The leaf order of the tree, whose edges are sorted by weight, and the gaps in it."""
    linkage = single_linkage(tree.left.astype(np.int64), tree.right.astype(np.int64), weight)
    order, gaps = leaf_order(linkage)
    return order.astype(np.int32), gaps


def _tick(progress: Progress) -> Callable[[float], None]:
    return partial(progress, "reachability")
