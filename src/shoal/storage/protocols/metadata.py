"""The metadata store: records, queue, replies and counters in one transaction."""

from typing import Protocol

from shoal.storage.protocols.maintenance import Counters, Maintenance
from shoal.storage.protocols.queue import JobQueue
from shoal.storage.protocols.records import RecordStore
from shoal.storage.protocols.replies import ReplyStore

__all__ = ["MetadataStore"]


class MetadataStore(RecordStore, JobQueue, ReplyStore, Counters, Maintenance, Protocol):
    """Records of all kinds, the queue of jobs, saved replies and counters."""
