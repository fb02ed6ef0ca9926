"""Authentication and permission check before the request goes on to its route.

A key that is unknown, or known to lack the permission, is answered before a byte of the body is read. A key that was
revoked or changed at most 5 seconds ago may still pass here, by its cached entry (`services/keys/cache.py`): then the
body is read, and 404, 405 and 422 come before its 401 or 403. `api/callers/access.py` confirms the key before the
handler does anything, so such a request has no effect and sees no data.

Default deny: only the exact paths in `PUBLIC` need no key. A namespace or cluster named `health` is not among them.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.callers.access import KEY_DIGEST
from shoal.api.callers.permissions import PERMISSION, check_permission, permission_of
from shoal.api.errors import error_reply
from shoal.api.mounts import MOUNT, PROBES
from shoal.errors import ShoalError, Unauthorized
from shoal.records.audit import Origin
from shoal.records.key import Caller, Permission, hash_of
from shoal.repositories.audit import Audit
from shoal.services.keys.keys import Keys
from shoal.services.links import Links

__all__ = ["PUBLIC", "Authentication", "is_public"]

FindPermission: TypeAlias = Callable[[str, str], Permission | None]

PUBLIC: Final = frozenset(MOUNT + path for path in PROBES)
"""Paths of the API that need no key; `api/mounts.py` passes everything outside the API to the site."""

_LINK_PATH: Final = re.compile(r"/clusters/clust_[A-Za-z0-9]+/executions/run_[A-Za-z0-9]+/download")
"""The paths that a signed link can open: tables of a run, with cluster and run named by id."""


class Authentication:
    """ASGI middleware that sets `request.state.caller`, or answers 401 or 403 without reading the body, as far as
    the cached keys are current. A signed link implies its caller and namespace. `find_permission` returns the
    permission that a method and a path require."""

    def __init__(self, app: ASGIApp, keys: Keys, links: Links, audit: Audit, find_permission: FindPermission) -> None:
        self._app, self._keys, self._links, self._audit = app, keys, links, audit
        self._find_permission = find_permission

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_public(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        origin = _origin(scope)
        scope.setdefault("state", {})[PERMISSION] = self._find_permission(scope["method"], scope["path"])
        try:
            with self._audit.acting(origin):
                if _is_signed(scope):
                    scope, caller = await run_sync(self._open_link, scope)
                else:
                    caller = await self._caller(scope)
            origin = replace(origin, caller=caller)
        except ShoalError as error:
            await error_reply(error)(scope, receive, send)
            return
        scope["state"]["caller"] = caller
        with self._audit.acting(origin):
            await self._app(scope, receive, send)

    async def _caller(self, scope: Connection) -> Caller:
        """Authenticate by the cached key, unless it lacks the permission: `api/callers/access.py` confirms it later."""
        secret = _bearer(Headers(scope=scope).get("authorization"))
        caller, permission = self._keys.recall(secret), permission_of(scope)
        if caller is None or (permission is not None and not caller.may(permission)):
            caller = await run_sync(self._authenticate, scope, secret, permission)
        scope["state"][KEY_DIGEST] = hash_of(secret)
        return caller

    def _authenticate(self, scope: Connection, secret: str, permission: Permission | None) -> Caller:
        caller = self._keys.authenticate(secret)
        if permission is not None:
            with self._audit.acting(replace(_origin(scope), caller=caller)):
                check_permission(self._audit, caller, permission, scope)
        return caller

    def _open_link(self, scope: Connection) -> tuple[Connection, Caller]:
        """Return the request with the namespace of the link, and a caller with the permission to read."""
        link_scope = self._links.check(_without_mount(scope["path"]), dict(QueryParams(scope["query_string"])))
        headers_left = [(name, value) for name, value in scope["headers"] if name != b"x-namespace"]
        headers = [*headers_left, (b"x-namespace", link_scope.namespace_id.encode())]
        by = f"link:{link_scope.organization_id}"
        caller = Caller(link_scope.organization_id, by, "signed link", "", frozenset[Permission](("read",)))
        return {**scope, "headers": headers}, caller


def _is_signed(scope: Connection) -> bool:
    """Whether a request is authenticated by a signature; a key takes precedence."""
    if scope["method"] not in ("GET", "HEAD") or not _LINK_PATH.fullmatch(_without_mount(scope["path"])):
        return False
    return b"signature=" in scope["query_string"] and Headers(scope=scope).get("authorization") is None


def _without_mount(path: str) -> str:
    return path.removeprefix(MOUNT)


def is_public(scope: Connection) -> bool:
    """Whether a request needs no API key."""
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] in PUBLIC


def _bearer(header: str | None) -> str:
    if not header:
        raise Unauthorized("This call needs an API key. Send it as 'Authorization: Bearer sk_...'.")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized("The Authorization header must read 'Bearer sk_...'.")
    return secret.strip()


def _origin(scope: Connection) -> Origin:
    client = scope.get("client")
    return Origin("http", None, scope.get("state", {}).get("request_id"), client[0] if client else None)
