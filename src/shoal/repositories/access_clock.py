"""A counter of changes to keys and namespaces: what tells a cache, in whichever process, that it is out of date."""

from typing import Final

from shoal.records.scope import Scope
from shoal.storage.protocols.records import RecordReader
from shoal.storage.protocols.transactions import Transaction

__all__ = ["AccessClock", "advance_access_clock"]

_ROOT: Final = Scope("")
_ID: Final = "access"


class AccessClock:
    """Kept in the metadata store, so that all processes read the same time. Costs one small read, and a write for each
    change of a key or a namespace; noting that a key was used is not a change."""

    def __init__(self, store: RecordReader) -> None:
        self._store = store

    def read(self) -> int:
        """What was read from keys and namespaces after this reading is current while the clock reads the same."""
        kept = self._store.get(_ROOT, "clock", _ID)
        return 0 if kept is None else kept.version


def advance_access_clock(tx: Transaction) -> None:
    """For each transaction that changes a key or a namespace."""
    kept = tx.get(_ROOT, "clock", _ID)
    if kept is None:
        tx.insert(_ROOT, "clock", _ID, {})
    else:
        tx.replace(_ROOT, "clock", _ID, {}, expect_version=kept.version)
