"""What a key needs for a call, and the refusal of one that lacks it."""

from typing import Final

from starlette.types import Scope as Connection

from shoal.errors import Forbidden
from shoal.records.key import Caller, Permission
from shoal.repositories.audit import Audit

__all__ = ["check_permission", "needed_permission"]

_READING_POSTS: Final = frozenset({"list", "count", "distinct", "aggregate", "export", "data", "history", "plan"})


def check_permission(audit: Audit, caller: Caller, connection: Connection) -> None:
    """Writes into the audit log where it refuses, so not on the event loop. Raises Forbidden."""
    method, path = connection["method"], connection["path"]
    permission = needed_permission(method, path)
    if caller.may(permission):
        return
    audit.refused(caller.organization_id, "forbidden", caller.key_id, needed=permission, method=method, path=path)
    raise Forbidden(
        f"The key {caller.name!r} lacks the permission {permission!r}.",
        needed=permission,
        granted=sorted(caller.permissions),
    )


def needed_permission(method: str, path: str) -> Permission:
    """What a key needs for a call: the table of the whole API."""
    parts = [part for part in path.split("/") if part]
    while parts and parts[0] in ("api", "v1"):
        parts = parts[1:]
    if parts[:1] == ["organizations"] and parts[1:2] in (["users"], ["audit"]):
        return "admin"
    if method in ("GET", "HEAD", "OPTIONS"):
        return "read"
    if parts[:1] == ["organizations"]:
        return "admin"
    if method == "DELETE":
        return "delete"
    return "read" if method == "POST" and parts and parts[-1] in _READING_POSTS else "write"
