"""The compiled core, built from `native/`. Use it through `kernels.native()`, which is None without it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

def instructions() -> str:
    """The name of the instruction set in use."""

def available_instructions() -> list[str]:
    """Instruction sets supported by this processor, fastest first; the last is "portable"."""

def use_instructions(name: str) -> None:
    """Select one of the available instruction sets for the whole process; existing codes keep theirs. ValueError for
    another name."""

# native/tree.cpp: from edges to clusters. Arrays are C-contiguous and of exactly these dtypes, row numbers in range;
# ValueError if lengths do not match. The calling modules document the results.

def spanning_forest(
    left: NDArray[np.int64] | NDArray[np.int32],
    right: NDArray[np.int64] | NDArray[np.int32],
    weight: NDArray[np.float64],
    length: NDArray[np.float64],
    rank: NDArray[np.uint32],
    threads: int,
) -> NDArray[np.int64]:
    """(at most n - 1,) positions of the selected edges in Kruskal's order. ValueError from 2^32 edges or 2^31 rows."""

def single_linkage(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The two nodes of each merge and the size of the result; all (n - 1,)."""

def leaf_order(
    left: NDArray[np.int64], right: NDArray[np.int64], height: NDArray[np.float64], size: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n,) rows in leaf order and (n - 1,) heights between consecutive leaves."""

def meeting_heights(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    height: NDArray[np.float64],
    size: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(m,) merge heights of the pairs of rows (first, second); 0 for a row and itself."""

def condense(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    height: NDArray[np.float64],
    size: NDArray[np.int64],
    min_cluster_size: int,
    weight: NDArray[np.int64],
    core: NDArray[np.float64],
) -> tuple[
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.int64],
    NDArray[np.float64],
]:
    """The fields of CondensedTree."""

def select_clusters(
    parent: NDArray[np.int64],
    birth: NDArray[np.float64],
    size: NDArray[np.int64],
    stability: NDArray[np.float64],
    leaf: bool,
    epsilon: float,
    max_size: int | None,
    allow_single: bool,
) -> NDArray[np.int64]:
    """(k,) selected clusters, ascending."""

def chosen_above(parent: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """(c,) position in `chosen` of each cluster or its nearest selected ancestor, -1 for none."""

def outlier_scores(
    parent: NDArray[np.int64], cluster: NDArray[np.int64], leaving: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(n,) GLOSH."""

# native/bind_scan.cpp: scans over codes. Rows are referred to by position, row p being values[order[p]]; ValueError if
# arrays are inconsistent. `tick` is called with the fraction done and may raise. See the headers in native/.

BLOCK: int
"""Positions per block."""

def levels() -> int:
    """Codes are in -levels..levels."""

class Codes:
    """Rows as int8 codes, in the layout of the scans."""

    def __init__(self, count: int, dimensions: int, stages: list[int], unit: float) -> None: ...
    def write(self, first: int, coordinates: NDArray[np.float32], slack: float) -> None:
        """Encode rows from position `first` on, given their (m, dimensions) coordinates."""

    def reordered(self, order: NDArray[np.int32], threads: int) -> Codes:
        """The row at position i is that at position order[i]."""

    def mean_error(self) -> float:
        """Mean distance of a row from its code."""

    @property
    def count(self) -> int: ...
    @property
    def unit(self) -> float: ...

def nearest_rows(
    codes: Codes,
    values: NDArray[np.float32],
    order: NDArray[np.int32],
    rank: NDArray[np.int32],
    wanted: int,
    certainty: float,
    pairs: NDArray[np.int32],
    threads: int,
    tick: Callable[[float], None] | None,
) -> tuple[NDArray[np.int32], NDArray[np.float64], int, int]:
    """(n, wanted) positions and squared distances, the hits of the scan and the distances computed in float64."""

def close_pairs(
    codes: Codes,
    values: NDArray[np.float32],
    order: NDArray[np.int32],
    gaps: NDArray[np.float64],
    core: NDArray[np.float64] | None,
    blocks: NDArray[np.int32],
    capacity: int,
    threads: int,
    tick: Callable[[float], None] | None,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64], int, int]:
    """Left, right, squared distance; the number of pairs of blocks scanned; the hits of the scan."""

def joining_edges(
    codes: Codes,
    values: NDArray[np.float32],
    order: NDArray[np.int32],
    rank: NDArray[np.int32],
    core: NDArray[np.float64],
    component: NDArray[np.int32],
    components: int,
    threads: int,
    tick: Callable[[float], None] | None,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Left, right, distance."""

def core_distances(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    length: NDArray[np.float64],
    copies: NDArray[np.int64],
    wanted: int,
) -> NDArray[np.float64]: ...
def walk(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    weight: NDArray[np.float64],
    rows: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...

# native/bind_kmeans.cpp: k-means. `numbers` maps positions of `center_codes` to centers, `order` those of `codes` to
# rows. Results are documented in `centers.py`, `exact_sums.py`, `starts.py` and `row_keys.py`.

def row_keys(values: NDArray[np.float32], threads: int) -> NDArray[np.uint64]:
    """(n,) keys."""

def lot() -> int:
    """Centers that are processed together."""

class Assignment:
    def __init__(
        self, codes: Codes, values: NDArray[np.float32], order: NDArray[np.int32], center_count: int, kept_bytes: int
    ) -> None: ...
    def step(
        self,
        center_codes: Codes,
        centers: NDArray[np.float32],
        numbers: NDArray[np.int32],
        drift: NDArray[np.float64] | None,
        threads: int,
        tick: Callable[[float], None] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], tuple[int, int, int]]:
        """Rows that moved, from, to, and counts: groups of four rows compared with a lot, pairs that passed the codes,
        distances computed. `drift` (k,) is an upper bound of each center's movement since the last step, or None."""

def two_nearest(
    codes: Codes,
    values: NDArray[np.float32],
    order: NDArray[np.int32],
    center_codes: Codes,
    centers: NDArray[np.float32],
    numbers: NDArray[np.int32],
    threads: int,
    tick: Callable[[float], None] | None,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """By position: (n,) the nearest center, (n, 2) squared distances to it and to the second nearest."""

def squares_to(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    centers: NDArray[np.float32],
    numbers: NDArray[np.int32],
    threads: int,
) -> NDArray[np.float64]:
    """(m,) squared distances."""

def move_rows(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    from_: NDArray[np.int32],
    to: NDArray[np.int32],
    sums: NDArray[np.float64],
    quantum: float,
    threads: int,
) -> NDArray[np.float64]:
    """(k, d) the sums after the moves."""

def spread_starts(
    codes: Codes,
    values: NDArray[np.float32],
    order: NDArray[np.int32],
    first: int,
    draws: NDArray[np.float64],
    threads: int,
    tick: Callable[[float], None] | None,
) -> NDArray[np.int64]:
    """(len(draws) + 1,) row numbers; `values` are in the order of the codes."""

# native/bind_graph.cpp: the graph of `neighbors/graph.py`; see `communities.hpp`.

def groups_of_vertices(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    strength: NDArray[np.float64],
    total: float,
    resolution: float,
    most: int,
    threads: int,
    tick: Callable[[float], None] | None,
) -> NDArray[np.int32]:
    """(1, n) groups. ValueError if the arrays are not a graph."""

def layers_of_communities(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    strength: NDArray[np.float64],
    total: float,
    groups: NDArray[np.int32] | None,
    resolutions: NDArray[np.float64],
    seed: int,
    threads: int,
    tick: Callable[[float], None] | None,
) -> NDArray[np.int32]:
    """(r, n) communities at each resolution. ValueError if the arrays are not a graph."""

def runs_of_communities(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    strength: NDArray[np.float64],
    total: float,
    groups: NDArray[np.int32] | None,
    within: NDArray[np.int32] | None,
    resolution: float,
    seeds: NDArray[np.uint64],
    rounds: int,
    threads: int,
    tick: Callable[[float], None] | None,
) -> NDArray[np.int32]:
    """(s, n) communities for each seed. ValueError if the arrays are not a graph."""

def common_groups(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """(n,) groups of vertices that no layer of (r, n) separates."""

def joined_groups(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    groups: NDArray[np.int32],
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The fields of the NeighborGraph between groups."""

def agreed_graph(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    labels: NDArray[np.int32],
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], int, int]:
    """The fields of the NeighborGraph, the number of edges inside a labelling, and inside pairs of labellings."""

def joined_both_ways(
    to: NDArray[np.int32], weight: NDArray[np.float32], threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The fields of NeighborGraph, from the neighbours (n, k) of each row and their directed weights."""

def walk_home(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    strength: NDArray[np.float64],
    labels: NDArray[np.int32],
    threads: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(n,) labels and shares."""

def weights_within(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    weight: NDArray[np.float32],
    labels: NDArray[np.int32],
    threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(r,) the weight and the number of edges inside the labels (r, n)."""

# native/bind_layout.cpp: see `map/forces.py` and `layout.hpp`.

def settled(
    start: NDArray[np.int64],
    to: NDArray[np.int32],
    pull: NDArray[np.float32],
    mass: NDArray[np.float32],
    reach: NDArray[np.float32],
    places: NDArray[np.float32],
    forces: tuple[float, float, float, int],
    schedule: tuple[int, float, float, float, int],
    threads: int,
    tick: Callable[[float], None] | None,
) -> NDArray[np.float32]:
    """(components, n) places after all rounds. ValueError if the arrays are not a graph or are inconsistent."""

# native/bind_parallel.cpp: the loop behind every call with a tick, exposed for tests.

def parallel_for(
    count: int, work: Callable[[int, int], object], threads: int, tick: Callable[[float], None] | None
) -> None:
    """Call work(index, thread) for each index below `count` on `threads` threads, and `tick` on the calling thread ten
    times a second. An exception of either is raised once every thread has finished its current piece."""
