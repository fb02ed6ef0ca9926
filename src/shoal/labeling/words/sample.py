"""Selection of the documents to read: no noise, no repeated text, an even sample of the rest."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.text import LONGEST_TEXT, MOST_WORDS

__all__ = ["DOCUMENTS_PER_CLUSTER", "TOKEN_BUDGET", "WHOLE_TEXTS", "rows_to_read", "words_per_text"]

DOCUMENTS_PER_CLUSTER = 2_000
TOKEN_BUDGET = 6_000_000
"""Words read in total: bounds the memory to about 1 GB, whatever the size of the set."""
WHOLE_TEXTS = 1_000_000
"""Words up to which whole texts are read; beyond, LONGEST_TEXT of each."""
FEWEST_DOCUMENTS = 30
"""Documents read of each cluster even beyond the budget."""


def rows_to_read(
    texts: Sequence[str], layers: Sequence[Labels], chosen: int = 0
) -> tuple[NDArray[np.int64], Labels, int]:
    """Select the rows (r,) of texts to read, ascending; also return the cell (r,) of each, and the number of cells.

    A cell is a cluster of `layers[chosen]`, or of another layer (n,) for documents that are noise (-1) there. Documents
    that are noise in all layers, and blank or repeated texts within a cell, are skipped; the rest is sampled evenly.
    Some documents of each cluster of each layer are read.
    """
    cells, count = _cells(layers, chosen)
    marks: set[tuple[int, bytes]] = set()
    rows: list[int] = []
    for row in np.flatnonzero(cells >= 0).tolist():
        text = texts[row].strip().casefold()
        mark = (int(cells[row]), blake2b(text.encode("utf-8", "replace"), digest_size=12).digest())
        if text and mark not in marks:
            marks.add(mark)
            rows.append(row)
    distinct = np.array(rows, np.int64)
    allowed = _documents_allowed(texts, distinct, cells[distinct], count)
    read = _even_sample(distinct, cells[distinct], allowed)
    if len(read) < len(distinct):
        few = [
            _even_sample(own, labels[own], FEWEST_DOCUMENTS)
            for labels in layers
            for own in [distinct[labels[distinct] >= 0]]
        ]
        read = np.unique(np.concatenate([read, *few]))
    return read, cells[read], count


def words_per_text(texts: int) -> int:
    """Return the number of words read of each of this many texts: all of a text, where there are few."""
    return min(max(WHOLE_TEXTS // max(texts, 1), LONGEST_TEXT), MOST_WORDS)


def _cells(layers: Sequence[Labels], chosen: int) -> tuple[Labels, int]:
    """Return (n,) the cluster of each row in the chosen layer, else, with further numbers, in the finest layer that has
    one; and the number of cells."""
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
    """Return the number of documents of a cluster that fit into the budget of words."""
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
