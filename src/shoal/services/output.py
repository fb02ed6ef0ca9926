"""The documents of an output collection: one per cluster and one per member (contract 2.3)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shoal.columns import DocumentBatch, Rows, VectorColumn
from shoal.records.execution import Execution
from shoal.services.analysis import NOISE_ID
from shoal.services.groups import Groups

__all__ = ["output_batches", "wire_ids"]

_BATCH: Final = 8192


def wire_ids(cluster_id: str, partition: str | None) -> str:
    """`cl_0`, or `<partition>:cl_0` where the run has a filter of its own."""
    return cluster_id if partition is None else f"{partition}:{cluster_id}"


def output_batches(run: Execution, groups: Groups, feature: str | None) -> Iterator[DocumentBatch]:
    """Batches for the store: centroids first (with their vectors), then members; only those of `feature` where one is
    given."""
    about = {"run_id": run.run_id, "source_cluster_id": run.cluster_id}
    yield _centroids(run, groups, feature, about)
    members = groups.members
    several = len(members["collection_id"].unique()) > 1 if members.num_rows else False
    if feature is not None:
        members = members.filter(pc.equal(members["feature"].cast(pa.string()), feature))
    for batch in members.to_batches(_BATCH):
        rows = batch.to_pylist()
        yield DocumentBatch(
            ids=[_member_id(row, several) for row in rows],
            payloads=[orjson.dumps(_member(row, run.partition, about)) for row in rows],
        )


def _centroids(run: Execution, groups: Groups, feature: str | None, about: Mapping[str, str]) -> DocumentBatch:
    table = groups.centroids
    table = table.drop_columns([name for name in ("vector",) if name in table.column_names])
    every = np.arange(table.num_rows, dtype=np.int64)
    kept = every if feature is None else every[np.equal(table["feature"].to_numpy(), feature)]
    rows = table.take(pa.array(kept)).to_pylist()
    ids = [wire_ids(row["cluster_id"], run.partition) for row in rows]
    payloads = [
        orjson.dumps({"is_centroid": True, **row, "cluster_id": id, **about}) for row, id in zip(rows, ids, strict=True)
    ]
    return DocumentBatch(ids, payloads, {name: c for name, c in _vectors(groups, kept) if len(c.rows)})


def _vectors(groups: Groups, kept: Rows) -> Iterator[tuple[str, VectorColumn]]:
    """For each feature the vectors of the groups `kept` (ascending), rows counted among those."""
    for name, column in groups.vectors.items():
        here = np.isin(column.rows, kept)
        yield name, VectorColumn(np.searchsorted(kept, column.rows[here]), column.values[here])


def _member_id(row: Mapping[str, Any], several: bool) -> str:
    """Apart from the centroids' ids, and unique where sources share document ids or features are clustered apart."""
    feature = [row["feature"]] if "feature" in row else []
    return ":".join(["m", *feature, *([row["collection_id"]] if several else []), row["document_id"]])


def _member(row: Mapping[str, Any], partition: str | None, about: Mapping[str, str]) -> dict[str, Any]:
    inside = row["cluster_id"] != NOISE_ID
    return {
        "is_centroid": False,
        **{name: value for name, value in row.items() if name not in ("document_id", "collection_id")},
        "cluster_id": wire_ids(row["cluster_id"], partition) if inside else NOISE_ID,
        "source_document_id": row["document_id"],
        "source_collection_id": row["collection_id"],
        **about,
    }
