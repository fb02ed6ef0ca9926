"""The clusters of a run by rank, which `runs/identity` matches with those of an earlier run, and their ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shoal.analysis.ranks import ClusterIds
from shoal.columns import Labels
from shoal.records.clusters.ids import Path, Series

__all__ = ["LAYERS", "Ranked", "RankedLayers", "RunIds", "document_keys", "is_layers_table", "member_keys"]

LAYERS: Final = "layers"
"""The prefix of the names of artifacts with layers."""


@dataclass(frozen=True, slots=True)
class RankedLayers:
    """The layers of one clustering from coarse to fine."""

    clustering: int
    """The position of the clustering among those of the run."""
    artifact: str
    """The name of the artifact with these layers."""
    series: Sequence[Series | None]
    """The id series of each layer; None for the chosen layer."""
    labels: Sequence[Labels]
    """For each layer the cluster (n,) of every row, -1 for none."""
    keys: pa.Array
    """(n,) the document of each row, see `document_keys`."""
    feature: str | None = None
    """The feature, if features were clustered separately."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The clusters of a run, numbered as the rows of its centroids."""

    paths: Sequence[Path]
    """By rank: the clusters with documents first, then the groups above them."""
    labels: Labels
    """(m,) the number of the cluster of each member, -1 for noise."""
    keys: pa.Array
    """(m,) the document (and feature) of each member, see `document_keys`."""
    layers: Sequence[RankedLayers] = ()
    values: pa.Table | None = None
    """For groups of values: `number`, `parent` (a number, null at the top) and `attributes`, a JSON object."""


@dataclass(frozen=True, slots=True)
class RunIds:
    """The ids of all clusters of a run by number, and of the clusters in its other layers."""

    ids: Sequence[str]
    layers: Mapping[int, Sequence[Sequence[str] | None]] = field(default_factory=dict)
    """By the position of the clustering; None for the chosen layer, whose clusters are those of the clustering."""

    def of_clustering(self, number: int, first: int, clusters: int, groups: int) -> ClusterIds:
        """Return the ids of one clustering, whose rows begin at `first`: its clusters, then its groups."""
        own = self.ids[first : first + clusters]
        above = self.ids[first + clusters : first + clusters + groups]
        layers = [own if ids is None else ids for ids in self.layers.get(number, [None])]
        return ClusterIds(own, above, layers)


def document_keys(ids: Sequence[str], collections: Sequence[str], feature: str | None = None) -> pa.Array:
    """Return (n,) keys that identify documents, or documents and features."""
    columns = {"collection_id": pa.array(collections, pa.string()), "document_id": pa.array(ids, pa.string())}
    if feature is not None:
        columns = {"feature": pa.repeat(pa.scalar(feature, pa.string()), len(ids)), **columns}
    return member_keys(pa.table(columns))


def member_keys(members: pa.Table) -> pa.Array:
    """Return one key for each member, as large strings: their total size may exceed 32 bits."""
    names = [name for name in ("feature", "collection_id", "document_id") if name in members.column_names]
    columns = [members[name].cast(pa.string()).cast(pa.large_string()) for name in names]
    joined = pc.binary_join_element_wise(*columns, pa.scalar("\0", pa.large_string()))
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def is_layers_table(name: str) -> bool:
    """Whether an artifact of this name holds layers."""
    return name == LAYERS or name.startswith(f"{LAYERS}_")
