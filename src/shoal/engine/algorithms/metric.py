"""Supported metrics, expressed through Euclidean distances."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Points
from shoal.engine.rows.geometry import unit_rows
from shoal.errors import InvalidField

__all__ = ["METRICS", "Metric", "check_metric"]

METRICS: Final = ("euclidean", "l2", "minkowski", "cosine")


def check_metric(metric: str, metric_params: object, p: float, supported: Sequence[str]) -> None:
    """Raises InvalidField for an unknown metric, for metric parameters, and for p other than 2."""
    if metric not in supported:
        raise InvalidField("metric", f"must be {' or '.join(supported)}", value=metric)
    if metric == "minkowski" and p != 2:
        raise InvalidField("p", "must be 2: only Euclidean distances are fast enough", value=p)
    if metric_params:
        raise InvalidField("metric_params", "must be left out: these metrics take none", value=str(metric_params))


@dataclass(frozen=True, slots=True)
class Metric:
    """Euclidean or cosine distance: on unit rows 1 - cos = d^2 / 2."""

    cosine: bool

    @staticmethod
    def of(name: str) -> "Metric":
        return Metric(name == "cosine")

    def placed(self, points: Points) -> Points:
        """Map rows into the space where Euclidean distances give the metric. The name is stored in saved clusterings.
        Raises InvalidField for a zero row under cosine."""
        return unit_rows(points) if self.cosine else points

    def to_euclidean(self, distance: float) -> float:
        """Convert a distance in the metric to a Euclidean one."""
        return float(np.sqrt(2 * distance)) if self.cosine else float(distance)

    def to_metric(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert Euclidean distances to the metric."""
        return distances**2 / 2 if self.cosine else distances
