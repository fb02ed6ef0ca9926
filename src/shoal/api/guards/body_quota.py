"""The quota of a JSON body by its route: a query for a list needs no sixty megabytes.

Bytes are counted while a body streams in, values before they become objects: a million empty lists take three megabytes
on the wire and eighty in memory.
"""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope as Connection

from shoal.api.callers.permissions import permission_of
from shoal.settings import Settings

__all__ = ["QUOTA", "SMALL_QUOTA", "BodyQuota", "quota_for"]

QUOTA: Final = "body_quota"
"""The key of the request state in which `api/guards/limits.py` puts the quota."""

_VALUES_PER_MIB: Final = 100_000
_MOST_CONTAINERS: Final = 500_000
_MANY: Final = ("/documents/upsert", "/documents/batch", "/objects/batch")
_SMALL_MIB: Final = 1
_ONE_MIB: Final = 8


@dataclass(frozen=True, slots=True)
class BodyQuota:
    """Limits of a body: its size in MiB, its `values` (scalars, keys, lists, objects) and its `containers` (lists and
    objects)."""

    mib: int
    values: int
    containers: int


SMALL_QUOTA: Final = BodyQuota(_SMALL_MIB, _VALUES_PER_MIB, 20_000)
"""The quota of every route that takes neither documents nor objects."""


def quota_for(connection: Connection, settings: Settings) -> BodyQuota:
    """Return the quota of a request: 8 MiB for one document or object, `max_body_mib` for many, else 1 MiB."""
    mib = min(_mib(connection, settings.max_body_mib), settings.max_body_mib)
    if mib <= _SMALL_MIB:
        return SMALL_QUOTA
    return BodyQuota(mib, mib * _VALUES_PER_MIB, min(mib * SMALL_QUOTA.containers, _MOST_CONTAINERS))


def _mib(connection: Connection, most: int) -> int:
    method, path = connection["method"], str(connection["path"])
    if method in ("POST", "PUT", "PATCH") and path.endswith(_MANY):
        return most
    parts = path.split("/")
    stores = "documents" in parts or "objects" in parts
    if not stores or method not in ("POST", "PUT", "PATCH", "DELETE"):
        return _SMALL_MIB
    return _SMALL_MIB if permission_of(connection) == "read" else _ONE_MIB
