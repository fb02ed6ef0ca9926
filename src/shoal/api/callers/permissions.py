"""The permission that each route declares, and its check."""

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
    "parse_permission",
    "permission_of",
]

X_PERMISSION: Final = "x-permission"
"""The OpenAPI extension with the permission that an operation needs; set in `openapi_extra` of its route."""

PERMISSION: Final = "permission"
"""The key of the request state in which authentication puts the required permission."""

READ: Final[dict[str, Any]] = {X_PERMISSION: "read"}
WRITE: Final[dict[str, Any]] = {X_PERMISSION: "write"}
DELETE: Final[dict[str, Any]] = {X_PERMISSION: "delete"}
ADMIN: Final[dict[str, Any]] = {X_PERMISSION: "admin"}
OPEN: Final[dict[str, Any]] = {X_PERMISSION: None}
"""For routes without a key."""

_VALUES: Final = frozenset((*get_args(Permission), None))
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def parse_permission(path: str, extra: Mapping[str, Any] | None) -> Permission | None:
    """Return the permission that a route declares. Raises TypeError where it declares none."""
    declared = (extra or _NOTHING).get(X_PERMISSION, "")
    if declared not in _VALUES:
        raise TypeError(f"{path}: declare a permission, as openapi_extra=READ, WRITE, DELETE, ADMIN or OPEN.")
    permission: Permission | None = declared
    return permission


def permission_of(connection: Connection) -> Permission | None:
    """Return the permission that an authenticated request requires. None where no key is required or no route
    matches."""
    needed: Permission | None = connection.get("state", {}).get(PERMISSION)
    return needed


def check_permission(audit: Audit, caller: Caller, permission: Permission, connection: Connection) -> None:
    """Raise Forbidden where the caller lacks the permission. Writes to the audit log, so not for the event loop."""
    if caller.may(permission):
        return
    method, path = connection["method"], connection["path"]
    audit.note_refusal(caller.organization_id, "forbidden", caller.key_id, needed=permission, method=method, path=path)
    raise Forbidden(
        f"The key {caller.name!r} lacks the permission {permission!r}.",
        needed=permission,
        granted=sorted(caller.permissions),
    )
