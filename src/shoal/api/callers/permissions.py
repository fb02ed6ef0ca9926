"""What a key needs for a call, declared at its route, and the refusal of one that lacks it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

from starlette.types import Scope as Connection

from shoal.errors import Forbidden
from shoal.records.key import Caller, Permission
from shoal.repositories.audit import Audit

__all__ = [
    "ADMIN",
    "DELETE",
    "OPEN",
    "PERMISSION",
    "READ",
    "WRITE",
    "X_PERMISSION",
    "check_permission",
    "declared_permission",
    "permission_of",
]

X_PERMISSION: Final = "x-permission"
"""The extension of the OpenAPI that states the permission an operation needs; set in `openapi_extra` of its route."""

PERMISSION: Final = "permission"
"""Where authentication leaves what a request needs, in its state."""

READ: Final[dict[str, Any]] = {X_PERMISSION: "read"}
WRITE: Final[dict[str, Any]] = {X_PERMISSION: "write"}
DELETE: Final[dict[str, Any]] = {X_PERMISSION: "delete"}
ADMIN: Final[dict[str, Any]] = {X_PERMISSION: "admin"}
OPEN: Final[dict[str, Any]] = {X_PERMISSION: None}
"""For what needs no key."""

_KNOWN: Final = frozenset((*get_args(Permission), None))
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def declared_permission(path: str, extra: Mapping[str, Any] | None) -> Permission | None:
    """The permission that a route declares. Raises TypeError where it declares none."""
    declared = (extra or _NOTHING).get(X_PERMISSION, "")
    if declared not in _KNOWN:
        raise TypeError(f"{path}: declare what a key needs, as openapi_extra=READ, WRITE, DELETE, ADMIN or OPEN.")
    permission: Permission | None = declared
    return permission


def permission_of(connection: Connection) -> Permission | None:
    """What a request needs, once authentication has seen it. None where no key is needed or no route is met."""
    needed: Permission | None = connection.get("state", {}).get(PERMISSION)
    return needed


def check_permission(audit: Audit, caller: Caller, permission: Permission, connection: Connection) -> None:
    """Writes into the audit log where it refuses, so not on the event loop. Raises Forbidden."""
    if caller.may(permission):
        return
    method, path = connection["method"], connection["path"]
    audit.refused(caller.organization_id, "forbidden", caller.key_id, needed=permission, method=method, path=path)
    raise Forbidden(
        f"The key {caller.name!r} lacks the permission {permission!r}.",
        needed=permission,
        granted=sorted(caller.permissions),
    )
