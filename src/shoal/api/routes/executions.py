"""Routes of runs and their results."""

import io
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
import pyarrow.csv
from fastapi import Body, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from shoal.api.callers.permissions import READ, WRITE
from shoal.api.deps import ListQueryDep, NamespaceDep, ServicesDep
from shoal.api.downloads import Download
from shoal.api.idempotency import IdempotentCallDep
from shoal.api.links import base_url
from shoal.api.methods import is_head_request
from shoal.api.mounts import MOUNT
from shoal.api.replies import encode, reply
from shoal.api.resource import Resource
from shoal.records.queries.paging import ListBody
from shoal.records.runs.execution import ClusterData, Execution, PatchLabels, PatchRunName
from shoal.records.runs.results import (
    CancelledRun,
    ExecutionList,
    ExportedTable,
    LabelledRun,
    NamedRun,
    RunData,
    Visualization,
)
from shoal.services.run_tables import ParquetTable
from shoal.tables import decode_dictionaries

__all__ = ["router"]

router = Resource(
    "/clusters/{cluster_identifier}",
    tag="Executions",
    about="Runs of a cluster and their results.",
    path_parameters={
        "cluster_identifier": "Id or name of the cluster.",
        "run_id": "Id of the run.",
    },
)
_SEARCHED = ("run_id", "run_name", "error_message", "searched_labels")
_ARROW: Final = "application/vnd.apache.arrow.stream"
_NDJSON: Final = "application/x-ndjson"
_PARQUET: Final = "application/vnd.apache.parquet"
_CSV_ROWS: Final = 8192
_MAX_ROWS: Final = 2**53
_FORMULA: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""The start of a cell that a spreadsheet may interpret as a formula, after white space and invisible characters."""


_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_ALTERNATIVES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {_ARROW: _BYTES, _PARQUET: _BYTES, _NDJSON: {"schema": {"type": "string"}}}}
}
"""The formats that an Accept header can request instead of JSON."""


@router.get("/executions", response_model=Execution | None, openapi_extra=READ)
def get_latest_execution(
    services: ServicesDep, scope: NamespaceDep, cluster_identifier: str, include_vectors: bool = False
) -> Response:
    """Get the newest run; JSON null before the first."""
    return reply(services.executions.latest(scope, cluster_identifier, vectors=include_vectors))


@router.post("/executions/list", response_model=ExecutionList, openapi_extra=READ)
def list_executions(
    services: ServicesDep,
    scope: NamespaceDep,
    list_query: ListQueryDep,
    cluster_identifier: str,
    body: Annotated[ListBody | None, Body()] = None,
) -> Response:
    """List the runs of the cluster, newest first."""
    listing = services.executions.search(scope, cluster_identifier, list_query.query(body, _SEARCHED))
    return reply(
        {
            "results": listing.items,
            "pagination": list_query.pagination(listing, body),
            "total_count": listing.total,
            "stats": services.executions.stats(scope, cluster_identifier),
        }
    )


@router.get("/executions/{run_id}", response_model=Execution, openapi_extra=READ)
def get_execution(
    services: ServicesDep, scope: NamespaceDep, cluster_identifier: str, run_id: str, include_vectors: bool = False
) -> Response:
    """Get a run."""
    return reply(services.executions.get(scope, cluster_identifier, run_id, vectors=include_vectors))


@router.post("/executions/{run_id}/cancel", response_model=CancelledRun, openapi_extra=WRITE)
def cancel_execution(
    services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, cluster_identifier: str, run_id: str
) -> Response:
    """Cancel a run; none of its results are published. 409 where it has ended."""

    def show(run: Execution) -> Response:
        fields = {"cluster_id": run.cluster_id, "run_id": run.run_id, "status": run.status, "task_id": run.task_id}
        return reply({"success": True, **fields})

    return call.once(scope, lambda: services.executions.cancellation(scope, cluster_identifier, run_id), show)


@router.patch("/executions/{run_id}/labels", response_model=LabelledRun, openapi_extra=WRITE)
def patch_labels(
    services: ServicesDep, scope: NamespaceDep, cluster_identifier: str, run_id: str, body: PatchLabels
) -> Response:
    """Set custom labels of clusters and of groups of other layers; an empty string removes one. Documents with the old
    label get the new one: at once where they are few, else within minutes, as `warnings` says."""
    outcome = services.executions.relabel(scope, cluster_identifier, run_id, body.labels)
    run = outcome.run
    fields = {"cluster_id": run.cluster_id, "run_id": run.run_id, "label_overrides": run.label_overrides}
    return reply({**fields, "documents_relabelled": outcome.documents, "warnings": outcome.warnings})


@router.patch("/executions/{run_id}/name", response_model=NamedRun, openapi_extra=WRITE)
def patch_run_name(
    services: ServicesDep, scope: NamespaceDep, cluster_identifier: str, run_id: str, body: PatchRunName
) -> Response:
    """Set the name of a run; an empty string removes it."""
    run = services.executions.rename(scope, cluster_identifier, run_id, body.run_name)
    return reply({"cluster_id": run.cluster_id, "run_id": run.run_id, "run_name": run.run_name})


@router.get(
    "/executions/{run_id}/export",
    response_model=ExportedTable,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}, 413: {}},
    openapi_extra=READ,
)
def export_execution(
    request: Request,
    services: ServicesDep,
    scope: NamespaceDep,
    cluster_identifier: str,
    run_id: str,
    format: Literal["parquet", "csv"] = "parquet",
    cluster_label: str | None = None,
) -> Response:
    """Export the members of a run, or those of one label. parquet: a link to the file, valid for an hour without a key;
    csv: the rows, at most 100,000."""
    if format == "csv" and cluster_label is None and is_head_request(request):
        services.executions.check_export(scope, cluster_identifier, run_id)
        return _csv_response(pa.table({}), run_id)
    if format == "csv":
        rows = services.executions.export_rows(scope, cluster_identifier, run_id, cluster_label)
        return _csv_response(rows, run_id)
    table = services.executions.table(scope, cluster_identifier, run_id, "members", cluster_label)
    table.content.close()
    path = f"/clusters/{table.cluster_id}/executions/{table.run_id}/download"
    link = services.links.sign(scope, path, table="members", cluster_label=cluster_label)
    url = f"{base_url(request)}{MOUNT}{link.target}"
    return reply(
        {
            "url": url,
            "download_url": url,
            "format": "parquet",
            "expires_at": link.expires_at,
            "size_bytes": table.size_bytes,
            "row_count": table.rows,
        }
    )


@router.get(
    "/executions/{run_id}/download",
    response_class=Response,
    responses={200: {"content": {_PARQUET: _BYTES}}},
    openapi_extra=READ,
)
def download_table(
    services: ServicesDep,
    scope: NamespaceDep,
    cluster_identifier: str,
    run_id: str,
    table: str = "members",
    cluster_label: str | None = None,
) -> Response:
    """Download a table of a run as Parquet: members (optionally of one label), centroids, near_duplicates and,
    depending on the method, layers, hierarchy or condensed_tree. Requires a key, or the signature of an export link."""
    parquet = services.executions.table(scope, cluster_identifier, run_id, table, cluster_label)
    answer = _parquet_response(parquet, f"{run_id}-{table}.parquet")
    # Everyone with the link may read the table, but no proxy may cache it beyond the expiry of the link.
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


@router.get("/visualization", response_model=Visualization, openapi_extra=READ)
def get_visualization(
    services: ServicesDep,
    scope: NamespaceDep,
    cluster_identifier: str,
    max_points: Annotated[int, Query(ge=1, le=1_000_000)] = 10_000,
    centroids_only: bool = False,
    compact: bool = False,
    run_id: str | None = None,
    feature: str | None = None,
) -> Response:
    """Get the map of the visible run, or of the named one; of one feature where features were clustered separately."""
    return reply(
        services.executions.visualization(
            scope,
            cluster_identifier,
            run_id,
            max_points=max_points,
            centroids_only=centroids_only,
            compact=compact,
            feature=feature,
        )
    )


@router.get("/artifacts", response_model=RunData, openapi_extra=READ)
@router.get(
    "/executions/{run_id}/artifacts", response_model=RunData, operation_id="get_run_artifacts", openapi_extra=READ
)
def get_artifacts(
    services: ServicesDep,
    scope: NamespaceDep,
    cluster_identifier: str,
    run_id: str | None = None,
    include_centroids: bool = True,
    include_members: bool = False,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=_MAX_ROWS)] = 0,
    cursor: Annotated[str | None, Query(max_length=512, description="The next_cursor of the page before.")] = None,
    projection_method: Literal["2d", "3d"] | None = None,
) -> Response:
    """Get centroids and members of the visible run, or of the named one, with their coordinates on the map; a map of
    two dimensions has no 3d projection."""
    window = ClusterData(
        include_centroids=include_centroids,
        include_members=include_members,
        limit=limit,
        offset=offset,
        cursor=cursor,
    )
    axes = None if projection_method is None else int(projection_method[0])
    return reply(services.executions.data(scope, cluster_identifier, run_id, window, axes=axes))


@router.get("/execution", response_model=Execution | None, openapi_extra=READ)
def get_execution_by_its_old_name(
    services: ServicesDep, scope: NamespaceDep, cluster_identifier: str, include_vectors: bool = False
) -> Response:
    """Get the newest run (an older path of the API)."""
    return reply(services.executions.latest(scope, cluster_identifier, vectors=include_vectors))


@router.post("/data", response_model=RunData, responses=_ALTERNATIVES, openapi_extra=READ)
@router.post(
    "/executions/{run_id}/data",
    response_model=RunData,
    responses=_ALTERNATIVES,
    operation_id="get_run_data",
    openapi_extra=READ,
)
def get_data(
    services: ServicesDep,
    scope: NamespaceDep,
    cluster_identifier: str,
    run_id: str | None = None,
    body: Annotated[ClusterData | None, Body()] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "application/json",
) -> Response:
    """Get centroids and members as JSON, or all members as an Arrow stream, Parquet or NDJSON by the Accept header."""
    if accept.startswith(_ARROW):
        table = services.executions.members_table(scope, cluster_identifier, run_id)
        return StreamingResponse(_arrow_chunks(table), media_type=_ARROW)
    if accept.startswith(_PARQUET):
        parquet = services.executions.table(scope, cluster_identifier, run_id, "members")
        return _parquet_response(parquet, f"{parquet.run_id}-members.parquet")
    if accept.startswith(_NDJSON):
        table = services.executions.members_table(scope, cluster_identifier, run_id)
        return StreamingResponse(_ndjson_chunks(table), media_type=_NDJSON)
    return reply(services.executions.data(scope, cluster_identifier, run_id, body or ClusterData()))


def _parquet_response(table: ParquetTable, name: str) -> Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return Download(table.content, table.size_bytes, name, etag=table.sha256, media_type=_PARQUET, headers=headers)


def _arrow_chunks(table: pa.Table) -> Iterator[bytes]:
    """Yield an IPC stream, one chunk per batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(65_536):
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()


def _ndjson_chunks(table: pa.Table) -> Iterator[bytes]:
    for batch in table.to_batches(8192):
        yield b"".join(encode(row) + b"\n" for row in decode_dictionaries(batch).to_pylist())


def _csv_response(table: pa.Table, run_id: str) -> Response:
    return StreamingResponse(
        _csv_chunks(table),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{run_id}.csv"', "X-Content-Type-Options": "nosniff"},
    )


def _csv_chunks(table: pa.Table) -> Iterator[bytes]:
    """Yield the header row with the first rows, then the others in chunks."""
    for start in range(0, max(1, len(table)), _CSV_ROWS):
        sink = io.BytesIO()
        rows = _escape_formulas(table.slice(start, _CSV_ROWS))
        pyarrow.csv.write_csv(rows, sink, pyarrow.csv.WriteOptions(include_header=not start))
        yield sink.getvalue()


def _escape_formulas(table: pa.Table) -> pa.Table:
    """Prefix strings that a spreadsheet would interpret as formulas with an apostrophe."""
    table = decode_dictionaries(table)
    for place, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_string(column.type):
            texts = [f"'{text}" if text and _FORMULA.match(text) else text for text in column.to_pylist()]
            table = table.set_column(place, name, pa.chunked_array([pa.array(texts, pa.string())]))
    return table
