"""The check that a collection has a record before documents are written to it."""

from collections.abc import Callable

from shoal.errors import NotFound
from shoal.records.scope import Scope
from shoal.storage.protocols.records import RecordReader

__all__ = ["check_known"]


def check_known(store: RecordReader) -> Callable[[Scope, str], None]:
    """Return a check that the document store runs inside its own transaction before it writes.

    The check raises NotFound if the namespace, or the collection of a storage key ("" for none), has no record. A
    removal deletes the records before it takes the lock of the document store, so that no later write escapes it.
    """

    def check(scope: Scope, key: str) -> None:
        if store.get(scope.organization, "namespace", scope.namespace_id) is None:
            raise NotFound("namespace", scope.namespace_id)
        collection_id = key.partition("@")[0]
        if collection_id and store.get(scope, "collection", collection_id) is None:
            raise NotFound("collection", collection_id)

    return check
