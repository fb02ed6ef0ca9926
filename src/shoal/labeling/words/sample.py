"""Selection of the documents to read: no noise, no repeated text, a sample of the rest, of which a part is held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.labeling.text import LONGEST_TEXT, MOST_WORDS

__all__ = [
    "DOCUMENTS_PER_CLUSTER",
    "MOST_DOCUMENTS",
    "TOKEN_BUDGET",
    "WHOLE_TEXTS",
    "Sample",
    "sample_rows",
    "words_per_text",
]

DOCUMENTS_PER_CLUSTER = 2_000
TOKEN_BUDGET = 6_000_000
"""Words read in total: bounds the memory to about 1 GB, whatever the size of the set."""
MOST_DOCUMENTS = 300_000
"""Documents read in total: bounds the memory of their vectors."""
WHOLE_TEXTS = 1_000_000
"""Words up to which whole texts are read; beyond, LONGEST_TEXT of each."""
FEWEST_DOCUMENTS = 30
"""Documents read of each cluster even beyond the budget."""
HELD_OUT, SHARE_HELD_OUT = 50, 5
"""Documents of a cell by which its name is measured: at most fifty, one in five."""
MOSTLY = 0.4
"""Share of the documents of a cluster of any layer above which none of these is held out."""
FEWEST_TO_SPLIT = 20
"""In a smaller cell all documents are counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The documents that naming reads, and those by which it measures names."""

    rows: NDArray[np.int64]
    """(r,) in the order of their digests, so that none depends on the order of rows; those held out are among them."""
    cells: Labels
    """(r,) the cell of each."""
    held_out: NDArray[np.bool_]
    """(r,) documents that are not counted for a name."""
    count: int
    """The number of cells."""


def sample_rows(texts: Sequence[str], layers: Sequence[Labels], chosen: int = 0) -> Sample:
    """Select the texts to read.

    A cell is a cluster of `layers[chosen]`, or of another layer (n,) for documents that are noise (-1) there. Documents
    that are noise in all layers, and blank or repeated texts within a cell, are skipped; of the rest as many are read
    as the budget allows, at random by their digests, so that the order of rows is irrelevant. Some documents of each
    cluster of each layer are read. Of a cell with twenty texts or more a fifth, at most fifty, are held out.
    """
    cells, count = _cells(layers, chosen)
    marks: dict[tuple[bytes, int], int] = {}
    for row in np.flatnonzero(cells >= 0).tolist():
        text = texts[row].strip().casefold()
        mark = (blake2b(text.encode("utf-8", "replace"), digest_size=12).digest(), int(cells[row]))
        # Of texts that differ only in case the first by spelling is read.
        if text and texts[row] < texts[marks.setdefault(mark, row)]:
            marks[mark] = row
    distinct = np.array([marks[mark] for mark in sorted(marks)], np.int64)
    allowed = _documents_allowed(texts, distinct, cells[distinct], count)
    read = _first_of_each(distinct, cells[distinct], allowed + HELD_OUT)
    if len(read) < len(distinct):
        few = [
            _first_of_each(own, labels[own], FEWEST_DOCUMENTS)
            for labels in layers
            for own in [distinct[labels[distinct] >= 0]]
        ]
        read = distinct[np.isin(distinct, np.concatenate([read, *few]))]
    held_out = _hold_out(cells[read], count)
    for labels in layers:  # a small cluster of another layer needs its documents
        held_out &= ~_mostly_held(labels[read], held_out)
    return Sample(read, cells[read], held_out, count)


def _hold_out(cells: Labels, count: int) -> NDArray[np.bool_]:
    """Choose a fifth of each cell, the last ones of it, if it is large enough."""
    sizes = np.bincount(cells, minlength=count)
    held = np.where(sizes >= FEWEST_TO_SPLIT, np.minimum(sizes // SHARE_HELD_OUT, HELD_OUT), 0)
    order = np.argsort(cells, kind="stable")
    place = np.empty(len(cells), np.int64)
    place[order] = np.arange(len(cells)) - (np.cumsum(sizes) - sizes)[cells[order]]
    return np.asarray(place >= (sizes - held)[cells])


def _mostly_held(labels: Labels, held_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (r,) whether more documents of the cluster of a row are held out than should be."""
    inside = labels >= 0
    sizes = np.bincount(labels[inside], minlength=1)
    held = np.bincount(labels[inside & held_out], minlength=len(sizes))
    return np.asarray(inside & (held > MOSTLY * sizes)[np.maximum(labels, 0)])


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
    most = min(TOKEN_BUDGET / words, MOST_DOCUMENTS)
    while allowed > FEWEST_DOCUMENTS and np.minimum(sizes, allowed).sum() > most:
        allowed = max(int(allowed * 0.8), FEWEST_DOCUMENTS)
    return allowed


def _first_of_each(rows: NDArray[np.int64], labels: Labels, most: int) -> NDArray[np.int64]:
    """Return at most this many rows of each cluster, in their order."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return rows[np.sort(np.concatenate([group[:most] for group in groups]))] if len(rows) else rows
