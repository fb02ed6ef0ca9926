"""The interface of namers of clusters, whether they count words or call a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points

__all__ = ["Brief", "Budget", "Name", "Namer", "Partition", "Progress", "Source", "main_parents"]

Progress = Callable[[float], None]
"""Receives the fraction that is done; may raise to stop."""
Source = Literal["words", "value", "number"]
"""The origin of a name: phrases of the documents, their most frequent value, or a number."""


@dataclass(frozen=True)
class Name:
    """The name of a cluster, and the evidence for it."""

    label: str
    """1 to 80 characters, unique in its layer; plain text, to be escaped for display."""
    keywords: tuple[str, ...]
    """Up to 8 phrases of at most 40 characters, most characteristic first; empty if there was no text."""
    summary: str | None = None
    """A sentence or two about the cluster, if the namer writes one."""
    score: float | None = field(default=None, compare=False)
    """0 to 1, how well the label represents the cluster: for words, the share of its documents that contain them."""
    evidence: tuple[int, ...] = field(default=(), compare=False)
    """Rows of the documents that the namer cites for the label; empty if it cites none."""
    source: Source = field(default="words", compare=False)
    cost: float = field(default=0.0, compare=False)
    """The cost of the name, in the currency of the budget."""

    @property
    def is_number(self) -> bool:
        """Whether the label is only a number, because there was no text."""
        return self.source == "number"

    @staticmethod
    def of_number(number: int) -> "Name":
        """Return the name of a cluster without text."""
        return Name(f"Cluster {number}", (), source="number")


@dataclass(frozen=True, slots=True)
class Partition:
    """One layer to name: `labels` (n,) of its `clusters`, -1 for noise, and their `centroids` (k, d).

    The centroids determine neighbouring clusters, whose phrases a name should avoid; without them shared words do.
    """

    labels: Labels
    clusters: int
    centroids: Points | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """The input of a namer for one clustering.

    Parameters
    ----------
    texts : sequence of str, length n
        One text for each document; None if the documents have none.
    layers : sequence of Partition
        Coarse to fine; the parent of a cluster is the cluster of the layer above with most of its documents.
    chosen : int
        The position of the layer that is shown first.
    """

    texts: Sequence[str] | None
    layers: Sequence[Partition]
    chosen: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """The maximum cost of naming; a namer that would exceed it names the remaining clusters from their words."""

    cost: float = 0.0
    """In the currency of `Name.cost`."""


class Namer(Protocol):
    """Names the clusters of all layers of one clustering."""

    def name(self, brief: Brief, budget: Budget, progress: Progress | None = None) -> list[list[Name]]:
        """One name for each cluster of each layer of the brief, in their order.

        Names of one layer differ. `progress` receives the fraction that is done, and may raise to stop.
        """
        ...


def main_parents(labels: Labels, above: Labels, clusters: int) -> NDArray[np.int32]:
    """Return (clusters,) for each cluster of `labels` (n,) the cluster of `above` (n,) with most of its documents, the
    first one of ties; -1 for none."""
    both = (labels >= 0) & (above >= 0)
    width = int(above.max(initial=-1)) + 1
    pairs, counts = np.unique(labels[both].astype(np.int64) * width + above[both], return_counts=True)
    parents = np.full(clusters, -1, np.int32)
    order = np.lexsort((-pairs, counts))  # the last assignment wins: most documents, then the first
    parents[pairs[order] // max(width, 1)] = pairs[order] % max(width, 1)
    return parents
