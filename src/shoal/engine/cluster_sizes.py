"""Sizes of clusters that tell little apart: most documents in none of them or in one, or hardly any in each."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from shoal.columns import Labels
from shoal.engine.algorithms import count_parameter
from shoal.plural import plural

__all__ = ["sizes_note"]

_DENSITY: Final = ("hdbscan", "dbscan", "optics")
_HEAPS: Final = ("mean_shift", "agglomerative", "spectral")
"""Methods that may make one heap and strays of any data; k-means and mixtures part a heap."""
_BY_THEMSELVES: Final = ("auto", "evoc")
"""Methods that say themselves how many clusters the rows show."""
_LEAST: Final = 3
"""Rows of a cluster, on average."""
_NOISE: Final = 0.4
_HEAP: Final = 0.5
_HEAP_OF_TWO: Final = 0.8
"""Of two clusters one is larger anyway."""
_FEW: Final = 10
"""Rows of which shares say nothing."""


def sizes_note(algorithm: str, params: Mapping[str, object], labels: Labels) -> str | None:
    """What to warn of where density left many of the rows out, one cluster holds most of them, or more clusters were
    asked for than the rows can show; None elsewhere.

    `labels` (n,) are numbered by size, -1 for noise; `params` are those in effect.
    """
    rows = len(labels)
    number = params.get(count_parameter(algorithm) or "")
    if algorithm not in _BY_THEMSELVES and isinstance(number, int) and number > 1 and 0 < rows < _LEAST * number:
        few = f"{number:,} clusters of {plural(rows, 'document')} hold {rows / number:.1f} on average"
        return f"{few}: too few to tell groups from chance."
    if rows < _FEW or algorithm not in (*_DENSITY, *_HEAPS):
        return None
    clusters, found = int(labels.max()) + 1, list[str]()
    out, largest = int((labels < 0).sum()), int((labels == 0).sum())
    if algorithm in _DENSITY and out > _NOISE * rows:
        found.append(f"{_part(out, rows)} are in no cluster")
    if not _asked_for(algorithm, params, clusters) and largest > (_HEAP if clusters != 2 else _HEAP_OF_TWO) * rows:
        found.append(f"one cluster holds {_part(largest, rows)}")
    if not found:
        return None
    sentence = " and ".join(found)
    return (
        f"{sentence[0].upper()}{sentence[1:]}. Try the algorithm auto: it finds a scale for every region of the data."
    )


def _asked_for(algorithm: str, params: Mapping[str, object], clusters: int) -> bool:
    """Whether one cluster is what was asked for."""
    return params.get(count_parameter(algorithm) or "") == 1 or (
        clusters == 1 and bool(params.get("allow_single_cluster"))
    )


def _part(part: int, whole: int) -> str:
    """Never rounded to all or none of them."""
    if part == whole:
        return f"all {whole:,} documents"
    return f"{part:,} of {whole:,} documents ({np.clip(part / whole, 0.01, 0.99):.0%})"
