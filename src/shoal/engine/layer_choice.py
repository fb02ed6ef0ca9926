"""Finds the layers of the neighbour graph, and which of them to show first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.elementary import exp, log
from shoal.engine.belonging import walk_home
from shoal.engine.communities import (
    Fitness,
    common_groups,
    community_layers,
    community_runs,
    consensus,
    fitness,
    small_groups,
)
from shoal.engine.neighbor_graph import NeighborGraph
from shoal.engine.plan import Progress, within

__all__ = ["Choice", "agreement_note", "choose_layer", "find_layers"]

Places = NDArray[np.int32]

_GRID: Final = 2.0 ** np.arange(-3.0, 5.01, 0.5)
"""Resolutions that are looked at."""
_COARSEST: Final = 4
"""Points of the grid that tell how the number of communities goes on below it."""
_LEAST: Final = 2.0**-9
"""The resolution that is gone down to where few clusters are asked for."""
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
_NEAR: Final = 0.1
"""A number of clusters is met within this share of it; else the resolution is corrected, twice at most."""
_MANY: Final = 50_000
"""Above so many rows all runs start from small groups: a third of the time for a hundredth of the quality."""
_SEED: Final = 0
"""Of the look over all resolutions, so that the layer chosen does not depend on the caller's seed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A resolution, and the reason for it in words."""

    resolution: float
    reason: str


def choose_layer(
    graph: NeighborGraph, wanted: int | None, groups: Places | None, threads: int, progress: Progress
) -> tuple[Choice, Places]:
    """The resolution to show first, and the number of communities at each resolution of the grid, (17,).

    It is the finest whose contrast stands out from chance and that leaves half of the edges inside, told between the
    points of the grid, so that no small change of the data moves it far; or with `wanted` that whose number of
    communities is nearest. Reports to `progress`.
    """
    scan = community_layers(graph, _GRID, _SEED, groups=groups, threads=threads, progress=progress)
    counts = (scan.max(axis=1, initial=-1) + 1).astype(np.int32)
    if wanted is not None:
        return Choice(_with_count(counts, wanted), f"the layer nearest to the {wanted} clusters asked for"), counts
    return _finest(fitness(graph, scan, _GRID.tolist(), threads), counts), counts


def _with_count(counts: Places, wanted: float) -> float:
    """The resolution with about so many communities, told between the points of the grid or on the line of its coarsest
    ones."""
    rising = log(np.maximum.accumulate(np.maximum(counts, 1)) + 1e-6 * np.arange(len(counts)))
    place, grid = float(log(wanted)), log(_GRID)
    if place >= rising[0]:
        return float(exp(np.interp(place, rising, grid)))
    slope = (grid[_COARSEST] - grid[0]) / max(rising[_COARSEST] - rising[0], 0.1)
    return float(exp(max(grid[0] + (place - rising[0]) * slope, float(log(_LEAST)))))


def _finest(fits: Sequence[Fitness], counts: Places) -> Choice:
    several = [place for place in range(len(fits)) if counts[place] > 1 and fits[place].contrast > 0]
    if not several:
        return Choice(float(_GRID[0]), "no resolution tells groups apart")
    best = max(fits[place].contrast for place in several)
    limit = min(_CONTRAST, _NEARLY * best)
    place = max(place for place in several if fits[place].contrast >= limit)
    contrasts = [float(log(max(fit.contrast, 1e-9))) for fit in fits]
    resolution = _between(place, contrasts, float(log(limit)))
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
    return float(exp(np.interp(place + share, np.arange(len(_GRID)), log(_GRID))))


def find_layers(
    graph: NeighborGraph, wanted: int | None, seed: int, threads: int, progress: Progress
) -> tuple[list[tuple[float, Places]], int, Choice, float]:
    """Resolution and communities (n,) of each layer from coarse to fine, the place of the chosen one, the choice, and
    how far runs of it agree. Coarser layers join communities of the chosen one, finer ones split them."""
    groups = small_groups(graph, threads, within(progress, "cluster", 0, 0.2))
    choice, counts = choose_layer(graph, wanted, groups, threads, within(progress, "cluster", 0.2, 0.4))
    base = groups if graph.rows > _MANY else None

    def agree(resolution: float, start: float, stop: float) -> tuple[Places, float]:
        part = within(progress, "cluster", start, stop)
        agreed, agreement = consensus(graph, resolution, seed, groups=base, threads=threads, progress=part)
        return np.unique(walk_home(graph, agreed, threads)[0], return_inverse=True)[1].astype(np.int32), agreement

    chosen, agreement = agree(choice.resolution, 0.4, 0.6)
    # A consensus has more communities than a single run, by which the resolution was chosen.
    aim = float(wanted or 0)
    for start, stop in ((0.6, 0.7), (0.7, 0.8)) if wanted is not None else ():
        count = int(chosen.max()) + 1
        if wanted is None or abs(count - wanted) <= _NEAR * wanted:
            break
        aim *= wanted / count
        other = replace(choice, resolution=_with_count(counts, max(aim, 1.5)))
        found, agreed = agree(other.resolution, start, stop)
        if abs(int(found.max()) + 1 - wanted) < abs(count - wanted):
            chosen, agreement, choice = found, agreed, other
    part = within(progress, "cluster", 0.8, 1)
    runs = _Splits(graph, base, graph.strength(), seed, threads, part)
    finer = runs.finer(chosen, _outward(counts, choice.resolution, 1))
    coarser = runs.coarser(chosen, _outward(counts, choice.resolution, -1))
    layers = [*reversed(coarser), (choice.resolution, chosen), *finer]
    return layers, len(coarser), choice, agreement


def _outward(counts: Places, resolution: float, side: int) -> list[float]:
    """Resolutions of the grid on one side of the chosen one, each with a number of communities 1.6 times away."""
    places = np.flatnonzero(resolution < _GRID) if side > 0 else np.flatnonzero(resolution > _GRID)[::-1]
    last = float(np.interp(log(resolution), log(_GRID), counts))
    found = []
    for place in places.tolist():
        count = float(counts[place])
        if count > 1 and max(count / last, last / count) >= _STEP:
            found.append(float(_GRID[place]))
            last = count
    return found


@dataclass(frozen=True, slots=True)
class _Splits:
    """Layers around a chosen one."""

    graph: NeighborGraph
    groups: Places | None
    strength: NDArray[np.float64]
    seed: int
    threads: int
    progress: Progress

    def finer(self, chosen: Places, resolutions: list[float]) -> list[tuple[float, Places]]:
        found, last = list[tuple[float, Places]](), chosen
        for resolution in resolutions:
            groups = None if self.groups is None else common_groups(np.stack([self.groups, last]))
            last = self._run(self.graph, resolution, self.strength, groups, last)
            found.append((resolution, last))
        return found

    def coarser(self, chosen: Places, resolutions: list[float]) -> list[tuple[float, Places]]:
        found, last = list[tuple[float, Places]](), chosen
        between = self.graph.joined(chosen, self.threads) if resolutions else self.graph
        strength = np.bincount(chosen, self.strength).astype(np.float64)
        for resolution in resolutions:
            of_groups = self._run(between, resolution, strength, None, None)
            if int(of_groups.max()) + 1 in (1, between.rows):
                continue
            between = between.joined(of_groups, self.threads)
            strength = np.bincount(of_groups, strength).astype(np.float64)
            last = of_groups[last]
            found.append((resolution, last))
        return found

    def _run(
        self,
        graph: NeighborGraph,
        resolution: float,
        strength: NDArray[np.float64],
        groups: Places | None,
        inside: Places | None,
    ) -> Places:
        found = community_runs(
            graph,
            resolution,
            [self.seed],
            groups=groups,
            within=inside,
            strength=strength,
            threads=self.threads,
            progress=self.progress,
        )
        return found.reshape(-1)


def agreement_note(agreement: float) -> str | None:
    """What to warn of where independent runs disagree."""
    if agreement >= _CLEAR:
        return None
    return (
        f"No clear structure: independent runs agree on {agreement:.0%} of what belongs together. The clusters are one "
        "way among several to divide these documents."
    )
