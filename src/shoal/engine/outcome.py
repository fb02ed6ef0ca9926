"""What comes out of the engine."""

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
    """(k, d) in the space that was clustered (unit length rows averaged where `normalize`), less `origin`."""
    medoids: Rows
    """(k,) the member with the smallest mean distance to the members (to at most 2,000 of them, seeded)."""
    representatives: Sequence[Rows]
    """For each cluster the rows of up to 5 members nearest to the centroid, nearest first."""
    coordinates: NDArray[np.float32] | None
    """(n, 2 or 3), or None where no map was asked for."""
    metrics: Mapping[str, float | None]
    """Keys as in contract.md#metrics; None where a metric is not defined (fewer than two clusters).
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
    origin: NDArray[np.float64] | None = None
    """(d,) what was subtracted from the rows before they came: centroids lie about it."""
    density: Density | None = None
    """Outlier scores, exemplars and the condensed tree of HDBSCAN; with `sample_size` of the fitted rows only."""
    hierarchy: Sequence[NDArray[np.int32]] = ()
    """For each level above the clusters, nearest first, the group (k,) of every cluster."""
    layers: Layers | None = None
    """Coarser and finer clusterings of the same rows, of the parameter-free method."""
    duplicates: NearDuplicates | None = None
    """Groups of near-duplicates, where a map was drawn: both need the rows' neighbours."""
    model: Model | None = None
    """Places new rows in these clusters, where the plan asked for it."""

    @property
    def clusters(self) -> int:
        """k, noise not counted."""
        return len(self.centroids)

    def input_centroids(self) -> NDArray[np.floating]:
        """(k, d) where the rows were given: float64 where an `origin` was subtracted, which float32 could not hold."""
        return np.ascontiguousarray(self.centroids if self.origin is None else self.centroids + self.origin)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(k,) members per cluster, descending."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.clusters).astype(np.int64)
