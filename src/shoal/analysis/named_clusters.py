"""Named clusters, in one layer or in several: the result of an analysis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.columns import NOISE, Labels
from shoal.engine.outcome import Outcome
from shoal.labeling.base import Source

__all__ = ["Analysis", "Group", "NamedCluster", "NamedLayer", "Provenance"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a label comes from, and how well it fits.

    Attributes
    ----------
    source : str
        `words`, `value`, `number` or `model`.
    model : str or None
        The model that wrote the label, as `provider:model`.
    score : float or None
        0 to 1, the share of held-out documents that the label alone distinguishes from those of the nearest siblings.
    coverage : float or None
        0 to 1, the share of these documents that the label fits.
    evidence : tuple of str or int
        Ids of the documents that are cited for the label.
    error : str or None
        Why the label is not from the model that was asked.
    details : mapping or None
        What a model answered beyond label, summary and keywords.
    """

    source: Source = "words"
    model: str | None = None
    score: float | None = None
    coverage: float | None = None
    evidence: tuple[str | int, ...] = ()
    error: str | None = None
    details: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class NamedCluster:
    """One named cluster.

    Attributes
    ----------
    cluster_id : str
        Such as `cl_0`.
    label : str
        Its name.
    keywords : tuple of str
        Its most characteristic phrases.
    size : int
        Number of members.
    share : float
        Of all rows, noise included.
    mean_similarity, min_similarity : float
        Cosine similarity of the members to the centroid.
    medoid : str or int
        Id of the most central member.
    representatives : tuple of str or int
        Ids of the members nearest to the centroid.
    parent : str or None
        The cluster of the layer above, or the group, that it belongs to.
    examples : tuple of str
        Texts of the representatives, shortened to one line, in their order; members without a text are left out.
    summary : str or None
        A sentence or two about it.
    provenance : Provenance
        Where the label comes from.
    """

    cluster_id: str
    label: str
    keywords: tuple[str, ...]
    size: int
    share: float
    mean_similarity: float
    min_similarity: float
    medoid: str | int
    representatives: tuple[str | int, ...]
    parent: str | None = None
    examples: tuple[str, ...] = ()
    summary: str | None = None
    provenance: Provenance = Provenance()

    @property
    def source(self) -> str:
        """Where the label comes from: `words`, `value`, `number` or `model`."""
        return self.provenance.source

    @property
    def score(self) -> float | None:
        """0 to 1, the share of documents held out of naming that the label alone distinguishes from those of the
        nearest clusters; None if it was not measured."""
        return self.provenance.score

    @property
    def coverage(self) -> float | None:
        """0 to 1, the share of these documents that the label fits; None if it was not measured."""
        return self.provenance.coverage

    @property
    def evidence(self) -> tuple[str | int, ...]:
        """Ids of the documents that show the label best."""
        return self.provenance.evidence


@dataclass(frozen=True, slots=True)
class NamedLayer:
    """One granularity of n rows: `labels` (n,) are positions in `clusters`, largest first, -1 for rows in none.

    The clusters of the layer that was chosen are those of the clustering. Those of coarser layers have the ids
    `broad_N`, those of finer ones `fine_N`, counted from the coarsest on, so that an id is of one layer. `parent` is an
    id of the layer before.
    """

    labels: Labels
    clusters: Sequence[NamedCluster]
    chosen: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Clusters that belong together on some level above them. `children` are the ids of the clusters and groups
    directly in it, `clusters` the numbers of all clusters below."""

    group_id: str
    label: str
    keywords: tuple[str, ...]
    level: int
    size: int
    children: tuple[str, ...]
    parent: str | None
    clusters: tuple[int, ...]
    summary: str | None = None
    provenance: Provenance = Provenance()


@dataclass(frozen=True, slots=True)
class Analysis:
    """A clustering with names. `ids[i]` is the document of row i of `outcome.labels`."""

    ids: Sequence[str]
    outcome: Outcome
    clusters: Sequence[NamedCluster]
    groups: Sequence[Group] = ()
    """Of all levels, nearest to the clusters first."""
    layers: Sequence[NamedLayer] = ()
    """Coarse to fine, each nested in the one before; one where the method has one granularity."""

    @property
    def noise(self) -> int:
        """Rows that belong to no cluster."""
        return int(np.count_nonzero(self.outcome.labels == NOISE))
