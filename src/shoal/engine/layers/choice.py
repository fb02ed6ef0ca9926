"""Which communities of the neighbour graph to show first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.elementary import exp, log
from shoal.engine.communities.belonging import walk_home
from shoal.engine.communities.leiden import (
    Fitness,
    community_layers,
    consensus,
    fitness,
    small_groups,
)
from shoal.engine.neighbors.graph import NeighborGraph
from shoal.engine.plan import Progress, within

__all__ = ["LAYER_STEP", "Choice", "Ground", "agreement_note", "choose_layer", "find_ground", "finer_resolutions"]
__all__ += ["rising_resolutions"]

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
LAYER_STEP: Final = 1.6
"""Layers differ in the number of clusters by this factor, at least."""
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
    graph: NeighborGraph, groups: Places | None, threads: int, progress: Progress
) -> tuple[Choice, Places]:
    """The resolution to show first, and the number of communities at each resolution of the grid, (17,).

    It is the finest whose contrast stands out from chance and that leaves half of the edges inside, told between the
    points of the grid, so that no small change of the data moves it far. Reports to `progress`.
    """
    scan = community_layers(graph, _GRID, _SEED, groups=groups, threads=threads, progress=progress)
    counts = (scan.max(axis=1, initial=-1) + 1).astype(np.int32)
    return _finest(fitness(graph, scan, _GRID.tolist(), threads), counts), counts


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


@dataclass(frozen=True, slots=True)
class Ground:
    """The clusters that the data show, from which coarser and finer ones are made: `communities` (n,) of the rows of
    the graph at the resolution of `choice`, how far runs of them agree, and the number of communities at each
    resolution of the grid, `counts` (17,)."""

    communities: Places
    choice: Choice
    counts: Places
    agreement: float
    groups: Places | None
    """(n,) what finer runs never take apart; None where they start from single rows."""


def find_ground(graph: NeighborGraph, seed: int, threads: int, progress: Progress) -> Ground:
    """The communities to show first. Reports to `progress`."""
    groups = small_groups(graph, threads, within(progress, "cluster", 0, 0.2))
    choice, counts = choose_layer(graph, groups, threads, within(progress, "cluster", 0.2, 0.5))
    base = groups if graph.rows > _MANY else None
    part = within(progress, "cluster", 0.5, 1)
    agreed, agreement = consensus(graph, choice.resolution, seed, groups=base, threads=threads, progress=part)
    home = np.unique(walk_home(graph, agreed, threads)[0], return_inverse=True)[1].astype(np.int32)
    return Ground(home, choice, counts, agreement, base)


def finer_resolutions(ground: Ground) -> list[float]:
    """Resolutions of the grid above that of the ground, each with 1.6 times as many communities as the one before."""
    last = float(np.interp(log(ground.choice.resolution), log(_GRID), ground.counts))
    found = []
    for place in np.flatnonzero(ground.choice.resolution < _GRID).tolist():
        if float(ground.counts[place]) >= LAYER_STEP * last:
            found.append(float(_GRID[place]))
            last = float(ground.counts[place])
    return found


def rising_resolutions(ground: Ground) -> list[float]:
    """All resolutions above that of the ground, from those of the grid to one at which only copies hold together."""
    beyond = _GRID[-1] * 2.0 ** np.arange(0.5, 8.01, 0.5)
    return [one for one in [*_GRID.tolist(), *beyond.tolist()] if one > ground.choice.resolution]


def agreement_note(agreement: float) -> str | None:
    """What to warn of where independent runs disagree."""
    if agreement >= _CLEAR:
        return None
    return (
        f"No clear structure: independent runs agree on {agreement:.0%} of what belongs together. The clusters are one "
        "way among several to divide these documents."
    )
