"""Removals: what was deleted from the records, and is still to be cleared away elsewhere."""

from pydantic import Field

from shoal.records.base import Record, Timestamp

__all__ = ["Removal"]


class Removal(Record):
    """A tombstone. It is stored in the transaction that deletes the records, so nobody finds the thing any more; the
    documents, artifacts and checkpoints named here are removed afterwards, by whoever comes to it.

    A removal of a whole namespace is kept by its organisation, all others by their namespace.
    """

    schema_version: int = 1
    removal_id: str
    created_at: Timestamp
    namespace_id: str
    whole_namespace: bool = False
    collection_ids: list[str] = Field(default_factory=list)
    run_ids: list[str] = Field(default_factory=list)
    cluster_id: str | None = None
    """A cluster that was deleted: what it wrote into documents is cleared, or forgotten and left there."""
    clear_results: bool = False
    cleared: bool = False
    """Whether everything was cleared away once. It is done a second time before the tombstone goes: a writer that was
    under way may have left an empty folder since."""
