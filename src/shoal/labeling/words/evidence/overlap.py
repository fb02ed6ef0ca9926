"""Words that labels and documents share, weighted by their rarity."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from shoal.columns import Labels
from shoal.elementary import log
from shoal.labeling.words.tokens import TokenTable

__all__ = ["Overlap", "find_overlap"]

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Which of r documents contain which stems."""

    holds: "sp.csr_matrix[np.float32]"
    """(r, stems) 1 where a document contains a stem."""
    rarity: NDArray[np.float64]
    """(stems,) the logarithm of the inverse share of documents."""

    def rates(self, labels: Labels, clusters: int) -> "sp.csr_matrix[np.float64]":
        """Return (k, stems) the share of the documents of each cluster that contain a stem."""
        inside = np.flatnonzero(labels >= 0)
        sizes = np.maximum(np.bincount(labels[inside], minlength=clusters), 1)
        links = sp.csr_matrix((1.0 / sizes[labels[inside]], (labels[inside], inside)), (clusters, len(labels)))
        return sp.csr_matrix(links @ self.holds)

    def weights(self, phrases: Sequence[Collection[int]]) -> "sp.csr_matrix[np.float64]":
        """Return (m, stems) the share of each stem in the rarity of a phrase."""
        lengths = [len(stems) for stems in phrases]
        stems = np.array([stem for own in phrases for stem in sorted(own)], np.int64)
        rows = np.repeat(np.arange(len(phrases)), lengths)
        total = np.bincount(rows, self.rarity[stems], minlength=len(phrases))
        shares = self.rarity[stems] / np.maximum(total[rows], 1e-9)
        return sp.csr_matrix((shares, (rows, stems)), (len(phrases), len(self.rarity)))

    def contrast(
        self,
        weights: "sp.csr_matrix[np.float64]",
        owner: NDArray[np.int64],
        rates: "sp.csr_matrix[np.float64]",
        nearest: NDArray[np.int64],
    ) -> tuple[Vector, Vector]:
        """Return (m,) the average share of each phrase in the documents of its cluster, and the largest of those in the
        documents of the nearest clusters, 0 if there are none.

        `owner` (m,) is ascending, `rates` as `rates` returns them.
        """
        own, near = np.zeros(len(owner)), np.zeros(len(owner))
        bounds = np.searchsorted(owner, np.arange(len(nearest) + 1))
        for cluster, (start, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            if end > start:
                shares = (weights[start:end] @ rates[[cluster, *nearest[cluster].tolist()]].T).toarray()
                own[start:end], near[start:end] = shares[:, 0], shares[:, 1:].max(1, initial=0.0)
        return own, near


def find_overlap(table: TokenTable) -> Overlap:
    """Note which stems the documents of the table contain."""
    stems = table.vocabulary.stems[table.words]
    pairs = np.unique(table.documents * np.int64(max(table.vocabulary.stem_count, 1)) + stems)
    documents, stems = np.divmod(pairs, max(table.vocabulary.stem_count, 1))
    shape = (table.texts, table.vocabulary.stem_count)
    holds = sp.csr_matrix((np.ones(len(pairs), np.float32), (documents, stems)), shape)
    counts = np.bincount(stems, minlength=shape[1])
    return Overlap(holds, log((table.texts + 1.0) / (counts + 1.0)) + 1e-3)
