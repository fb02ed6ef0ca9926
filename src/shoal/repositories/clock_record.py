"""Records of clocks, which are shared by all processes of an installation."""

from typing import Final

from shoal.records.scope import Scope
from shoal.storage.protocols.records import Json, RecordReader, Stored
from shoal.storage.protocols.transactions import Transaction

__all__ = ["get_clock", "put_clock"]

_ROOT: Final = Scope("")


def get_clock(reader: RecordReader, id: str) -> Stored | None:
    """Return the record of a clock; None if it was never set."""
    return reader.get(_ROOT, "clock", id)


def put_clock(tx: Transaction, id: str, body: Json) -> None:
    """Set a clock; its version grows by 1."""
    stored = get_clock(tx, id)
    if stored is None:
        tx.insert(_ROOT, "clock", id, body)
    else:
        tx.replace(_ROOT, "clock", id, body, expect_version=stored.version)
