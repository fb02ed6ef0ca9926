"""Routes of documents: single documents, batches and uploads of files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from anyio.to_thread import run_sync
from fastapi import Body, Query, Request, Response
from pydantic import ValidationError

from shoal.api.bodies import validate_body
from shoal.api.callers.permissions import DELETE, READ, WRITE
from shoal.api.deps import ListQuery, ListQueryDep, MayReadDep, NamespaceDep, OrganizationDep, ServicesDep
from shoal.api.guards.json_text import parse_json
from shoal.api.idempotency import IdempotentCallDep, Writing
from shoal.api.replies import reply
from shoal.api.resource import Resource
from shoal.api.uploads import spool_body
from shoal.assemble import Services
from shoal.errors import InvalidField, InvalidRequest, NotFound
from shoal.records.base import Described, Done
from shoal.records.documents.answers import (
    AggregatedGroups,
    BatchDeleted,
    BatchUpdated,
    BulkUpdated,
    DistinctList,
    Document,
    DocumentCount,
    DocumentList,
)
from shoal.records.documents.document import (
    AggregateDocuments,
    BatchDelete,
    BatchUpdate,
    BulkUpdate,
    CreateDocument,
    DistinctValues,
    ListDocuments,
    UpsertDocuments,
)
from shoal.records.queries.paging import SortBody
from shoal.records.scope import Scope
from shoal.services.documents.bulk import Imported, OnConflict
from shoal.services.documents.documents import Upserted
from shoal.services.documents.shape import group_documents, select_fields
from shoal.storage.protocols.documents import Write

__all__ = ["router"]

router = Resource(
    "",
    tag="documents",
    about="Documents with their vectors.",
    path_parameters={
        "collection": "Id or name of the collection.",
        "namespace": "Id or name of the namespace.",
        "document_id": "Id of the document: free text, with slashes as they are or as %2F.",
    },
)

Json = dict[str, Any]
FilterText = Annotated[str | None, Query(description="A filter as JSON; one in the body wins.")]
SortText = Annotated[str | None, Query(description="A sort as JSON, or field:direction; one in the body wins.")]
Fields = Annotated[Json, Body(description="Fields of the document; `vectors` replaces the vectors it names.")]
_IN: Final = "/collections/{collection}/documents"
_BY_ID: Final = _IN + "/{document_id:path}"  # ids are free text and may contain slashes, so these routes come last
_ALL: Final[Literal["all"]] = "all"
_MEDIA: Final[Mapping[str, str]] = {
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.arrow.file": "arrow",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "jsonl",
}
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}


@router.post(_IN, response_model=Document, openapi_extra=WRITE)
def create_document(
    services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, collection: str, body: CreateDocument
) -> Response:
    """Create a document with its vectors."""
    return call.once_with_documents(
        scope, lambda write: reply(services.documents.create(scope, collection, body, write))
    )


@router.get(_IN, response_model=DocumentList, openapi_extra=READ)
def list_documents(
    services: ServicesDep,
    scope: NamespaceDep,
    collection: str,
    list_query: ListQueryDep,
    filters: FilterText = None,
    sort: SortText = None,
    return_vectors: bool = False,
) -> Response:
    """List the documents of a collection, by id unless sorted."""
    body = _merge_query(ListDocuments(return_vectors=return_vectors), filters, sort)
    return _listing(services, scope, collection, list_query, body)


@router.post(_IN + "/list", response_model=DocumentList, openapi_extra=READ)
def query_documents(
    services: ServicesDep,
    scope: NamespaceDep,
    collection: str,
    list_query: ListQueryDep,
    body: ListDocuments,
    filters: FilterText = None,
    sort: SortText = None,
    return_vectors: bool = False,
) -> Response:
    """List documents with filters, sorting, search and grouping."""
    body = _merge_query(body, filters, sort)
    if body.return_vectors is None and return_vectors:
        body = body.with_changes(return_vectors=True)
    return _listing(services, scope, collection, list_query, body)


@router.get(_IN + "/count", response_model=DocumentCount, openapi_extra=READ)
def count_documents(request: Request, services: ServicesDep, scope: NamespaceDep, collection: str) -> Response:
    """Count the documents of the collection. Where one has the id `count`, its fields are returned beside the number;
    the document alone is at `%63ount`."""
    if not request.scope["raw_path"].endswith(b"/count"):
        return reply(services.documents.get(scope, collection, "count"))
    collection_id, count = services.documents.count(scope, collection)
    same = _find_shadowed(services, scope, collection, "count") or {}
    return reply({**same, "collection_id": collection_id, "count": count})


@router.post(_IN + "/distinct", response_model=DistinctList, openapi_extra=READ)
def distinct_values(services: ServicesDep, scope: NamespaceDep, collection: str, body: DistinctValues) -> Response:
    """List the values of a field, most frequent first."""
    values, total = services.documents.distinct(scope, collection, body)
    list_query = [{"value": value, "count": count} for value, count in values]
    return reply({"field": body.field, "values": list_query, "total_distinct": total})


@router.post(_IN + "/aggregate", response_model=AggregatedGroups, openapi_extra=READ)
def aggregate_documents(
    services: ServicesDep, scope: NamespaceDep, collection: str, body: AggregateDocuments
) -> Response:
    """Aggregate documents by groups: `{"group_by": [{"field": "category"}], "aggregations": [{"function": "avg",
    "field": "price", "alias": "mean_price"}]}`."""
    rows = services.documents.aggregate(scope, collection, body)
    return reply({"results": rows, "total_groups": len(rows)})


@router.post(_IN + "/batch", response_model=BatchUpdated, openapi_extra=WRITE)
def batch_update_documents(
    services: ServicesDep, scope: NamespaceDep, call: IdempotentCallDep, collection: str, body: BatchUpdate
) -> Response:
    """Merge fields into up to 1,000 documents by id, or into all that match."""

    def update(write: Write | None) -> Response:
        updated, results = services.documents.batch_update(scope, collection, body, write)
        failed = len(results or []) - sum(row["success"] for row in results or [])
        answer = {"updated_count": updated, "failed_count": failed, "results": results}
        return reply({**answer, "message": "Batch update completed"})

    return call.once_with_documents(scope, update)


@router.patch(_IN + "/bulk", response_model=BulkUpdated, openapi_extra=WRITE)
def bulk_update_documents(
    services: ServicesDep,
    scope: NamespaceDep,
    call: IdempotentCallDep,
    may_read: MayReadDep,
    collection: str,
    sent: Annotated[Json, Described(BulkUpdate), Body()],
) -> Response:
    """Merge fields into all documents that match. It is synchronous: there is no task. A body without
    `update_data` is for the document with the id `bulk`, where there is one."""
    if "update_data" not in sent and _find_shadowed(services, scope, collection, "bulk"):
        return _reply_change(services.documents.patch(scope, collection, "bulk", sent), may_read)
    body = validate_body(BulkUpdate, sent)

    def update(write: Write | None) -> Response:
        updated = services.documents.bulk_update(scope, collection, body, write)
        answer = {"task_id": None, "status": "COMPLETED", "updated_count": updated}
        return reply({**answer, "message": "Bulk update completed"})

    return call.once_with_documents(scope, update)


@router.delete(_IN + "/batch", response_model=BatchDeleted, openapi_extra=DELETE)
def batch_delete_documents(
    services: ServicesDep,
    scope: NamespaceDep,
    call: IdempotentCallDep,
    collection: str,
    sent: Annotated[Json | None, Described(BatchDelete), Body()] = None,
) -> Response:
    """Delete up to 1,000 documents by id, or all that match. Without a body, the document with the id `batch`, where
    there is one."""
    if not sent and _find_shadowed(services, scope, collection, "batch"):
        services.documents.delete(scope, collection, "batch")
        return reply({"success": True, "message": "Successfully deleted"})
    body = validate_body(BatchDelete, sent or {})

    def remove(write: Write | None) -> Response:
        deleted, results = services.documents.batch_delete(scope, collection, body, write)
        failed = len(results or []) - sum(row["success"] for row in results or [])
        answer = {"status": "COMPLETED", "deleted_count": deleted, "failed_count": failed, "results": results}
        return reply({**answer, "message": "Batch delete completed"})

    return call.once_with_documents(scope, remove)


@router.post(
    _IN + "/import",
    response_model=Imported,
    openapi_extra={**WRITE, "requestBody": {"required": True, "content": dict.fromkeys(_MEDIA, _BYTES)}},
)
async def import_documents(
    request: Request,
    services: ServicesDep,
    scope: NamespaceDep,
    call: IdempotentCallDep,
    collection: str,
    format: Annotated[str | None, Query(description="arrow, parquet or jsonl, instead of a Content-Type.")] = None,
    id_column: Annotated[str | None, Query(max_length=512)] = None,
    vector_column: Annotated[list[str] | None, Query(description="COLUMN or NAME=COLUMN; may be repeated.")] = None,
    on_conflict: OnConflict = "replace",
) -> Response:
    """Import an Arrow stream, a Parquet file or JSON lines: all of its documents, or none."""
    kind = format or _parse_format(request.headers.get("content-type", ""))
    await run_sync(services.collections.find, scope, collection)
    with services.bulk.open_spool_file() as path:
        await spool_body(request, path)

        def store(write: Write | None) -> Response:
            done = services.bulk.import_file(
                scope,
                collection,
                path,
                format=kind,
                id_column=id_column,
                vector_columns=_parse_vector_columns(vector_column),
                on_conflict=on_conflict,
                label="body",
                write=write,
            )
            return reply(asdict(done))

        return await run_sync(call.once_with_documents, scope, store)


@router.post("/namespaces/{namespace}/documents/upsert", response_model=Upserted, openapi_extra=WRITE)
def upsert_documents(
    services: ServicesDep, organization: OrganizationDep, call: IdempotentCallDep, namespace: str, body: UpsertDocuments
) -> Response:
    """Upsert up to 1,000 documents with their vectors; an existing id is replaced."""
    scope = services.namespaces.scope(organization, namespace)
    if body.options is not None:
        call = call.with_body_key(body.options.idempotency_key, "options.idempotency_key")

    def prepare() -> Writing:
        upsert = services.documents.prepare_upsert(scope, body)
        return lambda write: reply(asdict(services.documents.store(scope, upsert, write)))

    return call.once_after_checks(scope, prepare)


@router.get(_BY_ID, response_model=Document, openapi_extra=READ)
def get_document(
    services: ServicesDep,
    scope: NamespaceDep,
    collection: str,
    document_id: str,
    return_vectors: bool = False,
    return_vector_names: Annotated[str | None, Query(description="Names, separated by commas.")] = None,
) -> Response:
    """Get a document."""
    names = [name for name in (return_vector_names or "").split(",") if name]
    vectors = _ALL if return_vectors else names
    return reply(services.documents.get(scope, collection, document_id, vectors=vectors))


@router.patch(_BY_ID, response_model=Document, openapi_extra=WRITE)
def patch_document(
    services: ServicesDep, scope: NamespaceDep, may_read: MayReadDep, collection: str, document_id: str, body: Fields
) -> Response:
    """Merge the fields that are sent. A key without the permission to read gets only the ids."""
    return _reply_change(services.documents.patch(scope, collection, document_id, body), may_read)


@router.put(_BY_ID, response_model=Document, openapi_extra=WRITE)
def put_document(
    services: ServicesDep, scope: NamespaceDep, may_read: MayReadDep, collection: str, document_id: str, body: Fields
) -> Response:
    """Replace all fields; lineage and vectors that are not named stay. A key without the permission to read gets only
    the ids."""
    return _reply_change(services.documents.put(scope, collection, document_id, body), may_read)


@router.delete(_BY_ID, response_model=Done, openapi_extra=DELETE)
def delete_document(services: ServicesDep, scope: NamespaceDep, collection: str, document_id: str) -> Response:
    """Delete a document."""
    services.documents.delete(scope, collection, document_id)
    return reply({"success": True, "message": "Successfully deleted"})


def _find_shadowed(services: Services, scope: Scope, collection: str, id: str) -> Json | None:
    """Return the document whose id is also the name of a route; None where there is none."""
    try:
        return services.documents.get(scope, collection, id)
    except NotFound:
        return None


def _reply_change(document: Json, may_read: bool) -> Response:
    """Return a changed document, or only its ids for a key without the permission to read."""
    return reply(document if may_read else {name: document[name] for name in ("document_id", "collection_id")})


def _listing(services: Services, scope: Scope, collection: str, list_query: ListQuery, body: ListDocuments) -> Response:
    if body.partition is not None:
        raise InvalidField("partition", "is not supported", remedy="Page with next_cursor.")
    listing = services.documents.search(
        scope, collection, list_query.query(body), vectors=_select_vectors(body), pin=list_query.pin(body)
    )
    pagination = list_query.pagination(listing, body)
    shown = [select_fields(document, body.select) for document in listing.items]
    answer: Json = {"results": shown, "pagination": pagination, "total_documents": pagination.total}
    stats: Json = {"total_documents": pagination.total}
    if body.group_by is not None:
        groups = group_documents(listing.items, shown, body.group_by)
        stats |= {"total_groups": len(groups), "avg_documents_per_group": len(shown) / len(groups) if groups else 0.0}
        answer |= {"results": [], "groups": groups, "group_by_field": body.group_by}
    return reply({**answer, "stats": stats})


def _merge_query(body: ListDocuments, filters: str | None, sort: str | None) -> ListDocuments:
    """Complete the body by the query parameters of the same meaning. Raises InvalidField."""
    edits: Json = {}
    if filters and body.filters is None:
        edits["filters"] = _json_object("filters", filters)
    if sort and not body.order():
        edits["sort"] = _sort(sort)
    return body.with_changes(**edits)


def _sort(text: str) -> SortBody:
    """Parse `{"field": ..., "direction": ...}` or `field:direction`."""
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


def _select_vectors(body: ListDocuments) -> Sequence[str] | Literal["all"]:
    names = body.return_vector_names
    if isinstance(names, list) and names:
        return names
    return _ALL if body.return_vectors or names is True else ()


def _parse_format(content_type: str) -> str:
    media = content_type.partition(";")[0].strip().lower()
    if media not in _MEDIA:
        remedy = f"Send one of {', '.join(_MEDIA)}, or name the format in the query: ?format=parquet."
        raise InvalidField("Content-Type", "is not a supported document format", value=content_type, remedy=remedy)
    return _MEDIA[media]


def _parse_vector_columns(columns: Sequence[str] | None) -> dict[str, str] | None:
    """Parse `COLUMN` and `NAME=COLUMN` to a mapping from vector names to columns."""
    if not columns:
        return None
    pairs = [column.partition("=") for column in columns]
    return {name: column if equals else name for name, equals, column in pairs}
