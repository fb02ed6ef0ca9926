"""Who calls and in which namespace, as it is when the handler begins: one read of the metadata store a request.

Authentication lets a request in by what it remembers of its key, without leaving the event loop. That may be seconds
old. So the handler's thread reads the access clock before it does anything: where it reads the same as before, key and
namespace are taken from memory, else they are read again. A key that was revoked and a namespace that was removed stop
at once, whichever process did it.
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
"""Where authentication leaves the digest of the key, in the state of the request; signed links have none."""

_MOST_NAMESPACES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A caller who may make the call, and the reading of the access clock at which this holds."""

    access: "Access"
    caller: Caller
    changes: int

    def namespace(self, ref: str | None) -> Scope:
        """The scope of a namespace of the caller's. Without a reference: of the only one there is.

        Raises NotFound, and InvalidRequest where a reference is needed.
        """
        return self.access.namespace(Scope(self.caller.organization_id), ref, self.changes)


class Access:
    """Callers and namespaces over the services, remembered until the access clock advances. Safe for all threads."""

    def __init__(self, services: Services) -> None:
        self._services, self._clock = services, AccessClock(services.metadata)
        self._namespaces: dict[tuple[Scope, str | None], tuple[int, Scope]] = {}

    def confirm(self, connection: HTTPConnection, permission: Permission) -> Confirmed:
        """The caller of a request that authentication let in. Raises Unauthorized, Forbidden."""
        changes, remembered = self._clock.read(), connection.state.caller
        digest: str | None = getattr(connection.state, KEY_DIGEST, None)
        caller = remembered if digest is None else self._services.keys.confirm(digest, changes)
        check_permission(self._services.audit, caller, permission, connection.scope)
        connection.state.caller = caller
        return Confirmed(self, caller, changes)

    def namespace(self, organization: Scope, ref: str | None, changes: int) -> Scope:
        """See `Confirmed.namespace`. `changes` was read before."""
        known = self._namespaces.get((organization, ref))
        if known is not None and known[0] == changes:
            return known[1]
        scope = self._services.namespaces.scope(organization, ref)
        if len(self._namespaces) >= _MOST_NAMESPACES:
            self._namespaces.clear()
        self._namespaces[organization, ref] = changes, scope
        return scope
