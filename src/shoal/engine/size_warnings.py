"""Sizes of clusters that tell little apart: most documents in none of them or in one, or hardly any in each."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from shoal.columns import Labels
from shoal.engine.algorithms import count_parameter
from shoal.plural import plural

__all__ = ["size_warning"]

_DENSITY: Final = ("hdbscan", "dbscan", "optics")
_UNBALANCED: Final = ("mean_shift", "agglomerative", "spectral")
"""Methods that may make one heap and strays of any data; k-means and mixtures part a heap."""
_PARAMETER_FREE: Final = ("auto", "evoc")
"""Methods that say themselves how many clusters the rows show."""
_MIN_MEAN_SIZE: Final = 3
"""Rows of a cluster, on average."""
_NOISE: Final = 0.4
_DOMINANT: Final = 0.5
_DOMINANT_OF_TWO: Final = 0.8
"""Of two clusters one is larger anyway."""
_MIN_ROWS: Final = 10
"""Rows of which shares say nothing."""


def size_warning(algorithm: str, params: Mapping[str, object], labels: Labels) -> str | None:
    """What to warn of where density left many of the rows out, one cluster holds most of them, or more clusters were
    asked for than the rows can show; None elsewhere.

    `labels` (n,) are numbered by size, -1 for noise; `params` are those in effect.
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
    clusters, found = int(labels.max()) + 1, list[str]()
    out, largest = int((labels < 0).sum()), int((labels == 0).sum())
    if algorithm in _DENSITY and out > _NOISE * rows:
        found.append(f"{_format_share(out, rows)} are in no cluster")
    if (
        not _is_requested(algorithm, params, clusters)
        and largest > (_DOMINANT if clusters != 2 else _DOMINANT_OF_TWO) * rows
    ):
        found.append(f"one cluster holds {_format_share(largest, rows)}")
    if not found:
        return None
    sentence = " and ".join(found)
    return (
        f"{sentence[0].upper()}{sentence[1:]}. Try the algorithm auto: it finds a scale for every region of the data."
    )


def _is_requested(algorithm: str, params: Mapping[str, object], clusters: int) -> bool:
    """Whether one cluster is what was asked for."""
    return params.get(count_parameter(algorithm) or "") == 1 or (
        clusters == 1 and bool(params.get("allow_single_cluster"))
    )


def _format_share(part: int, whole: int) -> str:
    """Never rounded to all or none of them."""
    if part == whole:
        return f"all {whole:,} documents"
    return f"{part:,} of {whole:,} documents ({np.clip(part / whole, 0.01, 0.99):.0%})"
