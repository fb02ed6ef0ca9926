"""Groups under their lasting ids: every table, link and placeholder name that has an id in it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.services.groups import Groups, Values, above
from shoal.services.identity import path_of

__all__ = ["labelled", "rename", "with_labels"]

_ID_COLUMNS: Final = ("cluster_id", "parent_cluster_id")
_PLACEHOLDER: Final = re.compile(r"(Cluster|Group) ([0-9]+)")
Texts = Mapping[str, str]


def rename(groups: Groups, ids: Texts) -> Groups:
    """The groups with the ids by rank replaced by `ids`. Names that only count, as `Cluster 3`, are numbered as the ids
    are: those of `cl_7` and `cl_0_sub_1` are `Cluster 7` and `Cluster 0.1`."""
    labels = _placeholders(groups.centroids, ids)
    renamed = replace(
        groups,
        members=labelled(_renamed(groups.members, ids), labels),
        centroids=labelled(_renamed(groups.centroids, ids), labels),
        tables={
            name: _with_clusters(_renamed(table, ids), groups.centroids, ids) for name, table in groups.tables.items()
        },
        relationships=[_renamed_link(link, ids) for link in groups.relationships],
    )
    return with_labels(renamed, labels)


def with_labels(groups: Groups, labels: Texts) -> Groups:
    """The groups with these labels, by id, in their relationships. The tables keep those that were made."""
    return replace(groups, relationships=[_labelled_link(link, labels) for link in groups.relationships])


def _renamed(table: pa.Table, ids: Texts) -> pa.Table:
    for name in _ID_COLUMNS:
        if name in table.column_names:
            column = table[name].combine_chunks()
            encoded = pa.types.is_dictionary(column.type)
            known = (column.dictionary if encoded else column).to_pylist()
            new = pa.array([id if id is None else ids.get(id, id) for id in known], pa.string())
            values = pa.DictionaryArray.from_arrays(column.indices, new) if encoded else new
            table = table.set_column(table.schema.get_field_index(name), name, values)
    about = table.schema.metadata or {}
    if b"selected" in about:  # of a condensed tree: its chosen clusters by id
        selected = {ids.get(id, id): number for id, number in orjson.loads(about[b"selected"]).items()}
        table = table.replace_schema_metadata({**about, b"selected": orjson.dumps(selected)})
    return table


def _with_clusters(table: pa.Table, centroids: pa.Table, ids: Texts) -> pa.Table:
    """Layers number the clusters by size: their metadata has the ids of those in the chosen one, in this order."""
    about = table.schema.metadata or {}
    if b"chosen" not in about:
        return table
    own = np.logical_not(above(centroids))
    if b"feature" in about:
        own &= np.asarray(pc.equal(centroids["feature"].cast(pa.string()), about[b"feature"].decode()).to_numpy(), bool)
    clusters = [ids[id] for id in centroids["cluster_id"].filter(pa.array(own)).to_pylist()]
    return table.replace_schema_metadata({**about, b"clusters": orjson.dumps(clusters)})


def labelled(table: pa.Table, labels: Texts) -> pa.Table:
    """The table with these labels of clusters, by id; the others keep theirs."""
    if not labels:
        return table
    ids = table["cluster_id"].cast(pa.string()).combine_chunks()
    new = pc.take(pa.array(labels.values(), pa.string()), pc.index_in(ids, value_set=pa.array(labels.keys())))
    old = table["cluster_label"]
    values = pc.coalesce(new, old.cast(pa.string()).combine_chunks())
    if pa.types.is_dictionary(old.type):
        values = values.dictionary_encode()
    return table.set_column(table.schema.get_field_index("cluster_label"), "cluster_label", values)


def _placeholders(centroids: pa.Table, ids: Texts) -> dict[str, str]:
    """The names that only count, as they are numbered by the lasting ids, by these; those that differ."""
    if "attributes" in centroids.column_names:
        return {}  # the names are values
    kept = [name for name in ("cluster_id", "cluster_label", "keywords", "feature") if name in centroids.column_names]
    counted: dict[tuple[str | None, bool], int] = {}
    found = {}
    for row, higher in zip(centroids.select(kept).to_pylist(), above(centroids).tolist(), strict=True):
        kind = row.get("feature"), higher
        number = counted[kind] = counted.get(kind, -1) + 1
        made = _PLACEHOLDER.fullmatch(row["cluster_label"] or "")
        if made is not None and not row["keywords"] and int(made[2]) == number:
            id = ids[row["cluster_id"]]
            label = f"{made[1]} {'.'.join(map(str, path_of(id)))}"
            if label != row["cluster_label"]:
                found[id] = label
    return found


def _renamed_link(link: Values, ids: Texts) -> Values:
    return {**link, **{name: ids.get(link[name], link[name]) for name in ("parent_cluster_id", "child_cluster_id")}}


def _labelled_link(link: Values, labels: Texts) -> Values:
    new: dict[str, Any] = {
        f"{end}_label": labels[link[f"{end}_cluster_id"]]
        for end in ("parent", "child")
        if link[f"{end}_cluster_id"] in labels
    }
    return {**link, **new}
