"""How much a JSON body may hold, by what its route is for: a list needs no sixty megabytes.

Bytes are counted while a body streams in, values before an object is made of them: a million empty lists take three
megabytes on the wire and eighty in memory.
"""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope as Connection

from shoal.api.callers.permissions import permission_of
from shoal.settings import Settings

__all__ = ["ROOM", "SMALL", "Room", "room_of"]

ROOM: Final = "room"
"""Where `api/guards/limits.py` leaves the room of a request, in its state."""

_VALUES_PER_MIB: Final = 100_000
_MOST_CONTAINERS: Final = 500_000
_MANY: Final = ("/documents/upsert", "/documents/batch", "/objects/batch")
_SMALL_MIB: Final = 1
_ONE_MIB: Final = 8


@dataclass(frozen=True, slots=True)
class Room:
    """`mib` of bytes; `values` counts scalars, keys, lists and objects, `containers` lists and objects alone."""

    mib: int
    values: int
    containers: int


SMALL: Final = Room(_SMALL_MIB, _VALUES_PER_MIB, 20_000)
"""Of everything that is neither documents nor objects."""


def room_of(connection: Connection, settings: Settings) -> Room:
    """8 MiB where one document or object is sent, `max_body_mib` where many are, else 1 MiB."""
    mib = min(_mib(connection, settings.max_body_mib), settings.max_body_mib)
    if mib <= _SMALL_MIB:
        return SMALL
    return Room(mib, mib * _VALUES_PER_MIB, min(mib * SMALL.containers, _MOST_CONTAINERS))


def _mib(connection: Connection, most: int) -> int:
    method, path = connection["method"], str(connection["path"])
    if method in ("POST", "PUT", "PATCH") and path.endswith(_MANY):
        return most
    parts = path.split("/")
    stores = "documents" in parts or "objects" in parts
    if not stores or method not in ("POST", "PUT", "PATCH", "DELETE"):
        return _SMALL_MIB
    return _SMALL_MIB if permission_of(connection) == "read" else _ONE_MIB
