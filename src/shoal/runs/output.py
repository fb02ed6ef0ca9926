"""The documents of an output collection: one per cluster and one per member (contract.md#output-documents)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.analysis.name_columns import NAME_COLUMNS
from shoal.columns import DocumentBatch, Rows, VectorColumn
from shoal.records.clusters.ids import NOISE_ID, PARTITION_END, id_in_partition
from shoal.records.runs.execution import Execution
from shoal.runs.grouping.groups import GroupTables
from shoal.runs.labels import set_labels
from shoal.tables import decode_dictionaries

__all__ = ["member_ids", "output_batches"]

_BATCH: Final = 8192
_OF_SOURCE: Final = {"document_id": "source_document_id", "collection_id": "source_collection_id"}


def output_batches(
    run: Execution, groups: GroupTables, feature: str | None, labels: Mapping[str, str]
) -> Iterator[DocumentBatch]:
    """Yield batches for the store: centroids first (with their vectors), then members.

    With a `feature`, only those of that feature. `labels` are custom labels by cluster id.
    """
    shown = replace(groups, members=set_labels(groups.members, labels), centroids=set_labels(groups.centroids, labels))
    return _batches(run, shown, feature)


def _batches(run: Execution, groups: GroupTables, feature: str | None) -> Iterator[DocumentBatch]:
    about = {"run_id": run.run_id, "source_cluster_id": run.cluster_id}
    yield _centroids(run, groups, feature, about)
    members = groups.members
    several = len(members["collection_id"].unique()) > 1 if members.num_rows else False
    if feature is not None:
        members = members.filter(pc.equal(members["feature"].cast(pa.string()), feature))
    for batch in members.to_batches(_BATCH):
        plain = decode_dictionaries(batch)
        rows = _member_fields(plain, run.partition).to_pylist()
        payloads = [orjson.dumps({"is_centroid": False, **row, **about}) for row in rows]
        yield DocumentBatch(member_ids(plain, several), payloads)


def _centroids(run: Execution, groups: GroupTables, feature: str | None, about: Mapping[str, str]) -> DocumentBatch:
    table = groups.centroids
    table = table.drop_columns([name for name in ("vector",) if name in table.column_names])
    every = np.arange(table.num_rows, dtype=np.int64)
    rows_of_feature = every if feature is None else every[np.equal(table["feature"].to_numpy(), feature)]
    rows = [_without_gaps(row) for row in table.take(pa.array(rows_of_feature)).to_pylist()]
    ids = [id_in_partition(row["cluster_id"], run.partition) for row in rows]
    payloads = [
        orjson.dumps({"is_centroid": True, **row, "cluster_id": id, **_own_fields(row, run.partition), **about})
        for row, id in zip(rows, ids, strict=True)
    ]
    return DocumentBatch(ids, payloads, {name: c for name, c in _vectors(groups, rows_of_feature) if len(c.rows)})


def _without_gaps(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not known of the label; why a model did not write it stands in the run."""
    about = {name: row.get(name) for name in NAME_COLUMNS if name != "label_error" and row.get(name)}
    if "label_details" in about:
        about["label_details"] = orjson.loads(row["label_details"])
    return {**{name: value for name, value in row.items() if name not in NAME_COLUMNS}, **about}


def _own_fields(row: Mapping[str, Any], partition: str | None) -> dict[str, Any]:
    """Return the fields that differ from the table: the id of the parent document, and attributes, decoded from
    JSON."""
    parent, attributes = row.get("parent_cluster_id"), row.get("attributes")
    return {
        **({} if parent is None else {"parent_cluster_id": id_in_partition(parent, partition)}),
        **({} if attributes is None else {"attributes": orjson.loads(attributes)}),
    }


def _vectors(groups: GroupTables, rows: Rows) -> Iterator[tuple[str, VectorColumn]]:
    """Yield for each feature the vectors of the groups `rows` (ascending), renumbered among these."""
    for name, column in groups.vectors.items():
        here = np.isin(column.rows, rows)
        yield name, VectorColumn(np.searchsorted(rows, column.rows[here]), column.values[here])


def member_ids(members: pa.RecordBatch, several: bool) -> list[str]:
    """Build ids distinct from those of centroids, and unique even if sources share document ids or features are
    clustered separately."""
    prefixes = [*(["feature"] if "feature" in members.schema.names else []), *(["collection_id"] if several else [])]
    ids: list[str] = pc.binary_join_element_wise(
        "m", *(members[name] for name in (*prefixes, "document_id")), ":"
    ).to_pylist()
    return ids


def _member_fields(members: pa.RecordBatch, partition: str | None) -> pa.RecordBatch:
    """Return the payload fields of the members, as columns."""
    if partition is not None:
        ids = members["cluster_id"]
        within = pc.binary_join_element_wise(partition, ids, PARTITION_END)
        place = members.schema.get_field_index("cluster_id")
        members = members.set_column(place, "cluster_id", pc.if_else(pc.equal(ids, NOISE_ID), ids, within))
    return members.rename_columns([_OF_SOURCE.get(name, name) for name in members.schema.names])
