"""Clusters that tell little apart: most documents in none of them, or in one."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from shoal.columns import Labels

__all__ = ["uneven_note"]

_DENSITY: Final = ("hdbscan", "dbscan", "optics")
_HEAPS: Final = ("mean_shift", "agglomerative", "spectral")
"""Methods that may make one heap and strays of any data; k-means and mixtures part a heap."""
_NOISE: Final = 0.4
_HEAP: Final = 0.5
_HEAP_OF_TWO: Final = 0.8
"""Of two clusters one is larger anyway."""
_FEW: Final = 10
"""Rows of which shares say nothing."""


def uneven_note(algorithm: str, params: Mapping[str, object], labels: Labels) -> str | None:
    """What to warn of where density left many of the rows out, or one cluster holds most of them; None elsewhere.

    `labels` (n,) are numbered by size, -1 for noise; `params` are those in effect.
    """
    rows = len(labels)
    if rows < _FEW or algorithm not in (*_DENSITY, *_HEAPS):
        return None
    clusters, found = int(labels.max()) + 1, list[str]()
    out, largest = int((labels < 0).sum()), int((labels == 0).sum())
    if algorithm in _DENSITY and out > _NOISE * rows:
        found.append(f"{out:,} of {rows:,} documents ({_share(out, rows)}) are in no cluster")
    if not _asked_for(algorithm, params, clusters) and largest > (_HEAP if clusters != 2 else _HEAP_OF_TWO) * rows:
        found.append(f"one cluster holds {largest:,} of {rows:,} documents ({_share(largest, rows)})")
    if not found:
        return None
    told = " and ".join(found)
    return f"{told[0].upper()}{told[1:]}. Try the algorithm auto: it finds a scale for every region of the data."


def _asked_for(algorithm: str, params: Mapping[str, object], clusters: int) -> bool:
    """Whether one cluster is what was asked for."""
    number = params.get("n_clusters") if algorithm in ("agglomerative", "spectral") else None
    return number == 1 or (clusters == 1 and bool(params.get("allow_single_cluster")))


def _share(part: int, whole: int) -> str:
    """Never rounded to all or none of them."""
    return "all" if part == whole else f"{np.clip(part / whole, 0.01, 0.99):.0%}"
