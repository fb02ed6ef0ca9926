"""Communities of the neighbour graph, at many resolutions, and what tells a good resolution.

The Leiden algorithm (Traag, Waltman and van Eck 2019) for modularity with a resolution (Reichardt and Bornholdt 2006)
or the constant Potts model. One run depends on the order of its visits; the consensus of several hardly does
(Lancichinetti and Fortunato 2012).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.engine import communities_twin, kernels
from shoal.engine.neighbor_graph import NeighborGraph
from shoal.engine.parallel import thread_count
from shoal.engine.plan import Progress, within

__all__ = ["Fitness", "community_layers", "community_runs", "consensus", "fitness", "within_graph"]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

_GROUPING: Final = 32.0
"""Runs of a consensus over many rows start from the groups that hold together at this resolution: a third of the time
for a hundredth of the quality."""
_FEW: Final = 50_000
_RUNS: Final = 10
"""Runs that a consensus is made of."""


def community_layers(
    graph: NeighborGraph, resolutions: Floats, seed: int, *, threads: int, progress: Progress
) -> Places:
    """(len(resolutions), n) the community of each row, 0..k-1 in the order of their first rows.

    All resolutions start from the small groups that hold together at the largest one, which none takes apart. The
    answer depends on the seed and the order of the rows, not on the number of threads. Reports to `progress` as
    "communities".
    """
    core = kernels.native() or communities_twin
    strength = graph.strength()
    found: Places = core.layers_of_communities(
        graph.start,
        graph.to,
        graph.weight,
        strength,
        float(strength.sum()),
        np.ascontiguousarray(resolutions, np.float64),
        seed,
        thread_count(threads),
        partial(progress, "communities"),
    )
    return found


def community_runs(
    graph: NeighborGraph,
    resolution: float,
    seeds: Sequence[int],
    *,
    rounds: int = 2,
    grouping: float = 0.0,
    strength: Floats | None = None,
    potts: bool = False,
    threads: int,
    progress: Progress,
) -> Places:
    """(len(seeds), n) the same at one resolution for each of the seeds, `rounds` rounds from single rows or, with a
    `grouping`, from the small groups that hold together at that resolution.

    `strength` (n,) is what rows count in the expectation, by default their weights in this graph; with `potts` each
    counts as one and nothing is divided by the total (constant Potts model).
    """
    core = kernels.native() or communities_twin
    if strength is None:
        strength = np.ones(graph.rows) if potts else graph.strength()
    found: Places = core.runs_of_communities(
        graph.start,
        graph.to,
        graph.weight,
        strength,
        1.0 if potts else float(strength.sum()),
        resolution,
        np.array([seed % (1 << 64) for seed in seeds], np.uint64),
        rounds,
        grouping,
        thread_count(threads),
        partial(progress, "communities"),
    )
    return found


@dataclass(frozen=True, slots=True)
class Fitness:
    """How well a layer fits: the resolution at which modularity would be the likelihood of a planted partition with
    the edge rates inside and between that the layer shows (Newman 2016), as a multiple of its own resolution; and the
    share of the edges that lie inside."""

    contrast: float
    inside: float


def fitness(graph: NeighborGraph, labels: Places, resolution: float) -> Fitness:
    """Of one layer, labels (n,)."""
    row = graph.row_of_edges()
    within = labels[row] == labels[graph.to]
    total = float(graph.weight.sum(dtype=np.float64))
    if total == 0:
        return Fitness(0.0, 0.0)
    strength = graph.strength()
    expected = float((np.bincount(labels, strength) ** 2).sum()) / total
    weight = float(graph.weight[within].sum(dtype=np.float64))
    if weight == 0:
        return Fitness(0.0, 0.0)
    inner, outer = weight / expected, (total - weight) / max(total - expected, 1e-12 * total)
    share = float(within.mean())
    if outer <= 0 or inner == outer:
        return Fitness(inner / resolution, share)
    return Fitness((inner - outer) / (np.log(inner) - np.log(outer)) / resolution, share)


def consensus(
    graph: NeighborGraph, resolution: float, seed: int, *, threads: int, progress: Progress
) -> tuple[Places, float]:
    """The communities of the graph whose edges count as often as ten runs put their ends together, (n,); and how much
    the runs agree: the mean over edges of whether a second run says what a first one says, 1 where all agree."""
    row = graph.row_of_edges()
    together = np.zeros(len(graph.to), np.float32)
    seeds = [seed * _RUNS + run for run in range(_RUNS)]
    part = within(progress, "communities", 0, 0.8)
    grouping = _GROUPING if graph.rows > _FEW else 0.0
    runs = community_runs(graph, resolution, seeds, grouping=grouping, threads=threads, progress=part)
    for labels in runs:
        together += labels[row] == labels[graph.to]
    together /= _RUNS
    agreed = _only(graph, together > 0, graph.weight * together)
    part = within(progress, "communities", 0.8, 1)
    found = community_runs(agreed, resolution, seeds[:1], threads=threads, progress=part)[0]
    pairs = (_RUNS * together**2 - together) / (_RUNS - 1)  # the share of pairs of runs that both put them together
    agreement = float(pairs.sum() / max(together.sum(), 1e-12))
    return found, agreement


def within_graph(graph: NeighborGraph, labels: Places) -> NeighborGraph:
    """The edges inside the communities `labels` (n,)."""
    row = graph.row_of_edges()
    return _only(graph, labels[row] == labels[graph.to], graph.weight)


def _only(graph: NeighborGraph, kept: NDArray[np.bool_], weight: NDArray[np.float32]) -> NeighborGraph:
    held = np.concatenate([[0], np.cumsum(kept)])[graph.start]
    return NeighborGraph(held.astype(np.int64), graph.to[kept], np.ascontiguousarray(weight[kept], np.float32))
