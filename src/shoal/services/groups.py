"""What a run found: its groups as tables, and what is known of the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from shoal.columns import Labels, VectorColumn

__all__ = ["Groups"]

Values = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The groups of a run as tables: `members`, one row a document (and feature, where features are clustered apart)
    with the collection it comes from, and `centroids`, one row a group."""

    members: pa.Table
    centroids: pa.Table
    labels: Labels
    """(n,) the group of each document, -1 where it is in none (in none of any feature)."""
    metrics: Mapping[str, Any]
    params: Mapping[str, Any]
    warnings: Sequence[str] = ()
    distance_metric: str | None = None
    exact: bool = True
    seed: int | None = None
    vectors: Mapping[str, VectorColumn] = field(default_factory=dict)
    """For each feature the vectors that stand for the groups; rows are those of `centroids`."""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    """Further tables by the name of their artifact: near_duplicates, layers, condensed_tree."""
    layers: Values | None = None
    """The granularities that the parameter-free method found, and why one was chosen."""
    learned_weights: Mapping[str, float] | None = None
    relationships: list[Values] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Groups."""
        return int(self.centroids.num_rows)

    @property
    def noise(self) -> int:
        """Documents in no group."""
        return int((self.labels < 0).sum())

    @property
    def dimensions(self) -> int:
        """Of the map: 0, 2 or 3."""
        return sum(axis in self.members.column_names for axis in "xyz")

    def summary(self) -> list[Values]:
        """The groups without their vectors, named as in ClusterExecutionCentroid."""
        kept = [name for name in self.centroids.column_names if name != "vector"]
        rows: list[Values] = self.centroids.select(kept).to_pylist()
        return [{"label": row["cluster_label"], **row, **_decoded(row)} for row in rows]


def _decoded(row: Values) -> Values:
    return {"attributes": orjson.loads(row["attributes"])} if row.get("attributes") else {}
