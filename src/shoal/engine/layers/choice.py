"""Chooses the resolution of the communities to show first."""

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
"""Resolutions that are evaluated."""
_MIN_CONTRAST: Final = 2.8
"""A layer stands out from chance if its contrast is at least this multiple of its resolution."""
_NEAR_BEST: Final = 0.95
"""If none stands out, layers within this fraction of the best one qualify."""
_MIN_INSIDE: Final = 0.5
"""Communities must contain at least this fraction of the edges (Radicchi et al. 2004, in the weak sense)."""
_MIN_AGREEMENT: Final = 0.8
"""Less agreement between runs means that there is no clear structure."""
LAYER_STEP: Final = 1.6
"""Minimum ratio of cluster counts between successive layers."""
_LARGE: Final = 50_000
"""Above this many rows all runs start from small groups: a third of the time at a cost of a hundredth of the
quality."""
_SEED: Final = 0
"""Fixed for the evaluation of resolutions, so that the choice does not depend on the caller's seed."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A resolution and the reason for it."""

    resolution: float
    reason: str


def choose_layer(
    graph: NeighborGraph, groups: Places | None, threads: int, progress: Progress
) -> tuple[Choice, Places]:
    """The resolution to show first, and the number of communities at each resolution of the grid, (17,).

    The finest whose contrast stands out from chance and that keeps half of the edges inside, interpolated between grid
    points, so that small changes of the data do not move it far. Reports to `progress`.
    """
    scan = find_community_layers(graph, _RESOLUTIONS, _SEED, groups=groups, threads=threads, progress=progress)
    counts = (scan.max(axis=1, initial=-1) + 1).astype(np.int32)
    return _choose_finest(score_layers(graph, scan, _RESOLUTIONS.tolist(), threads), counts), counts


def _choose_finest(fits: Sequence[Fitness], counts: Places) -> Choice:
    candidates = [place for place in range(len(fits)) if counts[place] > 1 and fits[place].contrast > 0]
    if not candidates:
        return Choice(float(_RESOLUTIONS[0]), "no resolution separates groups")
    best = max(fits[place].contrast for place in candidates)
    limit = min(_MIN_CONTRAST, _NEAR_BEST * best)
    place = max(place for place in candidates if fits[place].contrast >= limit)
    contrasts = [float(log(max(fit.contrast, 1e-9))) for fit in fits]
    resolution = _interpolate_resolution(place, contrasts, float(log(limit)))
    reason = "the finest layer that stands out from chance"
    if best < _MIN_CONTRAST:
        reason = "no layer stands out from chance; this one comes closest"
    shares = [fit.inside for fit in fits]
    last_compact = max((place for place in candidates if shares[place] >= _MIN_INSIDE), default=candidates[0])
    compact = _interpolate_resolution(last_compact, shares, _MIN_INSIDE)
    if compact < resolution:
        return Choice(compact, "finer layers cut more than half of the ties between neighbours")
    return Choice(resolution, reason)


def _interpolate_resolution(place: int, values: Sequence[float], limit: float) -> float:
    """The resolution at which the values fall to the limit, between a grid point and the next one."""
    here, beyond = values[place], values[min(place + 1, len(values) - 1)]
    share = 1.0 if beyond >= limit else float(np.clip((here - limit) / max(here - beyond, 1e-12), 0.0, 1.0))
    return float(exp(np.interp(place + share, np.arange(len(_RESOLUTIONS)), log(_RESOLUTIONS))))


@dataclass(frozen=True, slots=True)
class BaseCommunities:
    """The natural clusters, from which coarser and finer ones are derived: `communities` (n,) of the rows of the graph
    at the resolution of `choice`, their agreement between runs, and the number of communities at each resolution of the
    grid, `counts` (17,)."""

    communities: Places
    choice: Choice
    counts: Places
    agreement: float
    groups: Places | None
    """(n,) groups that finer runs never split; None if they start from single rows."""


def find_base_communities(graph: NeighborGraph, seed: int, threads: int, progress: Progress) -> BaseCommunities:
    """The communities to show first. Reports to `progress`."""
    groups = find_small_groups(graph, threads, scale_progress(progress, "cluster", 0, 0.2))
    choice, counts = choose_layer(graph, groups, threads, scale_progress(progress, "cluster", 0.2, 0.5))
    base = groups if graph.rows > _LARGE else None
    part = scale_progress(progress, "cluster", 0.5, 1)
    agreed, agreement = find_consensus(graph, choice.resolution, seed, groups=base, threads=threads, progress=part)
    home = np.unique(walk_home(graph, agreed, threads)[0], return_inverse=True)[1].astype(np.int32)
    return BaseCommunities(home, choice, counts, agreement, base)


def finer_resolutions(base: BaseCommunities) -> list[float]:
    """Grid resolutions above the chosen one, each with 1.6 times as many communities as the one before."""
    last = float(np.interp(log(base.choice.resolution), log(_RESOLUTIONS), base.counts))
    selected = []
    for place in np.flatnonzero(base.choice.resolution < _RESOLUTIONS).tolist():
        if float(base.counts[place]) >= LAYER_STEP * last:
            selected.append(float(_RESOLUTIONS[place]))
            last = float(base.counts[place])
    return selected


def rising_resolutions(base: BaseCommunities) -> list[float]:
    """All resolutions above the chosen one, from the grid up to one at which only copies stay together."""
    beyond = _RESOLUTIONS[-1] * 2.0 ** np.arange(0.5, 8.01, 0.5)
    return [value for value in [*_RESOLUTIONS.tolist(), *beyond.tolist()] if value > base.choice.resolution]


def agreement_warning(agreement: float) -> str | None:
    """Warn if independent runs disagree."""
    if agreement >= _MIN_AGREEMENT:
        return None
    return (
        f"No clear structure: independent runs agree on {agreement:.0%} of neighbouring pairs. The clusters are one of "
        "several ways to divide these documents."
    )
