"""Who may do what, decided before a byte of the body is read.

Default deny: only the exact paths in `PUBLIC` need no key. A namespace or cluster called `health` is not among them.
"""

from typing import Final

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.errors import error_reply
from shoal.errors import Forbidden, ShoalError, Unauthorized
from shoal.records.key import Caller, Permission
from shoal.services.keys import Keys

__all__ = ["MOUNTS", "PUBLIC", "Authentication", "needed_permission"]

MOUNTS: Final = ("/v1", "/api/v1", "")
"""Where the same routes are served; the first is the official one, the others forgive a forgotten `/v1`."""

PUBLIC: Final = frozenset(
    mount + path for mount in MOUNTS for path in ("/health", "/health/liveness", "/livez", "/readyz", "/openapi.json")
)

_READING_POSTS: Final = frozenset({"list", "count", "distinct", "aggregate", "export", "data", "history", "plan"})


class Authentication:
    """Puts the `Caller` into `request.state.caller`, or answers 401 or 403 without reading the body."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _is_public(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            caller = await self._caller(scope)
            _check(caller, needed_permission(scope["method"], scope["path"]))
        except ShoalError as error:
            await error_reply(error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Connection) -> Caller:
        secret = _bearer(Headers(scope=scope).get("authorization"))
        remembered = self._keys.remembered(secret)
        return await run_sync(self._keys.authenticate, secret) if remembered is None else remembered


def needed_permission(method: str, path: str) -> Permission:
    """What a key needs for a call: the table of the whole API."""
    parts = [part for part in path.split("/") if part]
    while parts and parts[0] in ("api", "v1"):
        parts = parts[1:]
    if parts[:2] == ["organizations", "users"]:
        return "admin"
    if method in ("GET", "HEAD", "OPTIONS"):
        return "read"
    if parts[:1] == ["organizations"]:
        return "admin"
    if method == "DELETE":
        return "delete"
    return "read" if method == "POST" and parts and parts[-1] in _READING_POSTS else "write"


def _is_public(scope: Connection) -> bool:
    return scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] in PUBLIC


def _bearer(header: str | None) -> str:
    if not header:
        raise Unauthorized("This call needs an API key. Send it as 'Authorization: Bearer sk_...'.")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized("The Authorization header must read 'Bearer sk_...'.")
    return secret.strip()


def _check(caller: Caller, permission: Permission) -> None:
    if not caller.may(permission):
        raise Forbidden(
            f"The key {caller.name!r} lacks the permission {permission!r}.",
            needed=permission,
            granted=sorted(caller.permissions),
        )
