"""Finds the layers of the neighbour graph, and which of them to show first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.engine.belonging import walk_home
from shoal.engine.communities import Fitness, community_layers, community_runs, consensus, fitness, within_graph
from shoal.engine.neighbor_graph import NeighborGraph
from shoal.engine.plan import Progress, within

__all__ = ["Choice", "agreement_note", "choose_layer", "find_layers"]

Places = NDArray[np.int32]

_GRID: Final = 2.0 ** np.arange(-3.0, 5.01, 0.5)
"""Resolutions that are looked at."""
_CONTRAST: Final = 2.8
"""A layer stands out from chance while its contrast is this multiple of its resolution."""
_NEARLY: Final = 0.95
"""Where none does, those within this share of the best one count."""
_INSIDE: Final = 0.5
"""A layer is one of communities while at least half of the edges lie inside (Radicchi et al. 2004, the weak sense)."""
_CLEAR: Final = 0.8
"""Runs that agree less than this saw no clear structure."""
_STEP: Final = 1.6
"""Layers differ in the number of clusters by this factor, at least."""
_SEED: Final = 0
"""Of the look over all resolutions, so that the layer chosen does not depend on the caller's seed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A resolution, and the reason for it in words."""

    resolution: float
    reason: str


def choose_layer(graph: NeighborGraph, wanted: int | None, threads: int, progress: Progress) -> tuple[Choice, Places]:
    """The resolution to show first, and the number of communities at each resolution of the grid, (17,).

    It is the finest whose contrast stands out from chance and that leaves half of the edges inside, told between the
    points of the grid, so that no small change of the data moves it far; or with `wanted` that whose number of
    communities is nearest. Reports to `progress`.
    """
    scan = community_layers(graph, _GRID, _SEED, threads=threads, progress=progress)
    counts = (scan.max(axis=1, initial=-1) + 1).astype(np.int32)
    if wanted is not None:
        place = int(np.argmin(np.abs(np.log(np.maximum(counts, 1) / wanted))))
        return Choice(float(_GRID[place]), f"the layer nearest to the {wanted} clusters asked for"), counts
    fits = [fitness(graph, labels, resolution) for labels, resolution in zip(scan, _GRID.tolist(), strict=True)]
    return _finest(fits, counts), counts


def _finest(fits: Sequence[Fitness], counts: Places) -> Choice:
    several = [place for place in range(len(fits)) if counts[place] > 1 and fits[place].contrast > 0]
    if not several:
        return Choice(float(_GRID[0]), "no resolution tells groups apart")
    best = max(fits[place].contrast for place in several)
    limit = min(_CONTRAST, _NEARLY * best)
    place = max(place for place in several if fits[place].contrast >= limit)
    contrasts = [float(np.log(max(fit.contrast, 1e-9))) for fit in fits]
    resolution = _between(place, contrasts, float(np.log(limit)))
    reason = "the finest layer that stands out from chance"
    if best < _CONTRAST:
        reason = "no layer stands out from chance; this one comes nearest"
    shares = [fit.inside for fit in fits]
    held = max((place for place in several if shares[place] >= _INSIDE), default=several[0])
    compact = _between(held, shares, _INSIDE)
    if compact < resolution:
        return Choice(compact, "finer layers cut more than half of the ties between neighbours")
    return Choice(resolution, reason)


def _between(place: int, values: Sequence[float], limit: float) -> float:
    """The resolution at which the values fall to the limit, between a point of the grid and the next one."""
    here, beyond = values[place], values[min(place + 1, len(values) - 1)]
    share = 1.0 if beyond >= limit else float(np.clip((here - limit) / max(here - beyond, 1e-12), 0.0, 1.0))
    return float(np.exp(np.interp(place + share, np.arange(len(_GRID)), np.log(_GRID))))


def find_layers(
    graph: NeighborGraph, wanted: int | None, seed: int, threads: int, progress: Progress
) -> tuple[list[tuple[float, Places]], int, Choice, float]:
    """Resolution and communities (n,) of each layer from coarse to fine, the place of the chosen one, the choice, and
    how far runs of it agree. Coarser layers join communities of the chosen one, finer ones split them."""
    choice, counts = choose_layer(graph, wanted, threads, within(progress, "cluster", 0, 0.3))
    part = within(progress, "cluster", 0.3, 0.8)
    agreed, agreement = consensus(graph, choice.resolution, seed, threads=threads, progress=part)
    chosen = np.unique(walk_home(graph, agreed)[0], return_inverse=True)[1].astype(np.int32)
    part = within(progress, "cluster", 0.8, 1)
    finer = _finer(graph, chosen, _outward(counts, choice.resolution, 1), seed, threads, part)
    coarser = _coarser(graph, chosen, _outward(counts, choice.resolution, -1), seed, threads, part)
    layers = [*reversed(coarser), (choice.resolution, chosen), *finer]
    return layers, len(coarser), choice, agreement


def _outward(counts: Places, resolution: float, side: int) -> list[float]:
    """Resolutions of the grid on one side of the chosen one, each with a number of communities 1.6 times away."""
    places = np.flatnonzero(resolution < _GRID) if side > 0 else np.flatnonzero(resolution > _GRID)[::-1]
    last = float(np.interp(np.log(resolution), np.log(_GRID), counts))
    found = []
    for place in places.tolist():
        count = float(counts[place])
        if count > 1 and max(count / last, last / count) >= _STEP:
            found.append(float(_GRID[place]))
            last = count
    return found


def _finer(
    graph: NeighborGraph, chosen: Places, resolutions: list[float], seed: int, threads: int, progress: Progress
) -> list[tuple[float, Places]]:
    found, last = list[tuple[float, Places]](), chosen
    for resolution in resolutions:
        inner = within_graph(graph, last)
        last = community_runs(inner, resolution, [seed], strength=graph.strength(), threads=threads, progress=progress)[
            0
        ]
        found.append((resolution, last))
    return found


def _coarser(
    graph: NeighborGraph, chosen: Places, resolutions: list[float], seed: int, threads: int, progress: Progress
) -> list[tuple[float, Places]]:
    found, last = list[tuple[float, Places]](), chosen
    for resolution in resolutions:
        between = graph.joined(last)
        strength = np.bincount(last, graph.strength()).astype(np.float64)
        of_groups = community_runs(between, resolution, [seed], strength=strength, threads=threads, progress=progress)[
            0
        ]
        if int(of_groups.max()) + 1 in (1, between.rows):
            continue
        last = of_groups[last]
        found.append((resolution, last))
    return found


def agreement_note(agreement: float) -> str | None:
    """What to warn of where independent runs disagree."""
    if agreement >= _CLEAR:
        return None
    return (
        f"No clear structure: independent runs agree on {agreement:.0%} of what belongs together. The clusters are one "
        "way among several to divide these documents."
    )
