"""A counter of changes to keys and namespaces, by which caches in all processes detect that they are out of date."""

from typing import Final

from shoal.repositories.clock_record import get_clock, put_clock
from shoal.storage.protocols.records import RecordReader
from shoal.storage.protocols.transactions import Transaction

__all__ = ["AccessClock", "advance_access_clock"]

_ID: Final = "access"


class AccessClock:
    """The counter in the metadata store, shared by all processes. It costs one small read a request, and a write for
    each change of a key or a namespace; recording the last use of a key is not a change."""

    def __init__(self, store: RecordReader) -> None:
        self._store = store

    def read(self) -> int:
        """Return the reading. Keys and namespaces that are read afterwards are current while it stays the same."""
        stored = get_clock(self._store, _ID)
        return 0 if stored is None else stored.version


def advance_access_clock(tx: Transaction) -> None:
    """Advance the clock. Call it in each transaction that changes a key or a namespace."""
    put_clock(tx, _ID, {})
