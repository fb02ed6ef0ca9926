"""The documents of an output collection: one per cluster and one per member (contract 2.3)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from shoal.columns import DocumentBatch, VectorColumn
from shoal.records.execution import Execution
from shoal.services.analysis import NOISE_ID
from shoal.services.grouping import Groups

__all__ = ["output_batches", "wire_ids"]

_BATCH: Final = 8192


def wire_ids(cluster_id: str, partition: str | None) -> str:
    """`cl_0`, or `<partition>:cl_0` where the run has a filter of its own."""
    return cluster_id if partition is None else f"{partition}:{cluster_id}"


def output_batches(run: Execution, groups: Groups, members: pa.Table, centroids: pa.Table) -> Iterator[DocumentBatch]:
    """Batches for the store: centroids first (with their vectors), then members."""
    about = {"run_id": run.run_id, "source_cluster_id": run.cluster_id}
    yield _centroids(run, groups, centroids, about)
    several = len(members["collection_id"].unique()) > 1 if members.num_rows else False
    for batch in members.to_batches(_BATCH):
        rows = batch.to_pylist()
        yield DocumentBatch(
            ids=[_member_id(row, several) for row in rows],
            payloads=[orjson.dumps(_member(row, run.partition, about)) for row in rows],
        )


def _centroids(run: Execution, groups: Groups, table: pa.Table, about: Mapping[str, str]) -> DocumentBatch:
    rows = table.drop_columns([name for name in ("vector",) if name in table.column_names]).to_pylist()
    ids = [wire_ids(row["cluster_id"], run.partition) for row in rows]
    payloads = [
        orjson.dumps({"is_centroid": True, **row, "cluster_id": id, **about}) for row, id in zip(rows, ids, strict=True)
    ]
    every = np.arange(len(rows), dtype=np.int64)
    vectors = {name: VectorColumn(every, points) for name, points in groups.vectors.items()} if len(rows) else {}
    return DocumentBatch(ids, payloads, vectors)


def _member_id(row: Mapping[str, Any], several: bool) -> str:
    """Apart from the centroids' ids, and unique where sources share document ids."""
    source = f"{row['collection_id']}:{row['document_id']}" if several else row["document_id"]
    return f"m:{source}"


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
