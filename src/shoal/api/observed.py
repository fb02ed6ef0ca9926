"""The outermost layer: gives each request an id, writes its line in the log, and counts it.

Routes are told by their template (`/v1/clusters/{cluster_identifier}`), never by the path: paths hold names.
"""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.door import HEALTH, MOUNT
from shoal.api.metrics import Metrics
from shoal.api.readiness import Readiness
from shoal.logs import request_id as current

__all__ = ["TEMPLATE", "UNMATCHED", "Observed"]

UNMATCHED: Final = "unmatched"
TEMPLATE: Final = "template"
"""Where a page beside the API leaves its address, in the scope."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_access = logging.getLogger("shoal.access")


class Observed:
    """An id that the caller sends in X-Request-ID is kept where it is harmless."""

    def __init__(self, app: ASGIApp, metrics: Metrics, readiness: Readiness) -> None:
        self._app, self._metrics, self._readiness = app, metrics, readiness

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 499  # nobody was answered

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                if self._readiness.draining:
                    headers["Connection"] = "close"  # the client opens its next connection elsewhere
            await send(message)

        token, began = current.set(request_id), time.perf_counter()
        try:
            await self._app(scope, receive, noted)
        finally:
            self._tell(scope, status, time.perf_counter() - began)
            current.reset(token)

    def _tell(self, scope: Connection, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = _template(scope)
        self._metrics.request(method, route, status, seconds)
        level = logging.DEBUG if status < 400 and route.endswith(HEALTH) else logging.INFO
        about = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 1)}
        _access.log(level, "request", extra=about)


def _template(scope: Connection) -> str:
    """The route's template under the official mount."""
    page: str | None = scope.get(TEMPLATE)
    if page is not None:
        return page
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return UNMATCHED
    return path if path.startswith(MOUNT) else MOUNT + path
