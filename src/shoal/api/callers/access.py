"""Confirmation of caller and namespace when a handler starts: one read of the metadata store a request.

Authentication admits a request by a cached key, without leaving the event loop; the entry may be seconds old. So the
handler's thread first reads the access clock: where it is unchanged, key and namespace come from the cache, else they
are read again. A revoked key and a deleted namespace stop working at once, whichever process changed them.
"""

from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from shoal.api.callers.permissions import check_permission
from shoal.assemble import Services
from shoal.records.key import Caller, Permission
from shoal.records.scope import Scope
from shoal.repositories.access_clock import AccessClock

__all__ = ["KEY_DIGEST", "Access", "Confirmed"]

KEY_DIGEST: Final = "key_digest"
"""The key of the request state in which authentication puts the digest of the API key; signed links have none."""

_MAX_NAMESPACES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A caller with permission for the request, and the reading of the access clock at which that holds."""

    access: "Access"
    caller: Caller
    changes: int

    def namespace(self, ref: str | None) -> Scope:
        """Return the scope of a namespace of the caller; without a reference, of the only one.

        Raises NotFound, and InvalidRequest where a reference is required.
        """
        return self.access.namespace(Scope(self.caller.organization_id), ref, self.changes)


class Access:
    """Callers and namespaces, cached until the access clock advances. Thread-safe."""

    def __init__(self, services: Services) -> None:
        self._services, self._clock = services, AccessClock(services.metadata)
        self._namespaces: dict[tuple[Scope, str | None], tuple[int, Scope]] = {}

    def confirm(self, connection: HTTPConnection, permission: Permission) -> Confirmed:
        """Confirm the caller of an authenticated request. Raises Unauthorized, Forbidden."""
        changes, remembered = self._clock.read(), connection.state.caller
        digest: str | None = getattr(connection.state, KEY_DIGEST, None)
        caller = remembered if digest is None else self._services.keys.confirm(digest, changes)
        check_permission(self._services.audit, caller, permission, connection.scope)
        connection.state.caller = caller
        return Confirmed(self, caller, changes)

    def namespace(self, organization: Scope, ref: str | None, changes: int) -> Scope:
        """See `Confirmed.namespace`. `changes` is the reading of the access clock."""
        cached = self._namespaces.get((organization, ref))
        if cached is not None and cached[0] == changes:
            return cached[1]
        scope = self._services.namespaces.scope(organization, ref)
        if len(self._namespaces) >= _MAX_NAMESPACES:
            self._namespaces.clear()
        self._namespaces[organization, ref] = changes, scope
        return scope
