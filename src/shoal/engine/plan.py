"""What goes into the engine and what comes out. Already checked when it gets here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points, Rows
from shoal.engine.density import Density
from shoal.engine.layers import Layers

__all__ = ["CentroidMethod", "DistanceMetric", "Outcome", "Plan", "Progress", "silent", "within"]

CentroidMethod = Literal["mean", "median", "medoid"]
DistanceMetric = Literal["cosine", "euclidean"]
Progress: TypeAlias = Callable[[str, float], None]
"""Called with a stage name and the fraction of it that is done; may raise Cancelled."""


def silent(stage: str, fraction: float) -> None:
    """The progress of somebody who does not want to know."""


def within(progress: Progress, stage: str, start: float, stop: float) -> Progress:
    """A progress for a part of a stage: whatever it is told counts from `start` to `stop` of that stage."""
    return lambda _, fraction: progress(stage, start + (stop - start) * fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One clustering, told completely."""

    algorithm: str
    """A name in `ALGORITHMS`."""
    params: Mapping[str, object] = field(default_factory=dict)
    """Keyword arguments of that algorithm's Params."""
    normalize: bool = True
    """Scale each row to unit length first, so that Euclidean order is cosine order. Zero rows are refused."""
    centroid_method: CentroidMethod = "mean"
    sample_size: int | None = None
    """Fit on this many rows, chosen uniformly; all others are assigned to the clusters found."""
    hierarchy_depth: int = 1
    """Levels of granularity, the clusters themselves counted."""
    components: Literal[0, 2, 3] = 2
    """Dimensions of the map; 0 for none."""
    seed: int = 42
    threads: int = 0
    """0 takes all cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A clustering of n rows into k clusters."""

    labels: Labels
    strengths: NDArray[np.float32]
    """(n,) membership strength in 0..1; 0 for noise."""
    distances: NDArray[np.float32]
    """(n,) distance to the row's own centroid in `distance_metric`; NaN for noise."""
    centroids: Points
    """(k, d) in the space that was clustered (unit length rows averaged where `normalize`)."""
    medoids: Rows
    """(k,) the member with the smallest mean distance to the members (to at most 2,000 of them, seeded)."""
    representatives: Sequence[Rows]
    """For each cluster the rows of up to 5 members nearest to the centroid, nearest first."""
    coordinates: NDArray[np.float32] | None
    """(n, 2 or 3), or None where no map was asked for."""
    metrics: Mapping[str, float | None]
    """Keys as in the contract's ClusterExecutionMetrics; None where a metric is not defined (fewer than two clusters).
    """
    cohesion: Sequence[tuple[float, float]]
    """For each cluster the mean and the smallest cosine similarity of a member to the centroid."""
    distance_metric: DistanceMetric
    params: Mapping[str, object]
    """Every parameter of the algorithm with the value that was used."""
    fitted: int
    """Rows the model was fitted on; the others were assigned."""
    exact: bool
    """False where an approximation was used; `warnings` says which."""
    warnings: Sequence[str]
    density: Density | None = None
    """Outlier scores, exemplars and the condensed tree of HDBSCAN; with `sample_size` of the fitted rows only."""
    hierarchy: Sequence[NDArray[np.int32]] = ()
    """For each level above the clusters, nearest first, the group (k,) of every cluster."""
    layers: Layers | None = None
    """Coarser and finer clusterings of the same rows, of the parameter-free method."""

    @property
    def clusters(self) -> int:
        """k, noise not counted."""
        return len(self.centroids)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(k,) members per cluster, descending."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.clusters).astype(np.int64)
