"""Edges that contain a minimum spanning tree of mutual reachability.

The mutual reachability of two rows is the largest of their distance and their two core distances (Campello, Moulavi and
Sander 2013). With the compiled core it takes these steps:

1. neighbour lists among near blocks of rows, and from them upper bounds of the core distances;
2. the lightest forest of the lists (Kruskal), its trees connected by the lightest edges between them over all rows
   (Boruvka);
3. in exact mode, one pass over all pairs of rows that keeps those no farther apart than the largest edge on their path
   in the tree. By the cycle property no other pair can be in the minimum spanning tree, and all rows within the core
   distance of a row are included.

Approximate mode stops after step 2. Without the core the exact edges are found in NumPy. If core distances contain many
rows they are computed first, and step 3 keeps only pairs beyond both core distances (`wide_cores.py`).
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
from shoal.engine.density.linkage import Linkage, heights_along, leaf_order, single_linkage
from shoal.engine.density.position_edges import PositionEdges
from shoal.engine.density.spanning_forest import find_spanning_forest
from shoal.engine.density.spanning_tree import build_reachability_tree, collect_listed_edges
from shoal.engine.density.wide_cores import WideCores
from shoal.engine.neighbors.nearest_reference import find_neighborhoods
from shoal.engine.parallel import spans, thread_count
from shoal.engine.plan import Progress, pulse_at, scale_progress
from shoal.engine.rows.coding import (
    CERTAINTY,
    Codes,
    Frame,
    encode,
    fit_frame,
    order_by_proximity,
    pair_blocks,
    pair_near_blocks,
)

__all__ = ["Reachability", "find_reachability"]

Floats = NDArray[np.float64]
Places = NDArray[np.int32]

_MIN_LISTED: Final = 15
"""Neighbours per row in approximate lists; exact mode needs only those within the core distance."""
_MIN_BLOCKS: Final = 6
"""Blocks that each block is compared with for the lists, including itself; _BLOCK_FACTOR sqrt(blocks) if more."""
_BLOCK_FACTOR: Final = 0.7
_MAX_PAIRS_PER_ROW: Final = 64
"""Pairs per row stored in step 3 before the tree is improved with them."""
_RECALL_ROWS: Final = 100
"""Rows whose exact neighbours measure the recall of approximate lists."""


@dataclass(frozen=True, slots=True)
class Reachability:
    """Edges between distinct rows, `left`, `right` (m,) int32 and `weight` (m,) float64 mutual reachability, and `core`
    (n,) float64 core distances. They contain a minimum spanning tree and all edges whose weight is a core distance.

    `recall` is None if that is exact; else the fraction of true neighbours in the lists, measured on a sample, and core
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
    """Edges between the rows `points[rows]`, which are distinct; row i represents `copies[i]` equal ones.

    The result depends on the order of `rows`, not on that of `points` or on the number of threads. Reports to
    `progress` as "reachability".

    Parameters
    ----------
    points
        (n, d) float32, may be a memory map.
    rows, copies
        (m,) rows to use and how often each occurs.
    min_samples
        The core distance is the radius that contains this many rows, including the row itself and copies; at most the
        sum of `copies`.
    approximate
        Stop after step 2.
    """
    core = kernels.native()
    if core is None or points.shape[1] > _MAX_CODED_DIMENSIONS or len(rows) < 2:
        return _find_reference(points[rows], copies, min_samples, threads, progress)
    search = _Search.of(core, points, rows, copies, min_samples, thread_count(threads), progress)
    return search.run(approximate, progress)


_MAX_CODED_DIMENSIONS: Final = 8192
"""Sums of more products of codes might overflow 32 bits."""


_MAX_CORE_ROWS: Final = 64
"""Rows within a core distance beyond which the pairs inside it are not stored."""


def _find_reference(points: Points, copies: Rows, min_samples: int, threads: int, progress: Progress) -> Reachability:
    if min_samples > _MAX_CORE_ROWS:
        return _find_wide_reference(points, copies, min_samples, threads, progress)
    near = find_neighborhoods(points, copies, min_samples, threads, scale_progress(progress, "reachability", 0, 0.75))
    listed = collect_listed_edges(near)
    edges = listed.concat(
        build_reachability_tree(points, near, listed, threads, scale_progress(progress, "reachability", 0.75, 1))
    )
    return Reachability(edges.left.astype(np.int32), edges.right.astype(np.int32), edges.weight, near.core)


def _find_wide_reference(
    points: Points, copies: Rows, min_samples: int, threads: int, progress: Progress
) -> Reachability:
    """As `_Search._run_wide`, but knows only one of several equally short paths between two dense regions."""
    crowds = WideCores.of(points, copies, threads)
    core = crowds.core_distances(min_samples, scale_progress(progress, "reachability", 0, 0.3))
    few = find_neighborhoods(
        points, np.ones(len(points), np.int64), 1, threads, scale_progress(progress, "reachability", 0.3, 0.5)
    )
    near = replace(few, core=core)
    tree = build_reachability_tree(
        points, near, collect_listed_edges(near), threads, scale_progress(progress, "reachability", 0.5, 0.7)
    )
    order, gaps = leaf_order(single_linkage(tree.left, tree.right, tree.weight))
    left, right = crowds.find_core_edges(core, order, gaps, scale_progress(progress, "reachability", 0.7, 1))
    return Reachability(
        np.concatenate([tree.left.astype(np.int32), left]),
        np.concatenate([tree.right.astype(np.int32), right]),
        np.concatenate([tree.weight, core[left]]),
        core,
    )


@dataclass(frozen=True, slots=True)
class _Search:
    """Rows by position: the row at position p is points[rows[near[p]]]. `near` is also their rank, which does not
    depend on the order of `points`."""

    native: ModuleType
    points: Points
    rows: Rows
    copies: Rows
    min_samples: int
    threads: int
    frame: Frame
    near: Places

    @staticmethod
    def of(
        native: ModuleType,
        points: Points,
        rows: Rows,
        copies: Rows,
        min_samples: int,
        threads: int,
        progress: Progress,
    ) -> "_Search":
        pulse = pulse_at(progress, "reachability", 0.0)
        frame = fit_frame(points, native.levels(), rows=rows, pulse=pulse)
        near = order_by_proximity(points, frame, threads, rows=rows, pulse=pulse)
        return _Search(native, points, rows, copies, min_samples, threads, frame, near)

    def run(self, approximate: bool, progress: Progress) -> Reachability:
        codes = encode(
            self.points,
            self.frame,
            self._to_point_rows(self.near),
            self.threads,
            pulse_at(progress, "reachability", 0.0),
        )
        if self.min_samples > _MAX_CORE_ROWS and not approximate:
            return self._run_wide(codes, progress)
        shares = (0.9, 1.0) if approximate else (0.15, 0.2)
        fewest = _MIN_LISTED if approximate else _MIN_LISTED // 2
        listed, core, recall = self._build_lists(
            codes, fewest, approximate, scale_progress(progress, "reachability", 0, shares[0])
        )
        joined = self._join_components(codes, listed, core, scale_progress(progress, "reachability", *shares))
        if approximate:
            return self._to_reachability(listed.concat(joined), core, self.near, recall)
        return self._run_exact(codes, joined, core, scale_progress(progress, "reachability", shares[1], 1))

    def _run_wide(self, codes: Codes, progress: Progress) -> Reachability:
        crowds = WideCores.of(self.points[self.rows], self.copies, self.threads)
        by_row = crowds.core_distances(self.min_samples, scale_progress(progress, "reachability", 0, 0.35))
        few = replace(self, min_samples=1)
        listed, _, _ = few._build_lists(codes, _MIN_LISTED, False, scale_progress(progress, "reachability", 0.35, 0.45))
        core = by_row[self.near]
        tree = self._join_components(codes, listed, core, scale_progress(progress, "reachability", 0.45, 0.5))
        part = scale_progress(progress, "reachability", 0.5, 0.65)
        tree, pairs, order = self._verify_tree(codes, tree, core, part, skip_core_pairs=True)
        rank = self.near[order]
        core = core[order]
        candidates = tree.concat(pairs)
        tree = candidates.take(self._find_forest(candidates, core, rank))
        linkage = single_linkage(
            tree.left.astype(np.int64), tree.right.astype(np.int64), tree.mutual_reachability(core)
        )
        pairs = pairs.take(self._is_possible(pairs, linkage, core, skip_core_pairs=True))
        by_position = self._to_reachability(tree.concat(pairs), core, rank, None)
        leaves, gaps = leaf_order(linkage)
        rows = rank[leaves].astype(np.int64)
        left, right = crowds.find_core_edges(by_row, rows, gaps, scale_progress(progress, "reachability", 0.65, 1))
        return Reachability(
            np.concatenate([by_position.left, left]),
            np.concatenate([by_position.right, right]),
            np.concatenate([by_position.weight, by_row[left]]),
            by_row,
        )

    def _to_point_rows(self, order: Places) -> Places:
        """Rows of `points` from positions in `rows`."""
        return np.ascontiguousarray(self.rows[order], dtype=np.int32)

    def _build_lists(
        self, codes: Codes, fewest: int, checked: bool, progress: Progress
    ) -> tuple[PositionEdges, Floats, float | None]:
        """The edges of the neighbour lists, the core distances they imply, and with `checked` the recall."""
        total, block = len(self.near), self.native.BLOCK
        count = min(max(self.min_samples - 1, fewest), total - 1)
        enough = -(-(count + 1) // block) + 1
        blocks = -(-total // block)
        order = self._to_point_rows(self.near)
        pairs = pair_near_blocks(
            self.points, self.frame, order, block, max(_MIN_BLOCKS, enough, round(_BLOCK_FACTOR * blocks**0.5))
        )
        places, squares, _, _ = self.native.nearest_rows(
            codes, self.points, order, self.near, count, CERTAINTY, pairs, self.threads, _tick(progress)
        )
        lengths = np.sqrt(squares)
        core = self._core_distances(places, lengths)
        own = np.repeat(np.arange(total, dtype=np.int32), count)
        other, flat = places.ravel(), lengths.ravel()
        # Keep a pair listed by both ends once. Ties may be cut off at the end of a list, so those pairs are kept.
        once = (other >= 0) & ((own < other) | (flat >= lengths[other, -1]))
        edges = PositionEdges(np.minimum(own, other)[once], np.maximum(own, other)[once], flat[once])
        return edges, core, self._measure_recall(places, lengths) if checked else None

    def _core_distances(self, places: Places, lengths: Floats) -> Floats:
        copies = self.copies[self.near]
        cumulative = copies[:, None] + np.cumsum(np.where(places >= 0, copies[places], 0), axis=1)
        enough = cumulative >= self.min_samples
        radius = np.where(enough.any(axis=1), lengths[np.arange(len(lengths)), np.argmax(enough, axis=1)], np.inf)
        return np.where(copies >= self.min_samples, 0.0, radius)

    def _measure_recall(self, places: Places, lengths: Floats) -> float:
        """The fraction of the nearest rows of a sample that their lists contain."""
        sample = np.linspace(0, len(places) - 1, min(_RECALL_ROWS, len(places))).astype(np.int64)
        own = (self.points[self._to_point_rows(self.near[sample])] - self.frame.mean).astype(np.float64)
        squares = (own**2).sum(axis=1)
        count = lengths.shape[1] + 1  # including the row itself
        nearest, longest = np.full((len(sample), count), np.inf), 0.0
        for block in spans(len(self.rows), 1 << 12):
            others = (self.points[self.rows[block]] - self.frame.mean).astype(np.float64)
            lengths_of_others = (others**2).sum(axis=1)
            away = squares[:, None] + lengths_of_others - 2 * (own @ others.T)
            away = np.partition(away, min(count, away.shape[1]) - 1, axis=1)[:, :count]
            nearest = np.partition(np.concatenate([nearest, away], axis=1), count - 1, axis=1)[:, :count]
            longest = max(longest, float(lengths_of_others.max()))
        slack = (own.shape[1] + 12) * float(np.finfo(np.float64).eps) * (squares + longest)
        limit = nearest.max(axis=1) * (1 + 1e-6) + slack  # centering rounds in float32
        return float((lengths[sample] ** 2 <= limit[:, None]).mean())

    def _find_forest(self, edges: PositionEdges, core: Floats, rank: Places) -> NDArray[np.int64]:
        weight = edges.mutual_reachability(core)
        return find_spanning_forest(edges.left, edges.right, weight, edges.length, rank, threads=self.threads)

    def _join_components(self, codes: Codes, listed: PositionEdges, core: Floats, progress: Progress) -> PositionEdges:
        """A spanning tree: the lightest forest of the lists and, while it has several trees, the lightest edge from
        each but the largest to another."""
        tree = listed.take(self._find_forest(listed, core, self.near))
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
                self._to_point_rows(rank),
                rank,
                core[order],
                component[order],
                count,
                self.threads,
                _tick(progress),
            )
            candidates = tree.concat(PositionEdges(order[left], order[right], length))
            tree = candidates.take(self._find_forest(candidates, core, self.near))
        return tree

    def _run_exact(self, codes: Codes, tree: PositionEdges, core: Floats, progress: Progress) -> Reachability:
        """The pairs that the tree does not exclude, with the true core distances."""
        _, pairs, order = self._verify_tree(codes, tree, core, progress, skip_core_pairs=False)
        rank = self.near[order]
        core = self.native.core_distances(pairs.left, pairs.right, pairs.length, self.copies[rank], self.min_samples)
        return self._to_reachability(pairs, core, rank, None)

    def _verify_tree(
        self, codes: Codes, tree: PositionEdges, core: Floats, progress: Progress, *, skip_core_pairs: bool
    ) -> tuple[PositionEdges, PositionEdges, Places]:
        """The tree and the pairs it does not exclude, by positions in the returned order, initially its leaf order.
        With `skip_core_pairs` core distances are exact, and pairs within one of them are skipped."""
        order, gaps = _order_leaves(tree, tree.mutual_reachability(core))
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        tree, core, rank = tree.relocate(place), core[order], np.ascontiguousarray(self.near[order])
        codes, point_rows = codes.reordered(order, self.threads), self._to_point_rows(rank)
        blocks = pair_blocks(len(order), self.native.BLOCK)
        pairs, processed_blocks, capacity = tree.take(np.zeros(0, np.int64)), 0, _MAX_PAIRS_PER_ROW * len(order)
        while processed_blocks < len(blocks):
            part = scale_progress(progress, "reachability", processed_blocks / len(blocks), 1)
            exact_core = core if skip_core_pairs else None
            left, right, squares, processed, _ = self.native.close_pairs(
                codes,
                self.points,
                point_rows,
                gaps,
                exact_core,
                blocks[processed_blocks:],
                capacity,
                self.threads,
                _tick(part),
            )
            pairs, processed_blocks = (
                pairs.concat(PositionEdges(left, right, np.sqrt(squares))),
                processed_blocks + processed,
            )
            if processed_blocks < len(blocks):
                # The tree was poor: improve it with the pairs found, which then excludes most of them.
                candidates = tree.concat(pairs)
                tree = candidates.take(self._find_forest(candidates, core, rank))
                linkage = single_linkage(
                    tree.left.astype(np.int64), tree.right.astype(np.int64), tree.mutual_reachability(core)
                )
                gaps = heights_along(np.arange(len(order)), linkage)
                pairs = pairs.take(self._is_possible(pairs, linkage, core, skip_core_pairs=skip_core_pairs))
                capacity = _MAX_PAIRS_PER_ROW * len(order)
        return tree, pairs, order

    def _is_possible(
        self, pairs: PositionEdges, tree: Linkage, core: Floats, *, skip_core_pairs: bool
    ) -> NDArray[np.bool_]:
        """(m,) which pairs can be edges of the minimum spanning tree: those no farther apart than the largest edge on
        their path in this tree."""
        ends = pairs.left.astype(np.int64), pairs.right.astype(np.int64)
        path_heights: Floats = self.native.meeting_heights(tree.left, tree.right, tree.height, tree.size, *ends)
        near: NDArray[np.bool_] = pairs.length <= path_heights
        return near & (np.maximum(core[pairs.left], core[pairs.right]) < path_heights) if skip_core_pairs else near

    def _to_reachability(self, edges: PositionEdges, core: Floats, rank: Places, recall: float | None) -> Reachability:
        """Convert positions to positions in `rows`."""
        by_row = np.empty_like(core)
        by_row[rank] = core
        return Reachability(rank[edges.left], rank[edges.right], edges.mutual_reachability(core), by_row, recall)


def _order_leaves(tree: PositionEdges, weight: Floats) -> tuple[Places, Floats]:
    """Leaf order and gaps of the tree, whose edges are sorted by weight."""
    linkage = single_linkage(tree.left.astype(np.int64), tree.right.astype(np.int64), weight)
    order, gaps = leaf_order(linkage)
    return order.astype(np.int32), gaps


def _tick(progress: Progress) -> Callable[[float], None]:
    return partial(progress, "reachability")
