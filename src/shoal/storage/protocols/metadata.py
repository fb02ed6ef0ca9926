"""The metadata store: records, queue, replies and counters behind one transaction."""

from typing import Protocol

from shoal.storage.protocols.maintenance import CounterReader, Maintenance
from shoal.storage.protocols.queue import JobQueue
from shoal.storage.protocols.replies import ReplyReader
from shoal.storage.protocols.transactions import RecordStore

__all__ = ["MetadataStore"]


class MetadataStore(RecordStore, JobQueue, ReplyReader, CounterReader, Maintenance, Protocol):
    """Records of all kinds, the queue of jobs, saved replies and counters."""
