"""The compiled core, built from `native/`. Take it from `kernels.native()`, which knows whether it is there."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

def instructions() -> str:
    """The name of the instruction set in use."""

def available_instructions() -> list[str]:
    """Those that this processor runs, the fastest first; "portable", which every processor runs, last."""

def use_instructions(name: str) -> None:
    """Use one of the available instruction sets from now on, in the whole process; codes keep the one they were made
    for. ValueError for another name."""

# native/tree.cpp: what comes after the edges. Arrays are C-contiguous and of just these dtypes, row numbers in range;
# ValueError where arrays that belong together differ in length. The modules that call these say what they answer.

def spanning_forest(
    left: NDArray[np.int64] | NDArray[np.int32],
    right: NDArray[np.int64] | NDArray[np.int32],
    weight: NDArray[np.float64],
    length: NDArray[np.float64],
    rank: NDArray[np.uint32],
    threads: int,
) -> NDArray[np.int64]:
    """Places of the edges chosen, (at most n - 1,), in Kruskal's order. ValueError from 2^32 edges or 2^31 rows on."""

def single_linkage(
    left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The nodes that each merge joins, and the size of what it makes; all (n - 1,)."""

def leaf_order(
    left: NDArray[np.int64], right: NDArray[np.int64], height: NDArray[np.float64], size: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n,) rows in the order of the leaves and (n - 1,) heights between neighbours."""

def meeting_heights(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    height: NDArray[np.float64],
    size: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(m,) heights at which the pairs of rows (first, second) meet; 0 for a row and itself."""

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
    """(k,) clusters chosen, ascending."""

def chosen_above(parent: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """(c,) place in `chosen` of each cluster or the nearest one above it that is chosen, -1 for none."""

def outlier_scores(
    parent: NDArray[np.int64], cluster: NDArray[np.int64], leaving: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(n,) GLOSH."""

# native/bind_scan.cpp: scans over codes. Rows are told by place, row p being values[order[p]]; ValueError where arrays
# do not belong together. `tick` is called with the fraction done and may raise. The headers in native/ say the rest.

BLOCK: int
"""Places of a block."""

def levels() -> int:
    """Codes lie in -levels..levels."""

class Codes:
    """Rows as int8 codes, in the layout that the scans read."""

    def __init__(self, count: int, dimensions: int, stages: list[int], unit: float) -> None: ...
    def write(self, first: int, coordinates: NDArray[np.float32], slack: float) -> None:
        """Codes of rows from place `first` on, from their (m, dimensions) coordinates."""

    def reordered(self, order: NDArray[np.int32], threads: int) -> Codes:
        """The row at place i comes from place order[i]."""

    def mean_error(self) -> float:
        """How far a row is from its code, on average."""

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
    """(n, wanted) places and squared distances, the hits of the scan and the distances taken in float64."""

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
    """Left, right, squared distance; how many pairs of blocks were looked at; the hits of the scan."""

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

# native/bind_kmeans.cpp: k-means. `numbers` says which center each place of `center_codes` is, `order` which row each
# place of `codes` is. `centers.py`, `exact_sums.py`, `starts.py` and `row_keys.py` say what these answer.

def row_keys(values: NDArray[np.float32], threads: int) -> NDArray[np.uint64]:
    """(n,) keys."""

def lot() -> int:
    """Centers that are looked at together."""

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
        """Rows that moved, from, to, and counts: fours of rows looked at with a lot, pairs that codes let through,
        distances taken. `drift` (k,) is at least how far each center moved since the step before, None at the first."""

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
    """By place: (n,) the nearest center, (n, 2) squared distances to it and to the second nearest."""

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
    """(len(draws) + 1,) row numbers; `values` lie in the order of the codes."""

# native/bind_graph.cpp: the neighbour graph as `neighbor_graph.py` tells it; `communities.hpp` says the rest.

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
    """(1, n) groups. ValueError where the arrays are no graph."""

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
    """(r, n) communities at each resolution. ValueError where the arrays are no graph."""

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
    """(s, n) communities for each seed. ValueError where the arrays are no graph."""

def common_groups(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """(n,) groups of what no layer of (r, n) tells apart."""

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
    """The fields of the NeighborGraph, how often edges lie within a labelling, and within pairs of labellings."""

def joined_both_ways(
    to: NDArray[np.int32], weight: NDArray[np.float32], threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The fields of NeighborGraph, from the neighbours (n, k) of each row and what it is to them."""

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
    """(r,) the weight and the number of edges within the labels (r, n)."""

# native/bind_layout.cpp: `layout.py` and `layout.hpp` say what these are.

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
    """(components, n) places after all rounds. ValueError where the arrays are no graph or do not fit."""

# native/bind_parallel.cpp: what every call with a tick goes through, for its tests.

def parallel_for(
    count: int, work: Callable[[int, int], object], threads: int, tick: Callable[[float], None] | None
) -> None:
    """Calls work(index, thread) for each index below `count` on so many threads, and meanwhile `tick` on the calling
    one ten times a second. What either raises leaves the call, once each thread has ended the piece it is at."""
