"""Enrichment intents: results of a run on their way into the documents of a collection."""

from datetime import datetime

from shoal.records.base import Record

__all__ = ["EnrichmentIntent"]


class EnrichmentIntent(Record):
    """What is to be written, on record before the first document changes, and how far it has come.

    `position` of `total` rows of the run's members are done; `enriched` documents were found and hold their values. The
    position moves after the documents: what a crash repeats changes nothing.
    """

    schema_version: int = 1
    intent_id: str
    """`<run>:<where the members come from>:<a hash of what is written>`."""
    created_at: datetime
    updated_at: datetime
    cluster_id: str
    run_id: str
    run_time: datetime
    """When the run was asked for, by the clock of that moment."""
    sequence: int = 0
    """The number of the run among those of its cluster: of two, the later one's results stay."""
    by_run: bool = False
    """Whether the run itself writes, into its sources, or a caller asked for it."""
    partition: str = ""
    """Of a run with a filter of its own: other partitions keep theirs."""
    target: str
    """The storage key of the collection that is written."""
    total: int
    position: int = 0
    enriched: int = 0
    rows_before: int = 0
    """Rows of earlier passes over the same members: with `position` the step of the next write, which never goes
    back."""

    @property
    def done(self) -> bool:
        """Whether every row is written."""
        return self.position == self.total

    @property
    def source(self) -> str:
        """The collection that the members come from."""
        return self.intent_id.split(":")[1]
