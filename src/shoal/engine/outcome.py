"""The output of the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points, Rows
from shoal.engine.density.density_tree import Density
from shoal.engine.layers.layers import Layers
from shoal.engine.model import Model
from shoal.engine.neighbors.near_duplicates import NearDuplicates
from shoal.engine.plan import DistanceMetric

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A clustering of n rows into k clusters."""

    labels: Labels
    strengths: NDArray[np.float32]
    """(n,) membership strength in 0..1; 0 for noise."""
    distances: NDArray[np.float32]
    """(n,) distance to the row's own centroid in `distance_metric`; NaN for noise."""
    centroids: Points
    """(k, d) in the clustered space (means of unit rows where `normalize`), relative to `origin`."""
    medoids: Rows
    """(k,) the member with the smallest mean distance to the members (to a seeded sample of at most 2,000)."""
    representatives: Sequence[Rows]
    """For each cluster the up to 5 members nearest to its centroid, nearest first."""
    coordinates: NDArray[np.float32] | None
    """(n, 2 or 3) map coordinates, or None where no map was requested."""
    metrics: Mapping[str, float | None]
    """Keys as in contract.md#metrics; None for a metric that is undefined (fewer than two
    clusters)."""
    cohesion: Sequence[tuple[float, float]]
    """For each cluster the mean and the minimum cosine similarity of its members to the centroid."""
    distance_metric: DistanceMetric
    params: Mapping[str, object]
    """Every parameter of the algorithm with its effective value."""
    fitted: int
    """Rows the model was fitted on; the others were assigned."""
    exact: bool
    """False where an approximation was used; `warnings` says which."""
    warnings: Sequence[str]
    origin: NDArray[np.float64] | None = None
    """(d,) offset subtracted from the rows by the caller; centroids are relative to it."""
    density: Density | None = None
    """Outlier scores, exemplars and condensed tree of HDBSCAN; with `sample_size` of the fitted rows only."""
    hierarchy: Sequence[NDArray[np.int32]] = ()
    """For each level above the clusters, nearest first, the (k,) group of every cluster."""
    layers: Layers | None = None
    """Coarser and finer clusterings of the same rows, from the parameter-free method."""
    duplicates: NearDuplicates | None = None
    """Groups of near-duplicates, computed along with a map: both need the rows' neighbours."""
    model: Model | None = None
    """Assigns new rows to these clusters, where the plan requested it."""

    @property
    def clusters(self) -> int:
        """k, excluding noise."""
        return len(self.centroids)

    def input_centroids(self) -> NDArray[np.floating]:
        """(k, d) centroids in the coordinates of the input: float64 where an `origin` was subtracted, which float32
        could not represent."""
        return np.ascontiguousarray(self.centroids if self.origin is None else self.centroids + self.origin)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(k,) members per cluster, descending."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.clusters).astype(np.int64)
