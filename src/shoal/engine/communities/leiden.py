"""Communities of the neighbour graph at many resolutions, and measures for choosing one.

The Leiden algorithm (Traag, Waltman and van Eck 2019) for modularity with a resolution (Reichardt and Bornholdt 2006)
or the constant Potts model. A single run depends on its visiting order; the consensus of several hardly does
(Lancichinetti and Fortunato 2012).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.elementary import log
from shoal.engine import kernels
from shoal.engine.communities import leiden_reference
from shoal.engine.neighbors.graph import NeighborGraph
from shoal.engine.parallel import thread_count
from shoal.engine.plan import Progress
from shoal.engine.plan import scale_progress as part_of

__all__ = [
    "Fitness",
    "find_community_layers",
    "find_consensus",
    "find_small_groups",
    "intersect_groups",
    "run_leiden",
    "score_layers",
]

Places = NDArray[np.int32]
Floats = NDArray[np.float64]

_GROUP_RESOLUTION: Final = 32.0
"""The resolution at which small groups are found."""
_MAX_GROUPS: Final = 16_384
"""Maximum number of groups that runs over many rows start from."""
_RUNS: Final = 10
"""Runs per consensus: with five, another seed moves twice as many rows."""
_FIRST_RUNS: Final = 4
_ENOUGH_AGREEMENT: Final = 0.95
"""Runs from the same groups differ less: four are enough if they agree by this share."""


def find_small_groups(graph: NeighborGraph, threads: int, progress: Progress) -> Places:
    """(n,) groups that stay together at a resolution above those of interest, numbered by first row: the start of runs
    over many rows. Reports to `progress` as "communities"."""
    core = kernels.native() or leiden_reference
    tick = partial(progress, "communities")
    threads = thread_count(threads)
    groups: Places = core.groups_of_vertices(
        *_graph_arguments(graph, graph.strength()), _GROUP_RESOLUTION, _MAX_GROUPS, threads, tick
    )
    return groups.reshape(-1)


def intersect_groups(layers: Places) -> Places:
    """(n,) groups of rows that no layer of (r, n) separates, numbered by first row."""
    core = kernels.native() or leiden_reference
    groups: Places = core.common_groups(np.ascontiguousarray(layers, np.int32))
    return groups


def find_community_layers(
    graph: NeighborGraph,
    resolutions: Floats,
    seed: int,
    *,
    groups: Places | None = None,
    threads: int,
    progress: Progress,
) -> Places:
    """(len(resolutions), n) the community of each row, numbered by first row.

    `groups` (n,) are never split; beyond 4096 rows or groups, small ones that stay together at the largest resolution
    are merged first. The result depends on the seed and on row order, not on the number of threads. Reports to
    `progress` as "communities".
    """
    core = kernels.native() or leiden_reference
    layers: Places = core.layers_of_communities(
        *_graph_arguments(graph, graph.strength()),
        groups,
        np.ascontiguousarray(resolutions, np.float64),
        seed,
        thread_count(threads),
        partial(progress, "communities"),
    )
    return layers


def run_leiden(
    graph: NeighborGraph,
    resolution: float,
    seeds: Sequence[int],
    *,
    rounds: int = 2,
    groups: Places | None = None,
    within: Places | None = None,
    strength: Floats | None = None,
    potts: bool = False,
    threads: int,
    progress: Progress,
) -> Places:
    """(len(seeds), n) communities at one resolution for each of the seeds, numbered by first row.

    Parameters
    ----------
    rounds
        Iterations, from single rows or from `groups`.
    groups
        (n,) groups that are never split.
    within
        (n,) edges between different values do not count.
    strength
        (n,) weights of the rows in the expectation, by default their degrees in this graph.
    potts
        Constant Potts model: each row has weight one and nothing is divided by the total.
    """
    core = kernels.native() or leiden_reference
    if strength is None:
        strength = np.ones(graph.rows) if potts else graph.strength()
    runs: Places = core.runs_of_communities(
        *_graph_arguments(graph, strength, 1.0 if potts else None),
        groups,
        within,
        resolution,
        np.array([seed % (1 << 64) for seed in seeds], np.uint64),
        rounds,
        thread_count(threads),
        partial(progress, "communities"),
    )
    return runs


def _graph_arguments(
    graph: NeighborGraph, strength: Floats, total: float | None = None
) -> tuple[NDArray[np.int64], Places, NDArray[np.float32], Floats, float]:
    return graph.start, graph.to, graph.weight, strength, float(strength.sum()) if total is None else total


@dataclass(frozen=True, slots=True)
class Fitness:
    """Fit of a layer: the resolution at which modularity is the likelihood of a planted partition with the edge rates
    inside and between communities of the layer (Newman 2016), as a multiple of its own resolution; and the fraction of
    edges inside communities."""

    contrast: float
    inside: float


def score_layers(graph: NeighborGraph, layers: Places, resolutions: Sequence[float], threads: int) -> list[Fitness]:
    """Fitness of each of the layers (r, n)."""
    core = kernels.native() or leiden_reference
    layers = np.ascontiguousarray(layers, np.int32)
    weights, edges = core.weights_within(graph.start, graph.to, graph.weight, layers, thread_count(threads))
    strength = graph.strength()
    total = float(np.cumsum(strength)[-1]) if len(strength) else 0.0
    scores = []
    for labels, weight, inside, resolution in zip(layers, weights.tolist(), edges.tolist(), resolutions, strict=True):
        expected = float((np.bincount(labels, strength) ** 2).sum()) / max(total, 1e-300)
        share = inside / max(len(graph.to), 1)
        scores.append(Fitness(_compute_contrast(weight, expected, total) / resolution, share))
    return scores


def _compute_contrast(weight: float, expected: float, total: float) -> float:
    """The resolution of the planted partition, given the weight inside communities, its expectation and the total."""
    if weight == 0:
        return 0.0
    inner, outer = weight / expected, (total - weight) / max(total - expected, 1e-12 * total)
    if outer <= 0 or inner == outer:
        return inner
    return float((inner - outer) / (log(inner) - log(outer)))


def find_consensus(
    graph: NeighborGraph,
    resolution: float,
    seed: int,
    *,
    groups: Places | None = None,
    threads: int,
    progress: Progress,
) -> tuple[Places, float]:
    """Communities (n,) of the graph whose edges are weighted by how often several runs put both ends together; and the
    agreement of the runs: the mean over edges of whether a second run confirms a first one, 1 if all agree.

    Ten runs, or four of those from given `groups` (n,) if they agree. Rows that all runs put together stay together
    (Ovelgoenne and Geyer-Schulz 2012).
    """
    seeds = [seed * _RUNS + run for run in range(_RUNS)]
    run_seeds = partial(run_leiden, graph, resolution, groups=groups, threads=threads)
    first = _RUNS if groups is None else _FIRST_RUNS
    runs = run_seeds(seeds[:first], progress=part_of(progress, "communities", 0, 0.4))
    agreed, agreement = _weigh_by_agreement(graph, runs, threads)
    if first < _RUNS and agreement < _ENOUGH_AGREEMENT:
        more = run_seeds(seeds[first:], progress=part_of(progress, "communities", 0.4, 0.8))
        runs = np.concatenate([runs, more])
        agreed, agreement = _weigh_by_agreement(graph, runs, threads)
    part = part_of(progress, "communities", 0.8, 1)
    common = intersect_groups(runs)
    return run_leiden(agreed, resolution, seeds[:1], groups=common, threads=threads, progress=part)[0], agreement


def _weigh_by_agreement(graph: NeighborGraph, runs: Places, threads: int) -> tuple[NeighborGraph, float]:
    """The graph weighted by how often the runs (r, n) put both ends of an edge together, and their agreement."""
    core = kernels.native() or leiden_reference
    *fields, together, pairs = core.agreed_graph(graph.start, graph.to, graph.weight, runs, thread_count(threads))
    return NeighborGraph(*fields), float(pairs) / max(float(together) * (len(runs) - 1), 1.0)
