"""What every namer of clusters is given and gives back, whether it counts words or asks a model."""

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
"""Where a name comes from: phrases of the documents, the value that most of them have, or a count where neither says
anything."""


@dataclass(frozen=True)
class Name:
    """What to call a cluster, and what that rests on."""

    label: str
    """1..80 characters, unlike that of any other cluster of the layer; plain text, to be escaped where it is shown."""
    keywords: tuple[str, ...]
    """Up to 8 phrases of at most 40 characters, most telling first; empty where there was nothing to read."""
    summary: str | None = None
    """A sentence or two about the cluster, where the namer writes one."""
    score: float | None = field(default=None, compare=False)
    """0..1, how well the label speaks for the cluster: with words the share of its documents that hold them."""
    evidence: tuple[int, ...] = field(default=(), compare=False)
    """Rows of the documents that the namer cites for the label; empty where it cites none."""
    source: Source = field(default="words", compare=False)
    cost: float = field(default=0.0, compare=False)
    """What the name cost, in the currency of the budget."""

    @property
    def is_number(self) -> bool:
        """Whether the label only counts, since there was nothing to read."""
        return self.source == "number"

    @staticmethod
    def of_number(number: int) -> "Name":
        """The name of a cluster without words."""
        return Name(f"Cluster {number}", (), source="number")


@dataclass(frozen=True, slots=True)
class Partition:
    """One layer to name: `labels` (n,) of its `clusters`, -1 for noise, and their `centroids` (k, d), which say which
    clusters are neighbours, whose phrases a name should avoid; without them shared words decide it."""

    labels: Labels
    clusters: int
    centroids: Points | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a namer knows of one clustering.

    Parameters
    ----------
    texts : sequence of str, length n
        One text a document; None where the documents have none.
    layers : sequence of Partition
        Coarse to fine; a cluster is a part of that of the layer before which holds most of its documents.
    chosen : int
        The position of the layer that people see first.
    """

    texts: Sequence[str] | None
    layers: Sequence[Partition]
    chosen: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """What naming may cost; a namer that would exceed it names the clusters that are left from their words."""

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
    """(clusters,) for each cluster of `labels` (n,) the one of `above` (n,) that holds most of its documents, the first
    of equals; -1 where none does."""
    both = (labels >= 0) & (above >= 0)
    width = int(above.max(initial=-1)) + 1
    pairs, counts = np.unique(labels[both].astype(np.int64) * width + above[both], return_counts=True)
    parents = np.full(clusters, -1, np.int32)
    order = np.lexsort((-pairs, counts))  # the last one written stays: most documents, then the first
    parents[pairs[order] // max(width, 1)] = pairs[order] % max(width, 1)
    return parents
