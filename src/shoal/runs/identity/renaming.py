"""Groups under their lasting ids: every table, link and placeholder name that has an id in it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.runs.grouping.groups import Groups, Values, above, with_link_labels
from shoal.runs.identity.identify import path_of

__all__ = ["has_ids", "labelled", "rename", "with_labels"]

_ID_COLUMNS: Final = ("cluster_id", "parent_cluster_id", "parent")
_LAYER_COLUMN: Final = "layer_"
_PLACEHOLDER: Final = re.compile(r"(Cluster|Group|Part) ([0-9]+)")
Texts = Mapping[str, str]


def rename(groups: Groups, ids: Texts) -> Groups:
    """The groups with the ids by rank replaced by `ids`. Names that only count, as `Cluster 3`, are numbered as the ids
    are: those of `cl_7` and `cl_0_sub_1` are `Cluster 7` and `Cluster 0.1`."""
    labels = _placeholders(groups.centroids, ids)
    renamed = replace(
        groups,
        members=labelled(_renamed(groups.members, ids), labels),
        centroids=labelled(_renamed(groups.centroids, ids), labels),
        tables={name: _hierarchy(_renamed(table, ids), labels) for name, table in groups.tables.items()},
        relationships=[_renamed_link(link, ids) for link in groups.relationships],
    )
    return with_labels(renamed, labels)


def with_labels(groups: Groups, labels: Texts) -> Groups:
    """The groups with these labels, by id, in their relationships. The tables keep those that were made."""
    return replace(groups, relationships=with_link_labels(groups.relationships, labels))


def _renamed(table: pa.Table, ids: Texts) -> pa.Table:
    for name in table.column_names:
        if has_ids(table.schema.field(name)):
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


def has_ids(column: pa.Field) -> bool:
    """Whether a column of a run's tables holds ids of clusters; numbers under the same names do not."""
    text = pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)
    return text and (column.name in _ID_COLUMNS or column.name.startswith(_LAYER_COLUMN))


def _hierarchy(table: pa.Table, labels: Texts) -> pa.Table:
    """A table of the clusters of all layers, renamed already, with these labels of the chosen one's; names of others
    that only count are numbered as their ids are."""
    if not {"layer", "label", "keywords"} <= set(table.column_names):
        return table
    rows = table.select(["cluster_id", "label", "keywords"]).to_pylist()
    new = []
    for row in rows:
        made = _PLACEHOLDER.fullmatch(row["label"])
        if row["cluster_id"] not in labels and made is not None and not row["keywords"] and made[1] != "Cluster":
            new.append(f"{made[1]} {row['cluster_id'].rpartition('_')[2]}")
        else:
            new.append(labels.get(row["cluster_id"], row["label"]))
    return table.set_column(table.schema.get_field_index("label"), "label", pa.array(new, pa.string()))


def labelled(table: pa.Table, labels: Texts, column: str = "cluster_label") -> pa.Table:
    """The table with these labels of clusters, by id, in the column that has them; the others keep theirs."""
    if not labels:
        return table
    ids = table["cluster_id"].cast(pa.string()).combine_chunks()
    new = pc.take(pa.array(labels.values(), pa.string()), pc.index_in(ids, value_set=pa.array(labels.keys())))
    old = table[column]
    values = pc.coalesce(new, old.cast(pa.string()).combine_chunks())
    if pa.types.is_dictionary(old.type):
        values = values.dictionary_encode()
    return table.set_column(table.schema.get_field_index(column), column, values)


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
