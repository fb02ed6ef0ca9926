"""The objects of a bucket: sources of documents, stored as they are sent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson

from shoal.errors import InvalidField, NotFound
from shoal.records.bucket import (
    OWN_FIELDS,
    Blob,
    Bucket,
    BucketObject,
    CreateBlob,
    CreateObject,
    Edge,
    PatchObject,
)
from shoal.records.ids import new_id
from shoal.records.queries.filters import And, Condition
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.services.buckets import Buckets, in_bucket
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Objects"]


class Objects:
    """One method per operation of the API. `bucket` is an id or a name; `now` is UTC."""

    def __init__(self, metadata: RecordStore, buckets: Buckets, now: Callable[[], datetime]) -> None:
        self._metadata, self._buckets, self._now = metadata, buckets, now
        self._records = Repository(metadata, "object", BucketObject, id_field="object_id")

    def create(self, scope: Scope, bucket: str, body: CreateObject) -> BucketObject:
        """Create an object, or return that of the same idempotency key. Raises NotFound for the bucket."""
        return self.create_batch(scope, bucket, [body])[0]

    def create_batch(self, scope: Scope, bucket: str, bodies: list[CreateObject]) -> list[BucketObject]:
        """Create objects, all or none, in order. Raises NotFound for the bucket."""
        return self._metadata.transact(self.creation(scope, bucket, bodies))

    def creation(
        self, scope: Scope, bucket: str, bodies: list[CreateObject]
    ) -> Callable[[Transaction], list[BucketObject]]:
        """Return the transaction body that creates objects. The body raises NotFound for the bucket, InvalidField."""
        drafts = [_Draft(new_id("obj"), [_build_blob(blob) for blob in body.blobs or []], body) for body in bodies]

        def create(tx: Transaction) -> list[BucketObject]:
            owner = self._buckets.records.within(tx).get(scope, bucket)
            duplicates = [self._find_duplicate(tx, scope, owner, body) for body in bodies]
            objects = [old or self._add(tx, scope, owner, draft) for old, draft in zip(duplicates, drafts, strict=True)]
            created = [new for old, new in zip(duplicates, objects, strict=True) if old is None]
            self._count(tx, scope, owner.bucket_id, len(created), sum(new.size_bytes for new in created))
            return objects

        return create

    def get(self, scope: Scope, bucket: str, object_id: str) -> BucketObject:
        """Return an object. Raises NotFound, also for an object of another bucket."""
        owner = self._buckets.get(scope, bucket)
        return _check_in_bucket(owner, self._records.find_one(scope, object_id), object_id)

    def search(self, scope: Scope, bucket: str, query: Query) -> Listing[BucketObject]:
        """Newest first unless asked otherwise. Raises NotFound for the bucket."""
        owner = self._buckets.get(scope, bucket)
        within = replace(query, filter=And((in_bucket(owner.bucket_id), query.filter)))
        return self._records.search(scope, within)

    def patch(self, scope: Scope, bucket: str, object_id: str, body: PatchObject) -> BucketObject:
        """Merge the fields that were sent. Raises NotFound."""
        current = self.get(scope, bucket, object_id).model_dump(mode="json")
        fields = _custom_fields(body.model_extra, current)
        if body.key_prefix is not None:
            fields["key_prefix"] = body.key_prefix
        if body.blobs is not None:
            fields["blobs"] = [_build_blob(blob) for blob in body.blobs]
        if "edges" in body.model_fields_set:
            fields["edges"] = _dump_edges(body.edges)

        def change(tx: Transaction) -> BucketObject:
            before, records = self._find_within(tx, scope, bucket, object_id), self._records.within(tx)
            after = records.change(scope, object_id, lambda newest: self._merge(newest, fields), "object.change")
            self._count(tx, scope, before.bucket_id, 0, after.size_bytes - before.size_bytes)
            return after

        return self._metadata.transact(change)

    def delete(self, scope: Scope, bucket: str, object_id: str) -> None:
        """Raises NotFound."""

        def delete(tx: Transaction) -> None:
            removed = self._find_within(tx, scope, bucket, object_id)
            self._records.within(tx).remove(scope, object_id, "object.delete")
            self._count(tx, scope, removed.bucket_id, -1, -removed.size_bytes)

        self._metadata.transact(delete)

    def _find_within(self, tx: Transaction, scope: Scope, bucket: str, object_id: str) -> BucketObject:
        """Return an object of a bucket inside a transaction. Raises NotFound."""
        owner = self._buckets.records.within(tx).get(scope, bucket)
        return _check_in_bucket(owner, self._records.within(tx).find_one(scope, object_id), object_id)

    def _find_duplicate(self, tx: Transaction, scope: Scope, owner: Bucket, body: CreateObject) -> BucketObject | None:
        if body.idempotency_key is None:
            return None
        same = Condition("idempotency_key", "eq", body.idempotency_key, case_sensitive=True)
        matches = self._records.within(tx).search(scope, Query(filter=And((in_bucket(owner.bucket_id), same)))).items
        return matches[0] if matches else None

    def _add(self, tx: Transaction, scope: Scope, owner: Bucket, draft: "_Draft") -> BucketObject:
        now, body = self._now(), draft.body
        created = BucketObject.model_validate(
            {
                **_custom_fields(body.model_extra),
                "object_id": draft.object_id,
                "bucket_id": owner.bucket_id,
                "key_prefix": body.key_prefix,
                "blobs": draft.blobs,
                "edges": _dump_edges(body.edges),
                "idempotency_key": body.idempotency_key,
                "created_at": now,
                "updated_at": now,
            }
        )
        return self._records.within(tx).add(scope, _with_size(created), "object.create")

    def _merge(self, newest: BucketObject, fields: dict[str, Any]) -> BucketObject:
        merged = {**newest.model_dump(), **fields, "updated_at": self._now()}
        if isinstance(fields.get("metadata"), dict) and isinstance(old := newest.model_dump().get("metadata"), dict):
            merged["metadata"] = {**old, **fields["metadata"]}
        return _with_size(BucketObject.model_validate(merged))

    def _count(self, tx: Transaction, scope: Scope, bucket_id: str, objects: int, size_bytes: int) -> None:
        now = self._now()
        self._buckets.records.within(tx).change(
            scope,
            bucket_id,
            lambda bucket: bucket.with_changes(
                object_count=bucket.object_count + objects,
                total_size_bytes=bucket.total_size_bytes + size_bytes,
                last_upload_at=now if objects > 0 else bucket.last_upload_at,
            ),
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """The request for an object, and the ids of the object and its blobs."""

    object_id: str
    blobs: list[Blob]
    body: CreateObject


def _check_in_bucket(owner: Bucket, stored: BucketObject | None, object_id: str) -> BucketObject:
    if stored is None or stored.bucket_id != owner.bucket_id:
        raise NotFound("object", object_id)
    return stored


def _custom_fields(extra: dict[str, Any] | None, current: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Return the caller's custom fields. Reserved fields may be sent back with their `current` values; another value
    raises InvalidField."""
    for name, value in (extra or {}).items():
        if name in OWN_FIELDS and (name not in current or current[name] != value):
            remedy = "Give the field another name, or put it under metadata."
            raise InvalidField(name, "is a reserved name", value=value, remedy=remedy)
    return {name: value for name, value in (extra or {}).items() if name not in OWN_FIELDS}


def _dump_edges(sent: list[Edge] | None) -> list[dict[str, Any]] | None:
    return None if sent is None else [edge.model_dump(exclude_unset=True) for edge in sent]


def _build_blob(sent: CreateBlob) -> Blob:
    content = {"data": sent.data, "upload_id": sent.upload_id, "checksum": sent.checksum, **(sent.metadata or {})}
    return Blob(
        blob_id=new_id("blob"),
        property=sent.property,
        type=sent.type,
        key_prefix=sent.key_prefix,
        properties={name: value for name, value in content.items() if value is not None},
    )


def _with_size(record: BucketObject) -> BucketObject:
    """Return the object with the size of its fields and blobs as JSON."""
    content = record.model_dump(mode="json", exclude={"size_bytes", "created_at", "updated_at"})
    return record.with_changes(size_bytes=len(orjson.dumps(content)))
