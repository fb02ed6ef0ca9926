"""Transactions: a body is a function that the store runs, once or several times, until it commits."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from shoal.storage.protocols.events import EventReader, EventWriter
from shoal.storage.protocols.maintenance import CounterWriter
from shoal.storage.protocols.queue import JobReader, JobWriter
from shoal.storage.protocols.records import RecordReader, RecordWriter
from shoal.storage.protocols.replies import ReplyReader, ReplyWriter
from shoal.storage.protocols.schedules import ScheduleReader, ScheduleWriter

__all__ = ["RecordStore", "Transaction"]

T = TypeVar("T")


class Transaction(
    RecordReader, RecordWriter, JobReader, JobWriter, ReplyReader, ReplyWriter, EventReader, EventWriter,
    ScheduleReader, ScheduleWriter, CounterWriter, Protocol,
):  # fmt: skip
    """The handle through which the body of a transaction reads and writes everything in the metadata store.

    It sees one snapshot of the store and its own writes. It is valid until the body returns.
    """

    def on_commit(self, action: Callable[[], None]) -> None:
        """Call `action` after the commit, in the order of registration, and not at all without a commit.

        For effects outside the store. What it raises leaves `transact`, although the transaction is stored.
        """


class RecordStore(RecordReader, Protocol):
    """Records, and transactions over everything the metadata store holds."""

    def transact(self, body: Callable[[Transaction], T]) -> T:
        """Run `body` as one transaction and return what it returns.

        Transactions are *serialisable*: the outcome is that of running those that committed one after the other. All
        writes become visible at once, and are durable when this method returns.

        `body` may run more than once, since a store may find a conflict at commit time; only the last run counts. So it
        must be free of side effects: no file is written, no key is shown, and ids that become visible outside are
        created before. It reads and writes through its Transaction; use of the store itself inside `body` raises
        RuntimeError. There are no savepoints: whatever `body` raises rolls the transaction back and leaves this method.
        So does a refused write, even if `body` catches the error: any further use raises RuntimeError.

        Raises Contended if every attempt met a conflict, Unavailable if the store did not answer.
        """
