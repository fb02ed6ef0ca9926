"""Whether a place in the document store is on record."""

from collections.abc import Callable

from shoal.errors import NotFound
from shoal.records.scope import Scope
from shoal.storage.protocols.records import RecordReader

__all__ = ["check_known"]


def check_known(store: RecordReader) -> Callable[[Scope, str], None]:
    """What the document store asks before it writes, within its own transaction: whether the namespace and the
    collection of a storage key ("" for none) are on record. A removal deletes the records before it takes the document
    store's lock, so that nothing can be written which it would miss. The answer raises NotFound."""

    def check(scope: Scope, key: str) -> None:
        if store.get(scope.organization, "namespace", scope.namespace_id) is None:
            raise NotFound("namespace", scope.namespace_id)
        collection_id = key.partition("@")[0]
        if collection_id and store.get(scope, "collection", collection_id) is None:
            raise NotFound("collection", collection_id)

    return check
