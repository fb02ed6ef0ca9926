"""Buckets: named containers of objects."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from shoal.records.bucket import Bucket, CreateBucket, PatchBucket
from shoal.records.ids import check_name, new_id
from shoal.records.queries.filters import Condition
from shoal.records.queries.paging import Listing
from shoal.records.scope import Scope
from shoal.repositories.repository import Repository
from shoal.storage.protocols.records import Query
from shoal.storage.protocols.transactions import RecordStore, Transaction

__all__ = ["Buckets", "in_bucket"]

_RESERVED: Final = frozenset({"list"})


class Buckets:
    """One method per operation of the API. `ref` is an id or a name; `now` is UTC."""

    def __init__(self, metadata: RecordStore, now: Callable[[], datetime]) -> None:
        self._metadata, self._now = metadata, now
        self.records = Repository(metadata, "bucket", Bucket, id_field="bucket_id", name_field="bucket_name")

    def create(self, scope: Scope, body: CreateBucket) -> Bucket:
        """Create a bucket. Raises InvalidField, AlreadyExists for the name."""
        return self._metadata.transact(self.creation(scope, body))

    def creation(self, scope: Scope, body: CreateBucket) -> Callable[[Transaction], Bucket]:
        """Return the transaction body that creates a bucket. Raises InvalidField."""
        now = self._now()
        bucket = Bucket(
            bucket_id=new_id("bkt"),
            bucket_name=_check_bucket_name(body.bucket_name),
            description=body.description,
            bucket_schema=body.bucket_schema,
            unique_key=body.unique_key,
            metadata=body.metadata,
            storage_class=body.storage_class,
            created_at=now,
            updated_at=now,
            warnings=_warnings(body),
        )
        return lambda tx: self.records.within(tx).add(scope, bucket, "bucket.create")

    def get(self, scope: Scope, ref: str) -> Bucket:
        """Raises NotFound."""
        return self.records.get(scope, ref)

    def search(self, scope: Scope, query: Query) -> Listing[Bucket]:
        """Newest first unless asked otherwise."""
        return self.records.search(scope, query)

    def patch(self, scope: Scope, ref: str, body: PatchBucket) -> Bucket:
        """Change the fields that were sent; null clears all but the name and the schema. Raises NotFound, InvalidField,
        AlreadyExists."""
        sent: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
        for required in ("bucket_name", "bucket_schema"):
            if sent.get(required, ...) is None:
                del sent[required]
        if "bucket_name" in sent:
            _check_bucket_name(sent["bucket_name"])
        sent |= {"updated_at": self._now(), "warnings": _warnings(body)}
        return self.records.change(scope, ref, lambda bucket: bucket.with_changes(**sent), "bucket.change")

    def delete(self, scope: Scope, ref: str) -> Bucket:
        """Delete the bucket and its objects; documents made from them stay. Raises NotFound."""

        def delete(tx: Transaction) -> Bucket:
            records = self.records.within(tx)
            bucket = records.get(scope, ref)
            while objects := tx.find(scope, "object", Query(filter=in_bucket(bucket.bucket_id))).items:
                for stored in objects:
                    tx.delete(scope, "object", stored.id)
            records.remove(scope, bucket.bucket_id, "bucket.delete")
            return bucket

        return self._metadata.transact(delete)


def in_bucket(bucket_id: str) -> Condition:
    """Return the filter for the objects of a bucket."""
    return Condition("bucket_id", "eq", bucket_id, case_sensitive=True)


def _warnings(body: CreateBucket | PatchBucket) -> list[str]:
    key = [] if body.unique_key is None else ["unique_key is stored, but not enforced."]
    return [*body.describe_ignored(), *key]


def _check_bucket_name(name: str) -> str:
    return check_name("bucket_name", name, "bkt", reserved=_RESERVED)
