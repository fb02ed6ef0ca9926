"""Relabelings: labels that people changed, and documents that are still to follow."""

from shoal.records.base import Record, Timestamp

__all__ = ["Relabeling"]


class Relabeling(Record):
    """Clusters of a run whose labels changed after documents had got them. It is stored in the transaction that changes
    the labels and goes when every document holds the new ones, so that a crash in between loses nothing."""

    schema_version: int = 1
    run_id: str
    created_at: Timestamp
    cluster_ids: list[str]
    changes: int = 1
    """How often labels of the run were changed since this was begun."""
