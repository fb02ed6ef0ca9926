"""Documents with vectors: create, find, change and delete them, singly or in batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

import orjson

from shoal.columns import DocumentBatch
from shoal.errors import Conflict, InvalidField, NotFound
from shoal.records.audit import Action
from shoal.records.base import format_wire_time
from shoal.records.collection import Collection
from shoal.records.documents.document import (
    RESERVED,
    AggregateDocuments,
    BatchDelete,
    BatchUpdate,
    BulkUpdate,
    CreateDocument,
    DistinctValues,
    DocumentUpdate,
    UpsertDocuments,
    byo_payload,
    check_fields,
    internal_of,
)
from shoal.records.ids import check_id, new_id
from shoal.records.namespace import Namespace
from shoal.records.queries.filters import parse_filter
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.repositories.audit import note_done
from shoal.repositories.repository import Repository
from shoal.services.collections import Collections
from shoal.services.documents.aggregation import Aggregator, list_input_fields
from shoal.services.documents.checks import (
    check_documents,
    check_path,
    check_unique_ids,
    check_update,
    encode_payload,
    has_condition,
)
from shoal.services.documents.ingest_encoding import IngestEncoding
from shoal.services.documents.vector_check import VectorNames, build_columns, is_coarse, rounding_warning
from shoal.storage.protocols.documents import DocumentStore, StoredDocument, Write
from shoal.storage.protocols.metadata import MetadataStore
from shoal.storage.protocols.records import Json, Query

__all__ = ["Documents", "Upsert", "Upserted"]

_NO_TOKEN: Final = "A write is visible as soon as it is answered, so there is no write token to wait for."
_NO_ACL: Final = "Shoal has no access control below the namespace: acl was not stored."
_MAX_PAGE_BYTES: Final = 96 * 2**20
VectorSelection = Sequence[str] | Literal["all"]


@dataclass(frozen=True, slots=True)
class Upserted:
    """BYOUpsertResponse: `inserted` counts all documents of the call, new and replaced, so that a retry agrees."""

    inserted: int
    document_ids: list[str]
    dropped_payload_fields: dict[str, list[str]] | None
    warnings: list[str] | None
    write_token: str | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    """Validated documents, ready to be stored, and the answer afterwards."""

    storage_key: str
    batch: DocumentBatch
    answer: Upserted


class Documents:
    """One method per operation of the API. `ref` is the id or name of a collection; `now` is UTC."""

    def __init__(
        self,
        metadata: MetadataStore,
        store: DocumentStore,
        collections: Collections,
        now: Callable[[], datetime],
        max_dimension: int,
        encoding: IngestEncoding,
    ) -> None:
        self._store, self._collections, self._encoding = store, collections, encoding
        self._now, self._max_dimension = now, max_dimension
        self._namespaces = Repository(
            metadata, "namespace", Namespace, id_field="namespace_id", name_field="namespace_name"
        )

    def vector_names(self, scope: Scope) -> VectorNames:
        """Return the vectors of the namespace, and whether documents may add more."""
        namespace = self._namespaces.find_one(scope.organization, scope.namespace_id)
        declared = [] if namespace is None else namespace.vector_configs
        cosine = frozenset(config.name for config in declared if config.metric == "cosine")
        return VectorNames(self._store.vector_dimensions(scope), closed=bool(declared), cosine=cosine)

    def create(self, scope: Scope, ref: str, body: CreateDocument, write: Write | None = None) -> Json:
        """Create a document and return its response. Raises NotFound, InvalidField, AlreadyExists for the id."""
        collection = self._collections.find(scope, ref)
        id = _new_id(write) if body.document_id is None else check_id("document_id", body.document_id)
        payload = check_fields(body.model_extra or {})
        if body.metadata is not None:
            payload["metadata"] = body.metadata
        payload["_internal"] = internal_of(body.model_dump(exclude={"vectors", "metadata"}))
        batch = self._batch(scope, [id], [payload], [body.vectors], lambda i: "vectors", "the document")
        batch, _ = self._encoding.fill(collection, batch)
        key, now = collection.storage_key, self._write_time(write)
        self._store.write(scope, key, [batch], now=now, on_conflict="fail", write=write)
        note_done(scope, "document.create", id, collection_id=collection.collection_id)
        written = StoredDocument(id, key, orjson.loads(batch.payloads[0]), now, now, {})
        return self._to_response(scope, collection, written)

    def upsert(self, scope: Scope, body: UpsertDocuments) -> Upserted:
        """Write up to 1,000 documents, all or none; an id that exists is replaced. Raises InvalidField, NotFound."""
        return self.store(scope, self.prepare_upsert(scope, body))

    def prepare_upsert(self, scope: Scope, body: UpsertDocuments) -> Upsert:
        """Validate an upsert; creates the collection `default` where it is needed. Raises InvalidField, NotFound."""
        existing = None if body.collection_id is None else self._collections.records.find_one(scope, body.collection_id)
        encodes = existing is not None and existing.text_encoding is not None
        sent = check_documents(body.documents, needs_vectors=not encodes)
        ids = check_unique_ids(sent)
        batch = self._batch(
            scope,
            ids,
            [byo_payload(document) for document in sent],
            [document.get("vectors") for document in sent],
            lambda i: f"documents[{i}].vectors",
            "documents[{}]",
        )
        collection_ref = body.collection_id
        collection = (
            self._collections.default(scope)
            if collection_ref is None
            else self._collections.find(scope, collection_ref)
        )
        filled, notes = self._encoding.fill(collection, batch)
        dropped = {
            document["document_id"]: sorted(reserved)
            for document in sent
            if (reserved := RESERVED & (document.get("payload") or {}).keys())
        }
        answer = Upserted(len(ids), ids, dropped or None, [*_warnings(body, sent, batch), *notes] or None)
        return Upsert(collection.storage_key, filled, answer)

    def store(self, scope: Scope, upsert: Upsert, write: Write | None = None) -> Upserted:
        """Store an upsert, all or none. Raises InvalidField where a vector was declared differently meanwhile."""
        if upsert.batch.ids:
            now = self._write_time(write)
            self._store.write(scope, upsert.storage_key, [upsert.batch], now=now, write=write)
            collection_id = upsert.storage_key.partition("@")[0]
            note_done(scope, "documents.upsert", collection_id, documents=len(upsert.batch.ids))
        return upsert.answer

    def get(self, scope: Scope, ref: str, document_id: str, *, vectors: VectorSelection = ()) -> Json:
        """Raises NotFound."""
        collection = self._collections.find(scope, ref)
        return self._to_response(scope, collection, self._load(scope, collection, document_id, vectors))

    def search(
        self, scope: Scope, ref: str, query: Query, *, vectors: VectorSelection = (), pin: str | None = None
    ) -> Listing[Json]:
        """Return one page, by id ascending by default; `search` covers all text. `pin` is that of the page before: it
        keeps the pages of an output collection on the documents of one run.

        Raises NotFound, Conflict where those documents have been removed.
        """
        collection = self._collections.find(scope, ref)
        generation = collection.generation if pin is None else pin
        _check_pin(collection, generation)
        bounded = replace(query, most_bytes=_MAX_PAGE_BYTES)
        listing = self._store.find(scope, collection.key_of(generation), bounded, vectors=vectors)
        if pin is not None:  # an empty page may be due to their removal meanwhile
            _check_pin(self._collections.find(scope, ref), generation)
        documents = [self._to_response(scope, collection, item) for item in listing.items]
        return Listing(documents, listing.total, listing.more, generation)

    def patch(self, scope: Scope, ref: str, document_id: str, body: Json) -> Json:
        """Merge fields into the payload; `vectors` replaces those named. Raises NotFound, InvalidField."""
        return self._change(scope, ref, document_id, body, whole=False)

    def put(self, scope: Scope, ref: str, document_id: str, body: Json) -> Json:
        """Replace the payload; lineage stays, and vectors that are not named. Raises NotFound, InvalidField."""
        return self._change(scope, ref, document_id, body, whole=True)

    def delete(self, scope: Scope, ref: str, document_id: str) -> None:
        """Raises NotFound."""
        collection = self._collections.find(scope, ref)
        if not self._store.delete(scope, collection.storage_key, [document_id]):
            raise NotFound("document", document_id)
        note_done(scope, "document.delete", document_id, collection_id=collection.collection_id)

    def count(self, scope: Scope, ref: str) -> tuple[str, int]:
        """Return the id of the collection and its number of documents. Raises NotFound."""
        collection = self._collections.find(scope, ref)
        return collection.collection_id, self._store.count(scope, collection.storage_key)

    def distinct(self, scope: Scope, ref: str, body: DistinctValues) -> tuple[list[tuple[Any, int]], int]:
        """Return (value, count) pairs, most frequent first, and the number of values. Raises NotFound, InvalidField."""
        collection = self._collections.find(scope, ref)
        check_path("field", body.field)
        filter = parse_filter(body.filters)
        return self._store.distinct(scope, collection.storage_key, body.field, filter, body.limit or 10_000)

    def aggregate(self, scope: Scope, ref: str, body: AggregateDocuments) -> list[Json]:
        """Return sorted rows `{group, metrics}`. Raises NotFound, OutOfTime, InvalidField, also where groups and values
        exceed the memory limit."""
        collection = self._collections.find(scope, ref)
        fields = list_input_fields(body)
        for field in fields:
            check_path("field", field)
        filter = parse_filter(body.filters)
        aggregator = Aggregator(body, fields)
        self._store.each_fields(scope, collection.storage_key, fields, aggregator.add_rows, filter=filter)
        return aggregator.results()

    def batch_update(
        self, scope: Scope, ref: str, body: BatchUpdate, write: Write | None = None
    ) -> tuple[int, list[Json] | None]:
        """Return the number of updated documents and, for given ids, the outcome of each. Raises NotFound,
        InvalidField."""
        parse_filter(body.filters)  # also where ids are given: an invalid filter is never ignored
        if body.updates is not None:
            return self._update_each(scope, ref, body.updates, write)
        if body.update_data is None:
            raise InvalidField("updates", "is required", remedy="Send updates, or filters with update_data.")
        bulk = BulkUpdate(filters=body.filters, update_data=body.update_data)
        return self.bulk_update(scope, ref, bulk, write), None

    def bulk_update(self, scope: Scope, ref: str, body: BulkUpdate, write: Write | None = None) -> int:
        """Merge one update into every document that matches. Raises NotFound, InvalidField."""
        collection = self._collections.find(scope, ref)
        update = check_update(body.update_data, "update_data")
        filter = parse_filter(body.filters)
        key, now = collection.storage_key, self._write_time(write)
        updated = self._store.update_where(scope, key, filter, update, now=now, write=write)
        _note_many(scope, "documents.change", collection, updated)
        return updated

    def batch_delete(
        self, scope: Scope, ref: str, body: BatchDelete, write: Write | None = None
    ) -> tuple[int, list[Json] | None]:
        """Return the number of deleted documents and, for given ids, the outcome of each. Raises NotFound,
        InvalidField."""
        collection = self._collections.find(scope, ref)
        filter = parse_filter(body.filters)
        if body.document_ids is not None:
            ids = list(dict.fromkeys(body.document_ids))
            deleted_ids = self._store.delete(scope, collection.storage_key, ids, write=write)
            _note_many(scope, "documents.delete", collection, len(deleted_ids))
            return _list_outcomes(ids, deleted_ids)
        if not has_condition(filter):
            remedy = "Name document_ids or a condition; to remove all documents delete the collection."
            raise InvalidField("filters", "must hold a condition", remedy=remedy)
        deleted = self._store.delete_where(scope, collection.storage_key, filter, write=write)
        _note_many(scope, "documents.delete", collection, deleted)
        return deleted, None

    def _update_each(
        self, scope: Scope, ref: str, updates: Sequence[DocumentUpdate], write: Write | None
    ) -> tuple[int, list[Json]]:
        collection = self._collections.find(scope, ref)
        checked = [
            (update.document_id, check_update(update.update_data, f"updates[{i}].update_data"))
            for i, update in enumerate(updates)
        ]
        updated_ids = self._store.update(
            scope, collection.storage_key, checked, now=self._write_time(write), write=write
        )
        _note_many(scope, "documents.change", collection, len(updated_ids))
        self._encoding.refresh(scope, collection, updated_ids)
        return _list_outcomes([id for id, _ in checked], updated_ids)

    def _change(self, scope: Scope, ref: str, document_id: str, body: Json, *, whole: bool) -> Json:
        collection = self._collections.find(scope, ref)
        key = collection.storage_key
        before = self._load(scope, collection, document_id)
        payload = check_fields(body)
        if whole and "_internal" in before.payload:
            payload["_internal"] = before.payload["_internal"]
        batch = self._batch(scope, [document_id], [payload], [body.get("vectors")], lambda i: "vectors", "the document")
        internal = self._encoding.mark_sent(collection, batch, payload.get("_internal", {}))
        payload |= {"_internal": internal} if internal else {}
        update, vectors = [(document_id, payload)], batch if batch.vectors else None
        if not self._store.update(scope, key, update, now=self._now(), merge=not whole, vectors=vectors):
            raise NotFound("document", document_id)
        note_done(scope, "document.change", document_id, collection_id=collection.collection_id)
        self._encoding.refresh(scope, collection, [document_id])
        return self.get(scope, ref, document_id)

    def _write_time(self, write: Write | None) -> datetime:
        """Return the time of the documents: for a named write that of its first attempt."""
        return self._now() if write is None else write.at

    def _load(
        self, scope: Scope, collection: Collection, document_id: str, vectors: VectorSelection = ()
    ) -> StoredDocument:
        stored = self._store.get(scope, collection.storage_key, [document_id], vectors=vectors)[0]
        if stored is None:
            raise NotFound("document", document_id)
        return stored

    def _batch(
        self,
        scope: Scope,
        ids: Sequence[str],
        payloads: Sequence[Json],
        vectors: Sequence[object],
        path: Callable[[int], str],
        label: str,
    ) -> DocumentBatch:
        """Validate documents and build columns. `label` names a document in errors, with `{}` for its position."""
        encoded = [encode_payload(payload, label.format(i)) for i, payload in enumerate(payloads)]
        try:
            columns = build_columns(vectors, path, self.vector_names(scope), self._max_dimension)
        except InvalidField as error:
            raise error.about(next(id for i, id in enumerate(ids) if _is_within(error.field, path(i)))) from None
        return DocumentBatch(ids, encoded, columns)

    def _to_response(self, scope: Scope, collection: Collection, stored: StoredDocument) -> Json:
        """Build the wire's DocumentResponse: custom fields at the root, Shoal's under `_internal`."""
        response: Json = {name: value for name, value in stored.payload.items() if name not in RESERVED}
        response["document_id"] = stored.document_id
        response["collection_id"] = collection.collection_id
        if stored.vectors:
            response["vectors"] = {name: vector.tolist() for name, vector in stored.vectors.items()}
        response["_internal"] = {
            "internal_id": scope.organization_id,
            "namespace_id": scope.namespace_id,
            "document_id": stored.document_id,
            "collection_id": collection.collection_id,
            "created_at": format_wire_time(stored.created_at),
            "updated_at": format_wire_time(stored.updated_at),
            **stored.payload.get("_internal", {}),
        }
        return response


def _new_id(write: Write | None) -> str:
    """Return the id of a new document, the same for each repetition of a write."""
    return new_id("doc") if write is None else f"doc_{write.id.rpartition('_')[2]}"


def _note_many(scope: Scope, action: Action, collection: Collection, documents: int) -> None:
    if documents:
        note_done(scope, action, collection.collection_id, documents=documents)


def _check_pin(collection: Collection, generation: str) -> None:
    if generation != collection.generation and generation not in collection.superseded:
        raise Conflict(
            "Another run has published since the first page, and its documents are shown now. Start again without a "
            "cursor.",
            collection_id=collection.collection_id,
        )


def _warnings(body: UpsertDocuments, documents: Sequence[Mapping[str, Any]], batch: DocumentBatch) -> list[str]:
    wants_token = bool(body.options and body.options.write_token)
    ignored = [_NO_TOKEN] * wants_token + [_NO_ACL] * any(document.get("acl") for document in documents)
    return ignored + [rounding_warning(name) for name, column in sorted(batch.vectors.items()) if is_coarse(column)]


def _is_within(field: str, path: str) -> bool:
    return field == path or field.startswith((f"{path}.", f"{path}["))


def _list_outcomes(ids: Sequence[str], done: Sequence[str]) -> tuple[int, list[Json]]:
    succeeded = set(done)
    return len(succeeded), list(_iter_outcomes(ids, succeeded))


def _iter_outcomes(ids: Sequence[str], succeeded: set[str]) -> Iterator[Json]:
    for id in ids:
        error = None if id in succeeded else "No such document."
        yield {"document_id": id, "success": error is None, "error": error}
