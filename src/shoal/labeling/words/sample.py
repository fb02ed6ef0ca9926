"""Which documents are read to name clusters: no noise, no repeated text, an even sample of what is left."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.text import LONGEST_TEXT

__all__ = ["DOCUMENTS_PER_CLUSTER", "TOKEN_BUDGET", "rows_to_read"]

DOCUMENTS_PER_CLUSTER = 2_000
TOKEN_BUDGET = 6_000_000
"""Words read of all documents together: bounds the memory at about 1 GB whatever the size of the set."""
FEWEST_DOCUMENTS = 30
"""Read of each cluster even where the budget is spent."""


def rows_to_read(
    texts: Sequence[str], layers: Sequence[Labels], chosen: int = 0
) -> tuple[NDArray[np.int64], Labels, int]:
    """Ascending rows (r,) of texts that are worth reading, the cell (r,) of each, and how many cells there are.

    A cell is a cluster of `layers[chosen]`, or of another layer (n,) where that has a document as noise (-1). No noise
    of all layers, no blank or repeated text within a cell, an even sample of what is left of each; from each cluster of
    each layer some are read.
    """
    cells, count = _cells(layers, chosen)
    seen: set[tuple[int, bytes]] = set()
    rows: list[int] = []
    for row in np.flatnonzero(cells >= 0).tolist():
        text = texts[row].strip().casefold()
        mark = (int(cells[row]), blake2b(text.encode("utf-8", "replace"), digest_size=12).digest())
        if text and mark not in seen:
            seen.add(mark)
            rows.append(row)
    kept = np.array(rows, np.int64)
    allowed = _documents_allowed(texts, kept, cells[kept], count)
    read = _even_sample(kept, cells[kept], allowed)
    if len(read) < len(kept):
        few = [
            _even_sample(own, labels[own], FEWEST_DOCUMENTS) for labels in layers for own in [kept[labels[kept] >= 0]]
        ]
        read = np.unique(np.concatenate([read, *few]))
    return read, cells[read], count


def _cells(layers: Sequence[Labels], chosen: int) -> tuple[Labels, int]:
    """(n,) the cluster of each row in the chosen layer, else, numbered on, in the finest that has one; and how many."""
    cells = layers[chosen].astype(np.int32)
    count = int(cells.max(initial=-1)) + 1
    for labels in reversed(layers):
        left = (cells < 0) & (labels >= 0)
        if left.any():
            own = np.unique(labels[left], return_inverse=True)
            cells[left] = count + own[1]
            count += len(own[0])
    return cells, count


def _documents_allowed(texts: Sequence[str], rows: NDArray[np.int64], labels: Labels, clusters: int) -> int:
    """Documents of one cluster that may be read within the budget of words."""
    if not len(rows):
        return DOCUMENTS_PER_CLUSTER
    probe = rows[:: max(len(rows) // 1000, 1)]
    words = float(np.mean([min(len(texts[row]) / 5 + 1, LONGEST_TEXT) for row in probe.tolist()]))
    sizes = np.bincount(labels, minlength=clusters)
    allowed = DOCUMENTS_PER_CLUSTER
    while allowed > FEWEST_DOCUMENTS and np.minimum(sizes, allowed).sum() * words > TOKEN_BUDGET:
        allowed = max(int(allowed * 0.8), FEWEST_DOCUMENTS)
    return allowed


def _even_sample(rows: NDArray[np.int64], labels: Labels, most: int) -> NDArray[np.int64]:
    order = np.argsort(labels, kind="stable")
    chosen = [
        group[np.linspace(0, len(group) - 1, most).astype(np.int64)] if len(group) > most else group
        for group in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    ]
    return rows[np.sort(np.concatenate(chosen))] if len(rows) else rows
