"""The interface of namers of clusters, whether they count words or call a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.columns import Labels, Points

__all__ = ["Brief", "Budget", "InputReader", "Media", "Name", "Namer", "Partition", "PhraseEncoder", "Progress"]
__all__ += ["Source", "main_parents"]

Progress = Callable[[float], None]
"""Receives the fraction that is done; may raise to stop."""
InputReader = Callable[[Sequence[int]], Sequence[Mapping[str, object]]]
"""Reads what a model is shown of the documents in these rows: for each, its values by input key, texts or `Media`."""
Source = Literal["words", "value", "number", "model"]
"""The origin of a name: phrases of the documents, their most frequent value, a number, or a language model."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a recording or a film of a document."""

    media_type: str
    """Such as `image/png`."""
    data: bytes = field(repr=False)


class PhraseEncoder(Protocol):
    """Turns phrases and texts into vectors of one space, see `shoal.encoders.Encoder`."""

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Points:
        """Return (n, d) float32 rows of norm 1, or 0 for a text without any known word, in a new array."""
        ...


@dataclass(frozen=True)
class Name:
    """The name of a cluster, and the evidence for it."""

    label: str
    """1 to 80 characters, unique in its layer unless it is one of a fixed set; plain text, to be escaped for
    display."""
    keywords: tuple[str, ...]
    """Up to 8 phrases of at most 40 characters, most characteristic first; empty if there was no text."""
    summary: str | None = None
    """A sentence or two about the cluster, if the namer writes one."""
    score: float | None = field(default=None, compare=False)
    """0 to 1, the share of documents held out of naming that the label alone assigns to this cluster rather than to one
    of its nearest siblings; None if it was not measured, as for clusters of less than 25 texts, which need all of these
    for a name."""
    coverage: float | None = field(default=None, compare=False)
    """0 to 1, the share of these documents that the label fits."""
    evidence: tuple[int, ...] = field(default=(), compare=False)
    """Rows of the documents that the namer cites for the label; empty if it cites none."""
    source: Source = field(default="words", compare=False)
    model: str | None = field(default=None, compare=False)
    """The model that wrote the label, as `provider:model`; None for other sources."""
    error: str | None = field(default=None, compare=False)
    """Why the label is not from the requested model, in one sentence without secrets; None if nothing went wrong."""
    cost: float = field(default=0.0, compare=False)
    """The cost of the name, in US dollars."""
    details: Mapping[str, object] | None = field(default=None, compare=False)
    """What a model was asked for beyond label, summary and keywords, as JSON; None if there is nothing."""

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
    points : (n, d) float32, optional
        The vectors of the documents, in the space of the centroids.
    encoder : PhraseEncoder, optional
        What made the points from the texts, so that it can compare phrases with documents.
    inputs : InputReader, optional
        Reads what a model is shown of a document; None shows it the text.
    settled : sequence of mapping
        For each layer the labels of clusters that a person has named, by number; empty for none. No model is asked
        for these, and no other cluster gets such a label.
    """

    texts: Sequence[str] | None
    layers: Sequence[Partition]
    chosen: int = 0
    points: Points | None = None
    encoder: PhraseEncoder | None = None
    inputs: InputReader | None = None
    settled: Sequence[Mapping[int, str]] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """The maximum cost of all names by one namer; once it is reached, the remaining clusters are named from their
    words. None is no limit."""

    cost: float | None = 0.0
    """In US dollars; 0 permits only what is free."""
    tokens: int | None = None
    """Tokens that are sent and received."""
    calls: int | None = None
    """Requests to a model, those that failed included."""


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
