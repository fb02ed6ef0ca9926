"""Removals: tombstones of deleted records whose documents, artifacts and checkpoints are still to be removed."""

from pydantic import Field

from shoal.records.base import Record, Timestamp

__all__ = ["Removal"]


class Removal(Record):
    """A tombstone, stored in the transaction that deletes the records, so that the resource is gone for readers.

    The documents, artifacts and checkpoints named here are removed afterwards, by this or another process. The removal
    of a whole namespace is stored in its organisation, all others in their namespace.
    """

    schema_version: int = 1
    removal_id: str
    created_at: Timestamp
    namespace_id: str
    whole_namespace: bool = False
    collection_ids: list[str] = Field(default_factory=list)
    run_ids: list[str] = Field(default_factory=list)
    cluster_id: str | None = None
    """A deleted cluster: the fields it wrote into documents are cleared, or forgotten and left there."""
    clear_results: bool = False
    cleared: bool = False
    """Whether everything was removed once. It is repeated before the tombstone is deleted: a concurrent writer may have
    left an empty folder since."""
