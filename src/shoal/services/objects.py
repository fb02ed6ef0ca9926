"""The objects of a bucket: whatever documents are made from, kept as told."""

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
from shoal.services.buckets import Buckets, inside
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Objects"]


class Objects:
    """One method an operation of the wire. `bucket` is an id or a name; `now` is UTC."""

    def __init__(self, metadata: RecordStore, buckets: Buckets, now: Callable[[], datetime]) -> None:
        self._metadata, self._buckets, self._now = metadata, buckets, now
        self._records = Repository(metadata, "object", BucketObject, id_field="object_id")

    def create(self, scope: Scope, bucket: str, body: CreateObject) -> BucketObject:
        """A new object, or the one this idempotency key made before. Raises NotFound for the bucket."""
        return self.create_batch(scope, bucket, [body])[0]

    def create_batch(self, scope: Scope, bucket: str, bodies: list[CreateObject]) -> list[BucketObject]:
        """All or nothing, in the order given. Raises NotFound for the bucket."""
        return self._metadata.transact(self.creation(scope, bucket, bodies))

    def creation(
        self, scope: Scope, bucket: str, bodies: list[CreateObject]
    ) -> Callable[[Transaction], list[BucketObject]]:
        """The body of the transaction that creates objects. It raises NotFound for the bucket, InvalidField."""
        drafts = [_Draft(new_id("obj"), [_blob(blob) for blob in body.blobs or []], body) for body in bodies]

        def create(tx: Transaction) -> list[BucketObject]:
            home = self._buckets.records.within(tx).get(scope, bucket)
            known = [self._made_before(tx, scope, home, body) for body in bodies]
            made = [old or self._add(tx, scope, home, draft) for old, draft in zip(known, drafts, strict=True)]
            fresh = [new for old, new in zip(known, made, strict=True) if old is None]
            self._count(tx, scope, home.bucket_id, len(fresh), sum(new.size_bytes for new in fresh))
            return made

        return create

    def get(self, scope: Scope, bucket: str, object_id: str) -> BucketObject:
        """Raises NotFound, also for an object of another bucket."""
        home = self._buckets.get(scope, bucket)
        return _of_bucket(home, self._records.find_one(scope, object_id), object_id)

    def search(self, scope: Scope, bucket: str, query: Query) -> Listing[BucketObject]:
        """Newest first unless asked otherwise. Raises NotFound for the bucket."""
        home = self._buckets.get(scope, bucket)
        within = replace(query, filter=And((inside(home.bucket_id), query.filter)))
        return self._records.search(scope, within)

    def patch(self, scope: Scope, bucket: str, object_id: str, body: PatchObject) -> BucketObject:
        """Merge the fields that were sent. Raises NotFound."""
        shown = self.get(scope, bucket, object_id).model_dump(mode="json")
        fields = _free(body.model_extra, shown)
        if body.key_prefix is not None:
            fields["key_prefix"] = body.key_prefix
        if body.blobs is not None:
            fields["blobs"] = [_blob(blob) for blob in body.blobs]
        if "edges" in body.model_fields_set:
            fields["edges"] = _edges(body.edges)

        def change(tx: Transaction) -> BucketObject:
            before, records = self._within(tx, scope, bucket, object_id), self._records.within(tx)
            after = records.change(scope, object_id, lambda newest: self._merged(newest, fields), "object.change")
            self._count(tx, scope, before.bucket_id, 0, after.size_bytes - before.size_bytes)
            return after

        return self._metadata.transact(change)

    def delete(self, scope: Scope, bucket: str, object_id: str) -> None:
        """Raises NotFound."""

        def delete(tx: Transaction) -> None:
            doomed = self._within(tx, scope, bucket, object_id)
            self._records.within(tx).remove(scope, object_id, "object.delete")
            self._count(tx, scope, doomed.bucket_id, -1, -doomed.size_bytes)

        self._metadata.transact(delete)

    def _within(self, tx: Transaction, scope: Scope, bucket: str, object_id: str) -> BucketObject:
        """An object of a bucket, inside a transaction. Raises NotFound."""
        home = self._buckets.records.within(tx).get(scope, bucket)
        return _of_bucket(home, self._records.within(tx).find_one(scope, object_id), object_id)

    def _made_before(self, tx: Transaction, scope: Scope, home: Bucket, body: CreateObject) -> BucketObject | None:
        if body.idempotency_key is None:
            return None
        same = Condition("idempotency_key", "eq", body.idempotency_key, case_sensitive=True)
        found = self._records.within(tx).search(scope, Query(filter=And((inside(home.bucket_id), same)))).items
        return found[0] if found else None

    def _add(self, tx: Transaction, scope: Scope, home: Bucket, draft: "_Draft") -> BucketObject:
        now, body = self._now(), draft.body
        made = BucketObject.model_validate(
            {
                **_free(body.model_extra),
                "object_id": draft.object_id,
                "bucket_id": home.bucket_id,
                "key_prefix": body.key_prefix,
                "blobs": draft.blobs,
                "edges": _edges(body.edges),
                "idempotency_key": body.idempotency_key,
                "created_at": now,
                "updated_at": now,
            }
        )
        return self._records.within(tx).add(scope, _sized(made), "object.create")

    def _merged(self, newest: BucketObject, fields: dict[str, Any]) -> BucketObject:
        both = {**newest.model_dump(), **fields, "updated_at": self._now()}
        if isinstance(fields.get("metadata"), dict) and isinstance(old := newest.model_dump().get("metadata"), dict):
            both["metadata"] = {**old, **fields["metadata"]}
        return _sized(BucketObject.model_validate(both))

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
    """What is asked for, and the ids that its object and blobs get."""

    object_id: str
    blobs: list[Blob]
    body: CreateObject


def _of_bucket(home: Bucket, found: BucketObject | None, object_id: str) -> BucketObject:
    if found is None or found.bucket_id != home.bucket_id:
        raise NotFound("object", object_id)
    return found


def _free(extra: dict[str, Any] | None, shown: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """The caller's own fields. What is `shown` already may be sent back as it came. Raises InvalidField for any other
    value under a name that has a meaning."""
    for name, value in (extra or {}).items():
        if name in OWN_FIELDS and (name not in shown or shown[name] != value):
            remedy = "Give the field another name, or put it under metadata."
            raise InvalidField(name, "is a name that Shoal keeps for itself", value=value, remedy=remedy)
    return {name: value for name, value in (extra or {}).items() if name not in OWN_FIELDS}


def _edges(sent: list[Edge] | None) -> list[dict[str, Any]] | None:
    return None if sent is None else [edge.model_dump(exclude_unset=True) for edge in sent]


def _blob(sent: CreateBlob) -> Blob:
    content = {"data": sent.data, "upload_id": sent.upload_id, "checksum": sent.checksum, **(sent.metadata or {})}
    return Blob(
        blob_id=new_id("blob"),
        property=sent.property,
        type=sent.type,
        key_prefix=sent.key_prefix,
        properties={name: value for name, value in content.items() if value is not None},
    )


def _sized(record: BucketObject) -> BucketObject:
    """With the size of the fields and blobs as JSON."""
    content = record.model_dump(mode="json", exclude={"size_bytes", "created_at", "updated_at"})
    return record.with_changes(size_bytes=len(orjson.dumps(content)))
