"""Warnings about uninformative cluster sizes: mostly noise, one dominant cluster, or hardly any rows per cluster."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from shoal.columns import Labels
from shoal.engine.algorithms import count_parameter
from shoal.quantities import plural

__all__ = ["size_warning"]

_DENSITY: Final = ("hdbscan", "dbscan", "optics")
_UNBALANCED: Final = ("mean_shift", "agglomerative", "spectral")
"""Methods that may put almost all rows into one cluster on any data; k-means and mixtures split such a cluster."""
_PARAMETER_FREE: Final = ("auto", "evoc")
"""Methods that report themselves how many clusters the rows support."""
_MIN_MEAN_SIZE: Final = 3
"""Rows per cluster, on average."""
_NOISE: Final = 0.4
_DOMINANT: Final = 0.5
_DOMINANT_OF_TWO: Final = 0.8
"""Of two clusters one is larger anyway."""
_MIN_ROWS: Final = 10
"""Below this many rows fractions mean nothing."""


def size_warning(algorithm: str, params: Mapping[str, object], labels: Labels) -> str | None:
    """Warn where density rejects many rows as noise, one cluster holds most rows, or there are too many clusters.

    `labels` (n,) are numbered by size, -1 for noise; `params` are the effective parameters. None if there is nothing to
    warn about.
    """
    rows = len(labels)
    number = params.get(count_parameter(algorithm) or "")
    if (
        algorithm not in _PARAMETER_FREE
        and isinstance(number, int)
        and number > 1
        and 0 < rows < _MIN_MEAN_SIZE * number
    ):
        few = f"{number:,} clusters of {plural(rows, 'document')} hold {rows / number:.1f} on average"
        return f"{few}: too few to tell groups from chance."
    if rows < _MIN_ROWS or algorithm not in (*_DENSITY, *_UNBALANCED):
        return None
    clusters, problems = int(labels.max()) + 1, list[str]()
    noise, largest = int((labels < 0).sum()), int((labels == 0).sum())
    if algorithm in _DENSITY and noise > _NOISE * rows:
        problems.append(f"{_format_share(noise, rows)} are in no cluster")
    if (
        not _is_requested(algorithm, params, clusters)
        and largest > (_DOMINANT if clusters != 2 else _DOMINANT_OF_TWO) * rows
    ):
        problems.append(f"one cluster holds {_format_share(largest, rows)}")
    if not problems:
        return None
    sentence = " and ".join(problems)
    return (
        f"{sentence[0].upper()}{sentence[1:]}. Try the algorithm auto: it finds a scale for every region of the data."
    )


def _is_requested(algorithm: str, params: Mapping[str, object], clusters: int) -> bool:
    """Whether a single cluster was asked for."""
    return params.get(count_parameter(algorithm) or "") == 1 or (
        clusters == 1 and bool(params.get("allow_single_cluster"))
    )


def _format_share(count: int, total: int) -> str:
    """The count and the percentage, never rounded to 0 or 100 %."""
    if count == total:
        return f"all {total:,} documents"
    return f"{count:,} of {total:,} documents ({np.clip(count / total, 0.01, 0.99):.0%})"
