"""A transaction is a function that the store runs, once or several times, until it commits."""

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
    """What the body of a transaction reads and writes through: everything the metadata store holds.

    It sees the store as of one moment, and its own writes. It is good until the body returns.
    """

    def on_commit(self, action: Callable[[], None]) -> None:
        """Call `action` once everything is committed, in the order given; never where nothing is committed. For effects
        outside of the store. What it raises leaves `transact`, although the transaction is stored."""


class RecordStore(RecordReader, Protocol):
    """Records, and transactions over everything the metadata store holds."""

    def transact(self, body: Callable[[Transaction], T]) -> T:
        """Run `body` as one transaction and return what it returns.

        Transactions are *serialisable*: the outcome is that of running those that committed one after the other. All
        writes become visible at once, and are durable when this method returns.

        `body` may run more than once, since a store may find at the end that another transaction was in the way; only
        the last run counts. So it does nothing that cannot be repeated: no file is written, no key is shown, and ids
        that anybody learns of are made before. It reads and writes through the Transaction that it is given; use of
        the store itself inside `body` raises RuntimeError. There are no savepoints: whatever `body` raises ends the
        transaction, nothing of it is stored, and the error leaves this method. A write that is refused does so too,
        even where `body` catches the error: what follows raises RuntimeError.

        Raises Contended where other transactions were in the way each time, Unavailable where the store did not
        answer.
        """
