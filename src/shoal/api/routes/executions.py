"""Runs of a cluster and what came out of them."""

import io
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
import pyarrow.csv
from fastapi import Body, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from shoal.api.callers.permissions import READ, WRITE
from shoal.api.deps import Listed, Namespaced, Wired
from shoal.api.door import MOUNT
from shoal.api.downloads import Download
from shoal.api.idempotency import Keyed
from shoal.api.links import base_url
from shoal.api.methods import asks_for_head
from shoal.api.replies import encode, reply
from shoal.api.resource import Resource
from shoal.records.execution import ClusterData, Execution, PatchLabels, PatchRunName
from shoal.records.queries.paging import ListBody
from shoal.records.run_results import (
    CancelledRun,
    ExecutionList,
    ExportedTable,
    LabelledRun,
    NamedRun,
    RunData,
    Visualization,
)
from shoal.runs.tables import ParquetTable
from shoal.tables import decode_dictionaries

__all__ = ["router"]

router = Resource(
    "/clusters/{cluster_identifier}",
    tag="Executions",
    about="Runs of a cluster and what came out of them.",
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
_MOST_ROWS: Final = 2**53
_FORMULA: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""How a cell begins that a spreadsheet may take for a formula: white space and invisible characters before it count."""


_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_STREAMS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {_ARROW: _BYTES, _PARQUET: _BYTES, _NDJSON: {"schema": {"type": "string"}}}}
}
"""What an Accept header can ask for in place of JSON."""


@router.get("/executions", response_model=Execution | None, openapi_extra=READ)
def get_latest_execution(
    services: Wired, scope: Namespaced, cluster_identifier: str, include_vectors: bool = False
) -> Response:
    """The newest run; JSON null before the first."""
    return reply(services.executions.latest(scope, cluster_identifier, vectors=include_vectors))


@router.post("/executions/list", response_model=ExecutionList, openapi_extra=READ)
def list_executions(
    services: Wired,
    scope: Namespaced,
    listed: Listed,
    cluster_identifier: str,
    body: Annotated[ListBody | None, Body()] = None,
) -> Response:
    """All runs of the cluster, newest first."""
    found = services.executions.search(scope, cluster_identifier, listed.query(body, _SEARCHED))
    return reply(
        {
            "results": found.items,
            "pagination": listed.pagination(found, body),
            "total_count": found.total,
            "stats": services.executions.stats(scope, cluster_identifier),
        }
    )


@router.get("/executions/{run_id}", response_model=Execution, openapi_extra=READ)
def get_execution(
    services: Wired, scope: Namespaced, cluster_identifier: str, run_id: str, include_vectors: bool = False
) -> Response:
    """One run."""
    return reply(services.executions.get(scope, cluster_identifier, run_id, vectors=include_vectors))


@router.post("/executions/{run_id}/cancel", response_model=CancelledRun, openapi_extra=WRITE)
def cancel_execution(
    services: Wired, scope: Namespaced, keyed: Keyed, cluster_identifier: str, run_id: str
) -> Response:
    """Stop a run; nothing of it will be published. 409 where it is over."""

    def show(run: Execution) -> Response:
        told = {"cluster_id": run.cluster_id, "run_id": run.run_id, "status": run.status, "task_id": run.task_id}
        return reply({"success": True, **told})

    return keyed.once(scope, lambda: services.executions.cancellation(scope, cluster_identifier, run_id), show)


@router.patch("/executions/{run_id}/labels", response_model=LabelledRun, openapi_extra=WRITE)
def patch_labels(
    services: Wired, scope: Namespaced, cluster_identifier: str, run_id: str, body: PatchLabels
) -> Response:
    """Labels of people's own, of clusters and of groups of other layers; an empty text takes one away. Documents that
    hold the label before get the new one: at once where they are few, else within some minutes, as `warnings` says."""
    done = services.executions.relabel(scope, cluster_identifier, run_id, body.labels)
    run = done.run
    about = {"cluster_id": run.cluster_id, "run_id": run.run_id, "label_overrides": run.label_overrides}
    return reply({**about, "documents_relabelled": done.documents, "warnings": done.warnings})


@router.patch("/executions/{run_id}/name", response_model=NamedRun, openapi_extra=WRITE)
def patch_run_name(
    services: Wired, scope: Namespaced, cluster_identifier: str, run_id: str, body: PatchRunName
) -> Response:
    """A name for a run; an empty text takes it away."""
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
    services: Wired,
    scope: Namespaced,
    cluster_identifier: str,
    run_id: str,
    format: Literal["parquet", "csv"] = "parquet",
    cluster_label: str | None = None,
) -> Response:
    """Members of a run, of one label alone where it is named. parquet: a link to the file that needs no key, for an
    hour; csv: the rows, at most 100,000."""
    if format == "csv" and cluster_label is None and asks_for_head(request):
        services.executions.check_export(scope, cluster_identifier, run_id)
        return _csv(pa.table({}), run_id)
    if format == "csv":
        rows = services.executions.export_rows(scope, cluster_identifier, run_id, cluster_label)
        return _csv(rows, run_id)
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
    services: Wired,
    scope: Namespaced,
    cluster_identifier: str,
    run_id: str,
    table: str = "members",
    cluster_label: str | None = None,
) -> Response:
    """A table of a run as a Parquet file: members (of one label alone, where it is named), centroids, near_duplicates
    and, where the method makes one, layers, hierarchy or condensed_tree. Takes the same key as every route, or the
    signature of a link that an export made."""
    found = services.executions.table(scope, cluster_identifier, run_id, table, cluster_label)
    answer = _parquet(found, f"{run_id}-{table}.parquet")
    # Whoever has the link may read the table, but no proxy on the way may keep it beyond the link's end.
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


@router.get("/visualization", response_model=Visualization, openapi_extra=READ)
def get_visualization(
    services: Wired,
    scope: Namespaced,
    cluster_identifier: str,
    max_points: Annotated[int, Query(ge=1, le=1_000_000)] = 10_000,
    centroids_only: bool = False,
    compact: bool = False,
    run_id: str | None = None,
    feature: str | None = None,
) -> Response:
    """The map of the visible run, or of the one named; of one feature where features were clustered apart."""
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
    services: Wired,
    scope: Namespaced,
    cluster_identifier: str,
    run_id: str | None = None,
    include_centroids: bool = True,
    include_members: bool = False,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=_MOST_ROWS)] = 0,
    cursor: Annotated[str | None, Query(max_length=512, description="The next_cursor of the page before.")] = None,
    projection_method: Literal["2d", "3d"] | None = None,
) -> Response:
    """Centroids and members of the visible run, or of the one named, with the places of its map; a map of two
    dimensions has no projection in three."""
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
    services: Wired, scope: Namespaced, cluster_identifier: str, include_vectors: bool = False
) -> Response:
    """The newest run, under the name of version A."""
    return reply(services.executions.latest(scope, cluster_identifier, vectors=include_vectors))


@router.post("/data", response_model=RunData, responses=_STREAMS, openapi_extra=READ)
@router.post(
    "/executions/{run_id}/data",
    response_model=RunData,
    responses=_STREAMS,
    operation_id="get_run_data",
    openapi_extra=READ,
)
def get_data(
    services: Wired,
    scope: Namespaced,
    cluster_identifier: str,
    run_id: str | None = None,
    body: Annotated[ClusterData | None, Body()] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "application/json",
) -> Response:
    """The same as a JSON object; all members as an Arrow stream, Parquet or NDJSON where the Accept header asks for
    it."""
    if accept.startswith(_ARROW):
        table = services.executions.members_table(scope, cluster_identifier, run_id)
        return StreamingResponse(_arrow(table), media_type=_ARROW)
    if accept.startswith(_PARQUET):
        found = services.executions.table(scope, cluster_identifier, run_id, "members")
        return _parquet(found, f"{found.run_id}-members.parquet")
    if accept.startswith(_NDJSON):
        table = services.executions.members_table(scope, cluster_identifier, run_id)
        return StreamingResponse(_lines(table), media_type=_NDJSON)
    return reply(services.executions.data(scope, cluster_identifier, run_id, body or ClusterData()))


def _parquet(table: ParquetTable, name: str) -> Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return Download(table.content, table.size_bytes, name, media_type=_PARQUET, headers=headers)


def _arrow(table: pa.Table) -> Iterator[bytes]:
    """An IPC stream, a piece per batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(65_536):
            writer.write_batch(batch)
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()


def _lines(table: pa.Table) -> Iterator[bytes]:
    for batch in table.to_batches(8192):
        yield b"".join(encode(row) + b"\n" for row in decode_dictionaries(batch).to_pylist())


def _csv(table: pa.Table, run_id: str) -> Response:
    return StreamingResponse(
        _csv_pieces(table),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{run_id}.csv"', "X-Content-Type-Options": "nosniff"},
    )


def _csv_pieces(table: pa.Table) -> Iterator[bytes]:
    """The line of names with the first rows, then the others piece by piece."""
    for start in range(0, max(1, len(table)), _CSV_ROWS):
        sink = io.BytesIO()
        rows = _harmless(table.slice(start, _CSV_ROWS))
        pyarrow.csv.write_csv(rows, sink, pyarrow.csv.WriteOptions(include_header=not start))
        yield sink.getvalue()


def _harmless(table: pa.Table) -> pa.Table:
    """Texts that a spreadsheet would take for a formula get a leading apostrophe."""
    table = decode_dictionaries(table)
    for place, name in enumerate(table.column_names):
        column = table[name]
        if pa.types.is_string(column.type):
            texts = [f"'{text}" if text and _FORMULA.match(text) else text for text in column.to_pylist()]
            table = table.set_column(place, name, pa.chunked_array([pa.array(texts, pa.string())]))
    return table
