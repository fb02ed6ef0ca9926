"""The groups of a run: numbered at first, and as tables to publish once they have ids and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shoal.analysis.found_clusters import FoundClusters
from shoal.analysis.naming import LayerNames
from shoal.columns import Labels, VectorColumn
from shoal.runs.grouping.ranks import Ranked, RunIds
from shoal.runs.input import RunInput

__all__ = ["Clustering", "GroupTables", "Groups", "NewGroups", "above", "relationship", "tree_of", "with_link_labels"]

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clustering:
    """One clustering of a run, of the documents of `source`; `feature` where features are clustered apart."""

    source: RunInput
    found: FoundClusters
    feature: str | None = None


class Groups(Protocol):
    """Numbered groups, without ids and names. One class for each kind of grouping."""

    def clusterings(self, source: RunInput) -> Sequence[Clustering]:
        """Return the clusterings to name; none if the names follow from the groups themselves."""
        ...

    def tables(self, source: RunInput, ids: RunIds, names: Sequence[Sequence[LayerNames]]) -> "GroupTables":
        """Build the tables of the groups. `names` has the names for the briefs of each clustering."""
        ...


class NewGroups(Groups, Protocol):
    """Groups computed by the run itself, which an earlier run may have had too."""

    def rank(self, source: RunInput) -> Ranked:
        """Return the clusters by rank, to be matched with those of an earlier run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTables:
    """The groups of a run as tables: `members`, one row a document (and feature, where features are clustered apart)
    with the collection it comes from, and `centroids`, one row a group, those that documents are in first."""

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
    """By the URI of the feature."""
    learning_quality: float | None = None
    """What the weights were learned for, as measured in these groups."""
    relationships: list[Values] = field(default_factory=list)
    """As `relationship` makes them."""

    @property
    def count(self) -> int:
        """Groups that documents are in; not the levels above them."""
        return int((~above(self.centroids)).sum())

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
        columns = [name for name in self.centroids.column_names if name != "vector"]
        rows: list[Values] = self.centroids.select(columns).to_pylist()
        return [{"label": row["cluster_label"], **row, **_decode_attributes(row)} for row in rows]


def above(centroids: pa.Table) -> NDArray[np.bool_]:
    """(rows,) which rows are groups of others."""
    if "parent_cluster_id" not in centroids.column_names:
        return np.zeros(centroids.num_rows, np.bool_)
    ids, parents = (centroids[name].cast(pa.string()) for name in ("cluster_id", "parent_cluster_id"))
    return np.asarray(pc.is_in(ids, value_set=parents.combine_chunks().drop_null()).to_numpy(), np.bool_)


def relationship(
    parent: Mapping[str, Any],
    child: Mapping[str, Any],
    *,
    level: int,
    relation: Literal["within", "same"] = "within",
    documents: int | None = None,
    overlap: float = 1.0,
) -> Values:
    """How two groups lie in each other, for hierarchy_relationships. Both are rows of `centroids`.

    `level` counts from the groups that documents are in, which are the children on level 1; level 0 relates groups of
    different features. `documents` is how many they share, `overlap` the larger of the two shares that this is.
    """
    shared = child["num_members"] if documents is None else documents
    return {
        "parent_cluster_id": parent["cluster_id"],
        "child_cluster_id": child["cluster_id"],
        "relation": relation,
        "level": level,
        "parent_label": parent["cluster_label"],
        "child_label": child["cluster_label"],
        "parent_num_members": parent["num_members"],
        "child_num_members": child["num_members"],
        "parent_feature": parent.get("feature"),
        "child_feature": child.get("feature"),
        "documents": shared,
        "overlap": overlap,
    }


def tree_of(centroids: pa.Table, levels: Mapping[str, int]) -> list[Values]:
    """Return the relationships in the column `parent_cluster_id`; `levels` are those of the parents."""
    columns = [name for name in centroids.column_names if name != "vector"]
    rows: dict[str, Values] = {row["cluster_id"]: row for row in centroids.select(columns).to_pylist()}
    links = [(rows[row["parent_cluster_id"]], row) for row in rows.values() if row.get("parent_cluster_id") in rows]
    return [relationship(parent, row, level=levels[parent["cluster_id"]]) for parent, row in links]


def with_link_labels(links: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[Values]:
    """Set labels, by id, in relationships of clusters; other clusters keep theirs."""
    return [_set_link_labels(link, labels) for link in links]


def _set_link_labels(link: Mapping[str, Any], labels: Mapping[str, str]) -> Values:
    new: dict[str, Any] = {
        f"{end}_label": labels[link[f"{end}_cluster_id"]]
        for end in ("parent", "child")
        if link[f"{end}_cluster_id"] in labels
    }
    return {**link, **new}


def _decode_attributes(row: Values) -> Values:
    return {"attributes": orjson.loads(row["attributes"])} if row.get("attributes") else {}
