"""The metadata store: everything that one transaction covers."""

from typing import Protocol

from shoal.storage.protocols.events import EventLog
from shoal.storage.protocols.maintenance import CounterReader, Maintenance
from shoal.storage.protocols.queue import JobQueue
from shoal.storage.protocols.replies import ReplyReader
from shoal.storage.protocols.schedules import ScheduleStore
from shoal.storage.protocols.transactions import RecordStore

__all__ = ["MetadataStore"]


class MetadataStore(RecordStore, JobQueue, ReplyReader, EventLog, ScheduleStore, CounterReader, Maintenance, Protocol):
    """Records of all kinds, the queue of jobs, saved replies, events, schedules and counters."""
