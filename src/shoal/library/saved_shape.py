"""Validates the parts of a saved clustering: a file may be damaged, edited, or malicious."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shoal.analysis.named_clusters import Analysis, NamedCluster, Provenance
from shoal.engine.plan import Plan

__all__ = ["check_parts"]

_REAL: Final = "fiu"


def check_parts(parts: Mapping[str, Any]) -> None:
    """Check types, row counts and cluster numbers of all parts.

    Raises ValueError, TypeError, AttributeError or KeyError.
    """
    analysis = parts["analysis"]
    kinds: dict[str, tuple[object, tuple[type, ...]]] = {
        "analysis": (analysis, (Analysis,)),
        "plan": (parts["plan"], (Plan,)),
        "member_columns": (parts["member_columns"], (pa.Table, type(None))),
        "warnings": (parts["warnings"], (list,)),
        "seconds": (parts["seconds"], (int, float)),
        "text_columns": (parts.get("text_columns", []), (list, tuple)),
        "metrics": (analysis.outcome.metrics, (dict,)),
        "params": (analysis.outcome.params, (dict,)),
    }
    for name, (value, kind) in kinds.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} is a {type(value).__name__}")
    rows, outcome = len(analysis.ids), analysis.outcome
    _check_clusters(analysis.clusters)
    _check_labels("labels", outcome.labels, rows, len(analysis.clusters))
    for name, values, shape in _number_arrays(analysis, rows):
        array: NDArray[Any] = np.asarray(values)
        if array.dtype.kind not in _REAL or array.ndim != len(shape) or array.shape[0] != shape[0]:
            raise ValueError(f"{name} does not fit the rows")
    if outcome.duplicates is not None:
        _check_labels("duplicates", outcome.duplicates.labels, rows, len(outcome.duplicates.representatives))
        _check_labels("representatives", outcome.duplicates.representatives, None, rows)
    for number, layer in enumerate(analysis.layers):
        _check_clusters(layer.clusters)
        _check_labels(f"layer {number}", layer.labels, rows, len(layer.clusters))


def _number_arrays(analysis: Analysis, rows: int) -> Iterator[tuple[str, object, tuple[int, ...]]]:
    """Yield the numeric arrays, and the known part of the shape of each."""
    outcome = analysis.outcome
    yield "strengths", outcome.strengths, (rows,)
    yield "distances", outcome.distances, (rows,)
    if outcome.coordinates is not None:
        yield "coordinates", outcome.coordinates, (rows, 2)
    if outcome.duplicates is not None:
        yield "duplicates", outcome.duplicates.away, (rows,)


def _check_labels(name: str, labels: object, rows: int | None, most: int) -> None:
    """Check that these are integers from -1 to below `most`, one per row."""
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"{name} are no whole numbers")
    if (rows is not None and len(labels) != rows) or (len(labels) and not -1 <= labels.min() <= labels.max() < most):
        raise ValueError(f"{name} do not fit the rows")


def _check_clusters(clusters: object) -> None:
    if not isinstance(clusters, (list, tuple)):
        raise TypeError("clusters are no list")
    for cluster in clusters:
        texts = isinstance(cluster, NamedCluster) and [
            cluster.cluster_id,
            cluster.label,
            *cluster.keywords,
            *cluster.examples,
        ]
        if not texts or not all(isinstance(text, str) for text in texts) or not isinstance(cluster.size, int):
            raise TypeError("a cluster has no id, label or size")
        if not isinstance(cluster.provenance, Provenance) or not isinstance(cluster.summary, str | None):
            raise TypeError("a cluster has no provenance, or a summary that is no text")
