"""Dispatch of requests: to the API under its mounts, or to the site.

The API is at `/v1`, and at `/api/v1` for clients that expect it there. Some clients omit the prefix, among them the
high-level one of the official SDK: a path that begins with a resource of the API counts as under `/v1` where the
request comes from a program (it accepts `application/json` or carries a bearer key). Probes are at the root as well.
Everything else goes to the site.
"""

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

__all__ = ["HEALTH", "MOUNT", "MOUNTS", "PROBES", "MountDispatcher"]

MOUNT: Final = "/v1"
"""The prefix of the routes; paths under the other prefixes are rewritten to it."""
MOUNTS: Final = (MOUNT, "/api/v1")
HEALTH: Final = ("/health", "/health/beat", "/health/liveness", "/livez", "/readyz")
PROBES: Final = (*HEALTH, "/openapi.json")
"""Paths that need no key, under every mount and at the root."""

_ROOT_PATHS: Final = frozenset(PROBES)


class MountDispatcher:
    """ASGI middleware that passes each request to the API, with its path under `MOUNT`, or to the site.

    `resources` are the first path segments of the API's routes. A trailing slash is dropped unless it is escaped.
    """

    def __init__(self, app: ASGIApp, site: ASGIApp, resources: Iterable[str]) -> None:
        self._app, self._site, self._resources = app, site, frozenset(resources)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _drop_last_slash(scope)
        # In place: the middleware around this one reads the path and the route afterwards.
        is_api = self._move_under_mount(scope)
        await (self._app if is_api else self._site)(scope, receive, send)

    def _move_under_mount(self, scope: Connection) -> bool:
        """Rewrite a path of the API to begin with `MOUNT`. Returns False for other paths."""
        path, raw = scope["path"], scope.get("raw_path") or b""
        for mount in MOUNTS:
            if path == mount or path.startswith(f"{mount}/"):
                scope["path"] = MOUNT + path[len(mount) :]
                scope["raw_path"] = raw.removeprefix(mount.removesuffix(MOUNT).encode())
                return True
        if path not in _ROOT_PATHS and not self._omits_mount(scope, path):
            return False
        scope["path"], scope["raw_path"] = MOUNT + path, MOUNT.encode() + raw
        return True

    def _omits_mount(self, scope: Connection, path: str) -> bool:
        return path[1:].partition("/")[0] in self._resources and _is_from_program(Headers(scope=scope))


def _drop_last_slash(scope: Connection) -> None:
    path, raw = scope["path"], scope.get("raw_path") or b"/"
    if len(path) > 1 and path.endswith("/") and raw.endswith(b"/"):
        scope["path"], scope["raw_path"] = path[:-1], raw[:-1]


def _is_from_program(headers: Headers) -> bool:
    accepted = (part.partition(";")[0].strip() for part in headers.get("accept", "").lower().split(","))
    return headers.get("authorization", "").lower().startswith("bearer ") or "application/json" in accepted
