"""Documents, one by one, by the thousand, and as uploads of files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from anyio.to_thread import run_sync
from fastapi import Body, Query, Request, Response
from pydantic import ValidationError

from shoal.api.bodies import validated
from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import Listed, ListQuery, MayRead, Namespaced, Organized, Wired
from shoal.api.guards.json_text import parse_json
from shoal.api.idempotency import Keyed, Writing
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.assemble import Services
from shoal.errors import InvalidField, InvalidRequest, NotFound
from shoal.records.base import Described, Done
from shoal.records.document import (
    AggregateDocuments,
    BatchDelete,
    BatchUpdate,
    BulkUpdate,
    CreateDocument,
    DistinctValues,
    ListDocuments,
    UpsertDocuments,
)
from shoal.records.document_answers import (
    AggregatedGroups,
    BatchDeleted,
    BatchUpdated,
    BulkUpdated,
    DistinctList,
    Document,
    DocumentCount,
    DocumentList,
)
from shoal.records.queries.paging import SortBody
from shoal.records.scope import Scope
from shoal.services.bulk import Imported, OnConflict
from shoal.services.document_shape import group_documents, select_fields
from shoal.services.documents import Upserted
from shoal.storage.protocols.documents import Write

__all__ = ["router"]

router = Resource(
    "",
    tag="documents",
    about="Documents with their vectors.",
    path_parameters={
        "collection": "Id or name of the collection.",
        "namespace": "Id or name of the namespace.",
        "document_id": "Id of the document; free text, slashes may stand plain or as %2F.",
    },
)

Json = dict[str, Any]
FilterText = Annotated[str | None, Query(description="A filter as JSON; one in the body wins.")]
SortText = Annotated[str | None, Query(description="A sort as JSON, or field:direction; one in the body wins.")]
Fields = Annotated[Json, Body(description="Fields of the document; `vectors` replaces the vectors it names.")]
_IN: Final = "/collections/{collection}/documents"
_ONE: Final = _IN + "/{document_id:path}"  # ids are free text and may hold slashes; so these routes come last
_EVERY: Final[Literal["all"]] = "all"
_MEDIA: Final[Mapping[str, str]] = {
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.arrow.file": "arrow",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "jsonl",
}
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_WRITE_BYTES: Final = 4 * 2**20


@router.post(_IN, response_model=Document, openapi_extra=WRITE)
def create_document(
    services: Wired, scope: Namespaced, keyed: Keyed, collection: str, body: CreateDocument
) -> Response:
    """A document with its vectors."""
    return keyed.once_with_documents(
        scope, lambda write: reply(services.documents.create(scope, collection, body, write))
    )


@router.get(_IN, response_model=DocumentList, openapi_extra=READ)
def list_documents(
    services: Wired,
    scope: Namespaced,
    collection: str,
    listed: Listed,
    filters: FilterText = None,
    sort: SortText = None,
    return_vectors: bool = False,
) -> Response:
    """The documents of a collection, by id unless sorted."""
    asked = _asked(ListDocuments(return_vectors=return_vectors), filters, sort)
    return _listing(services, scope, collection, listed, asked)


@router.post(_IN + "/list", response_model=DocumentList, openapi_extra=READ)
def query_documents(
    services: Wired,
    scope: Namespaced,
    collection: str,
    listed: Listed,
    body: ListDocuments,
    filters: FilterText = None,
    sort: SortText = None,
    return_vectors: bool = False,
) -> Response:
    """Documents, filtered, sorted, searched and grouped."""
    asked = _asked(body, filters, sort)
    if asked.return_vectors is None and return_vectors:
        asked = asked.with_changes(return_vectors=True)
    return _listing(services, scope, collection, listed, asked)


@router.get(_IN + "/count", response_model=DocumentCount, openapi_extra=READ)
def count_documents(request: Request, services: Wired, scope: Namespaced, collection: str) -> Response:
    """How many documents the collection holds. Where one of them is called `count`, its fields stand beside the number;
    the document alone is at `%63ount`."""
    if not request.scope["raw_path"].endswith(b"/count"):
        return reply(services.documents.get(scope, collection, "count"))
    collection_id, count = services.documents.count(scope, collection)
    same = _called(services, scope, collection, "count") or {}
    return reply({**same, "collection_id": collection_id, "count": count})


@router.post(_IN + "/distinct", response_model=DistinctList, openapi_extra=READ)
def distinct_values(services: Wired, scope: Namespaced, collection: str, body: DistinctValues) -> Response:
    """The values of a field, most frequent first."""
    values, total = services.documents.distinct(scope, collection, body)
    listed = [{"value": value, "count": count} for value, count in values]
    return reply({"field": body.field, "values": listed, "total_distinct": total})


@router.post(_IN + "/aggregate", response_model=AggregatedGroups, openapi_extra=READ)
def aggregate_documents(services: Wired, scope: Namespaced, collection: str, body: AggregateDocuments) -> Response:
    """Numbers about groups: `{"group_by": [{"field": "category"}], "aggregations": [{"function": "avg",
    "field": "price", "alias": "mean_price"}]}`."""
    rows = services.documents.aggregate(scope, collection, body)
    return reply({"results": rows, "total_groups": len(rows)})


@router.post(_IN + "/batch", response_model=BatchUpdated, openapi_extra=WRITE)
def batch_update_documents(
    services: Wired, scope: Namespaced, keyed: Keyed, collection: str, body: BatchUpdate
) -> Response:
    """Merge fields into up to 1,000 documents by id, or into all that match."""

    def update(write: Write | None) -> Response:
        updated, results = services.documents.batch_update(scope, collection, body, write)
        failed = len(results or []) - sum(row["success"] for row in results or [])
        answer = {"updated_count": updated, "failed_count": failed, "results": results}
        return reply({**answer, "message": "Batch update completed"})

    return keyed.once_with_documents(scope, update)


@router.patch(_IN + "/bulk", response_model=BulkUpdated, openapi_extra=WRITE)
def bulk_update_documents(
    services: Wired,
    scope: Namespaced,
    keyed: Keyed,
    may_read: MayRead,
    collection: str,
    sent: Annotated[Json, Described(BulkUpdate), Body()],
) -> Response:
    """Merge fields into all documents that match. Done when answered, so there is no task. Without `update_data` the
    body is for a document called `bulk`, where there is one."""
    if "update_data" not in sent and _called(services, scope, collection, "bulk"):
        return _changed(services.documents.patch(scope, collection, "bulk", sent), may_read)
    body = validated(BulkUpdate, sent)

    def update(write: Write | None) -> Response:
        updated = services.documents.bulk_update(scope, collection, body, write)
        answer = {"task_id": None, "status": "COMPLETED", "updated_count": updated}
        return reply({**answer, "message": "Bulk update completed"})

    return keyed.once_with_documents(scope, update)


@router.delete(_IN + "/batch", response_model=BatchDeleted, openapi_extra=DELETE)
def batch_delete_documents(
    services: Wired,
    scope: Namespaced,
    keyed: Keyed,
    collection: str,
    sent: Annotated[Json | None, Described(BatchDelete), Body()] = None,
) -> Response:
    """Remove up to 1,000 documents by id, or all that match. Without a body a document called `batch`, where there is
    one."""
    if not sent and _called(services, scope, collection, "batch"):
        services.documents.delete(scope, collection, "batch")
        return reply({"success": True, "message": "Successfully deleted"})
    body = validated(BatchDelete, sent or {})

    def remove(write: Write | None) -> Response:
        deleted, results = services.documents.batch_delete(scope, collection, body, write)
        failed = len(results or []) - sum(row["success"] for row in results or [])
        answer = {"status": "COMPLETED", "deleted_count": deleted, "failed_count": failed, "results": results}
        return reply({**answer, "message": "Batch delete completed"})

    return keyed.once_with_documents(scope, remove)


@router.post(
    _IN + "/import",
    response_model=Imported,
    openapi_extra={**WRITE, "requestBody": {"required": True, "content": dict.fromkeys(_MEDIA, _BYTES)}},
)
async def import_documents(
    request: Request,
    services: Wired,
    scope: Namespaced,
    keyed: Keyed,
    collection: str,
    format: Annotated[str | None, Query(description="arrow, parquet or jsonl, instead of a Content-Type.")] = None,
    id_column: Annotated[str | None, Query(max_length=512)] = None,
    vector_column: Annotated[list[str] | None, Query(description="COLUMN or NAME=COLUMN; may be repeated.")] = None,
    on_conflict: OnConflict = "replace",
) -> Response:
    """All documents of an Arrow stream, a Parquet file or JSON lines, or none of them."""
    kind = format or _format_of(request.headers.get("content-type", ""))
    await run_sync(services.collections.find, scope, collection)
    with services.bulk.spooled() as path:
        await _spool(request, path)

        def store(write: Write | None) -> Response:
            done = services.bulk.import_file(
                scope,
                collection,
                path,
                format=kind,
                id_column=id_column,
                vector_columns=_named(vector_column),
                on_conflict=on_conflict,
                label="body",
                write=write,
            )
            return reply(asdict(done))

        return await run_sync(keyed.once_with_documents, scope, store)


@router.post("/namespaces/{namespace}/documents/upsert", response_model=Upserted, openapi_extra=WRITE)
def upsert_documents(
    services: Wired, organization: Organized, keyed: Keyed, namespace: str, body: UpsertDocuments
) -> Response:
    """Up to 1,000 documents with their vectors; one with an id that exists is replaced."""
    scope = services.namespaces.scope(organization, namespace)
    if body.options is not None:
        keyed = keyed.named_in_body(body.options.idempotency_key, "options.idempotency_key")

    def prepare() -> Writing:
        upsert = services.documents.prepared(scope, body)
        return lambda write: reply(asdict(services.documents.store(scope, upsert, write)))

    return keyed.once_prepared(scope, prepare)


@router.get(_ONE, response_model=Document, openapi_extra=READ)
def get_document(
    services: Wired,
    scope: Namespaced,
    collection: str,
    document_id: str,
    return_vectors: bool = False,
    return_vector_names: Annotated[str | None, Query(description="Names, separated by commas.")] = None,
) -> Response:
    """One document."""
    names = [name for name in (return_vector_names or "").split(",") if name]
    vectors = _EVERY if return_vectors else names
    return reply(services.documents.get(scope, collection, document_id, vectors=vectors))


@router.patch(_ONE, response_model=Document, openapi_extra=WRITE)
def patch_document(
    services: Wired, scope: Namespaced, may_read: MayRead, collection: str, document_id: str, body: Fields
) -> Response:
    """Merge the fields that are sent. A key that may not read is answered the ids."""
    return _changed(services.documents.patch(scope, collection, document_id, body), may_read)


@router.put(_ONE, response_model=Document, openapi_extra=WRITE)
def put_document(
    services: Wired, scope: Namespaced, may_read: MayRead, collection: str, document_id: str, body: Fields
) -> Response:
    """Replace all fields; lineage stays, and vectors that are not named. A key that may not read gets the ids."""
    return _changed(services.documents.put(scope, collection, document_id, body), may_read)


@router.delete(_ONE, response_model=Done, openapi_extra=DELETE)
def delete_document(services: Wired, scope: Namespaced, collection: str, document_id: str) -> Response:
    """Remove a document."""
    services.documents.delete(scope, collection, document_id)
    return reply({"success": True, "message": "Successfully deleted"})


def _called(services: Services, scope: Scope, collection: str, id: str) -> Json | None:
    """The document that is called like a route; None where there is none."""
    try:
        return services.documents.get(scope, collection, id)
    except NotFound:
        return None


def _changed(document: Json, may_read: bool) -> Response:
    """The document after a change, or its ids for a key that may not read."""
    return reply(document if may_read else {name: document[name] for name in ("document_id", "collection_id")})


def _listing(services: Services, scope: Scope, collection: str, listed: ListQuery, body: ListDocuments) -> Response:
    if body.partition is not None:
        raise InvalidField("partition", "is not supported", remedy="Page with next_cursor.")
    found = services.documents.search(
        scope, collection, listed.query(body), vectors=_wanted(body), pin=listed.pin(body)
    )
    pagination = listed.pagination(found, body)
    shown = [select_fields(document, body.select) for document in found.items]
    answer: Json = {"results": shown, "pagination": pagination, "total_documents": pagination.total}
    stats: Json = {"total_documents": pagination.total}
    if body.group_by is not None:
        groups = group_documents(found.items, shown, body.group_by)
        stats |= {"total_groups": len(groups), "avg_documents_per_group": len(shown) / len(groups) if groups else 0.0}
        answer |= {"results": [], "groups": groups, "group_by_field": body.group_by}
    return reply({**answer, "stats": stats})


def _asked(body: ListDocuments, filters: str | None, sort: str | None) -> ListDocuments:
    """The body, completed by the query parameters of the same meaning. Raises InvalidField."""
    edits: Json = {}
    if filters and body.filters is None:
        edits["filters"] = _json_object("filters", filters)
    if sort and not body.order():
        edits["sort"] = _sort(sort)
    return body.with_changes(**edits)


def _sort(text: str) -> SortBody:
    """`{"field": ..., "direction": ...}` as JSON, or `field:direction`."""
    if text.startswith("{"):
        sent = _json_object("sort", text)
    else:
        field, _, direction = text.partition(":")
        sent = {"field": field, "direction": direction or "asc"}
    try:
        return SortBody.model_validate(sent)
    except ValidationError as error:
        raise InvalidField(
            "sort", error.errors()[0]["msg"], value=text, remedy="Use field:asc or field:desc."
        ) from None


def _json_object(name: str, text: str) -> Json:
    try:
        value = parse_json(text.encode())
    except InvalidRequest as error:
        raise InvalidField(name, "must be a JSON object", value=text, remedy=error.message) from None
    if not isinstance(value, dict):
        raise InvalidField(name, "must be a JSON object", value=text)
    return value


def _wanted(body: ListDocuments) -> Sequence[str] | Literal["all"]:
    names = body.return_vector_names
    if isinstance(names, list) and names:
        return names
    return _EVERY if body.return_vectors or names is True else ()


def _format_of(content_type: str) -> str:
    media = content_type.partition(";")[0].strip().lower()
    if media not in _MEDIA:
        remedy = f"Send one of {', '.join(_MEDIA)}, or name the format in the query: ?format=parquet."
        raise InvalidField("Content-Type", "is no format for documents", value=content_type, remedy=remedy)
    return _MEDIA[media]


def _named(columns: Sequence[str] | None) -> dict[str, str] | None:
    """`COLUMN` and `NAME=COLUMN` as a mapping from names to columns."""
    if not columns:
        return None
    pairs = [column.partition("=") for column in columns]
    return {name: column if equals else name for name, equals, column in pairs}


async def _spool(request: Request, path: Path) -> None:
    """Write the body as it comes in, in large pieces and away from the event loop."""
    pending = bytearray()
    with path.open("wb") as file:
        async for chunk in request.stream():
            pending += chunk
            if len(pending) >= _WRITE_BYTES:
                await run_sync(file.write, bytes(pending))
                pending.clear()
        await run_sync(file.write, bytes(pending))
