"""Which communities of the neighbour graph to show first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.elementary import exp, log
from shoal.engine.communities.leiden import (
    Fitness,
    find_community_layers,
    find_consensus,
    find_small_groups,
    score_layers,
)
from shoal.engine.communities.membership import walk_home
from shoal.engine.neighbors.graph import NeighborGraph
from shoal.engine.plan import Progress, scale_progress

__all__ = [
    "LAYER_STEP",
    "BaseCommunities",
    "Choice",
    "agreement_warning",
    "choose_layer",
    "find_base_communities",
    "finer_resolutions",
]
__all__ += ["rising_resolutions"]

Places = NDArray[np.int32]

_RESOLUTIONS: Final = 2.0 ** np.arange(-3.0, 5.01, 0.5)
"""Resolutions that are looked at."""
_MIN_CONTRAST: Final = 2.8
"""A layer stands out from chance while its contrast is this multiple of its resolution."""
_NEAR_BEST: Final = 0.95
"""Where none does, those within this share of the best one count."""
_MIN_INSIDE: Final = 0.5
"""A layer is one of communities while at least half of the edges lie inside (Radicchi et al. 2004, the weak sense)."""
_MIN_AGREEMENT: Final = 0.8
"""Runs that agree less than this saw no clear structure."""
LAYER_STEP: Final = 1.6
"""Layers differ in the number of clusters by this factor, at least."""
_LARGE: Final = 50_000
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
    scan = find_community_layers(graph, _RESOLUTIONS, _SEED, groups=groups, threads=threads, progress=progress)
    counts = (scan.max(axis=1, initial=-1) + 1).astype(np.int32)
    return _choose_finest(score_layers(graph, scan, _RESOLUTIONS.tolist(), threads), counts), counts


def _choose_finest(fits: Sequence[Fitness], counts: Places) -> Choice:
    several = [place for place in range(len(fits)) if counts[place] > 1 and fits[place].contrast > 0]
    if not several:
        return Choice(float(_RESOLUTIONS[0]), "no resolution tells groups apart")
    best = max(fits[place].contrast for place in several)
    limit = min(_MIN_CONTRAST, _NEAR_BEST * best)
    place = max(place for place in several if fits[place].contrast >= limit)
    contrasts = [float(log(max(fit.contrast, 1e-9))) for fit in fits]
    resolution = _interpolate_resolution(place, contrasts, float(log(limit)))
    reason = "the finest layer that stands out from chance"
    if best < _MIN_CONTRAST:
        reason = "no layer stands out from chance; this one comes nearest"
    shares = [fit.inside for fit in fits]
    held = max((place for place in several if shares[place] >= _MIN_INSIDE), default=several[0])
    compact = _interpolate_resolution(held, shares, _MIN_INSIDE)
    if compact < resolution:
        return Choice(compact, "finer layers cut more than half of the ties between neighbours")
    return Choice(resolution, reason)


def _interpolate_resolution(place: int, values: Sequence[float], limit: float) -> float:
    """The resolution at which the values fall to the limit, between a point of the grid and the next one."""
    here, beyond = values[place], values[min(place + 1, len(values) - 1)]
    share = 1.0 if beyond >= limit else float(np.clip((here - limit) / max(here - beyond, 1e-12), 0.0, 1.0))
    return float(exp(np.interp(place + share, np.arange(len(_RESOLUTIONS)), log(_RESOLUTIONS))))


@dataclass(frozen=True, slots=True)
class BaseCommunities:
    """The clusters that the data show, from which coarser and finer ones are made: `communities` (n,) of the rows of
    the graph at the resolution of `choice`, how far runs of them agree, and the number of communities at each
    resolution of the grid, `counts` (17,)."""

    communities: Places
    choice: Choice
    counts: Places
    agreement: float
    groups: Places | None
    """(n,) what finer runs never take apart; None where they start from single rows."""


def find_base_communities(graph: NeighborGraph, seed: int, threads: int, progress: Progress) -> BaseCommunities:
    """The communities to show first. Reports to `progress`."""
    groups = find_small_groups(graph, threads, scale_progress(progress, "cluster", 0, 0.2))
    choice, counts = choose_layer(graph, groups, threads, scale_progress(progress, "cluster", 0.2, 0.5))
    base = groups if graph.rows > _LARGE else None
    part = scale_progress(progress, "cluster", 0.5, 1)
    agreed, agreement = find_consensus(graph, choice.resolution, seed, groups=base, threads=threads, progress=part)
    home = np.unique(walk_home(graph, agreed, threads)[0], return_inverse=True)[1].astype(np.int32)
    return BaseCommunities(home, choice, counts, agreement, base)


def finer_resolutions(ground: BaseCommunities) -> list[float]:
    """Resolutions of the grid above that of the ground, each with 1.6 times as many communities as the one before."""
    last = float(np.interp(log(ground.choice.resolution), log(_RESOLUTIONS), ground.counts))
    found = []
    for place in np.flatnonzero(ground.choice.resolution < _RESOLUTIONS).tolist():
        if float(ground.counts[place]) >= LAYER_STEP * last:
            found.append(float(_RESOLUTIONS[place]))
            last = float(ground.counts[place])
    return found


def rising_resolutions(ground: BaseCommunities) -> list[float]:
    """All resolutions above that of the ground, from those of the grid to one at which only copies hold together."""
    beyond = _RESOLUTIONS[-1] * 2.0 ** np.arange(0.5, 8.01, 0.5)
    return [one for one in [*_RESOLUTIONS.tolist(), *beyond.tolist()] if one > ground.choice.resolution]


def agreement_warning(agreement: float) -> str | None:
    """What to warn of where independent runs disagree."""
    if agreement >= _MIN_AGREEMENT:
        return None
    return (
        f"No clear structure: independent runs agree on {agreement:.0%} of what belongs together. The clusters are one "
        "way among several to divide these documents."
    )
