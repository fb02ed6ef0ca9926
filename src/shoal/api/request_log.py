"""The outermost middleware: assigns a request id, writes the access log, and counts requests.

Routes are identified by their template (`/v1/clusters/{cluster_identifier}`), never by the path, which holds names.
"""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.metrics import Metrics
from shoal.api.mounts import HEALTH, MOUNT
from shoal.api.readiness import Readiness
from shoal.logs import request_id as current

__all__ = ["TEMPLATE", "UNMATCHED", "RequestLog"]

UNMATCHED: Final = "unmatched"
TEMPLATE: Final = "template"
"""The scope key of a site page's path."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_access = logging.getLogger("shoal.access")


class RequestLog:
    """ASGI middleware that assigns request ids, logs and counts. A well-formed X-Request-ID of the caller is used."""

    def __init__(self, app: ASGIApp, metrics: Metrics, readiness: Readiness) -> None:
        self._app, self._metrics, self._readiness = app, metrics, readiness

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent_id = Headers(scope=scope).get("x-request-id", "")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 499  # no response was sent

        async def send_with_id(message: Message) -> None:
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
            await self._app(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.perf_counter() - began)
            current.reset(token)

    def _record(self, scope: Connection, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = _find_template(scope)
        self._metrics.count_request(method, route, status, seconds)
        level = logging.DEBUG if status < 400 and route.endswith(HEALTH) else logging.INFO
        fields = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 1)}
        _access.log(level, "request", extra=fields)


def _find_template(scope: Connection) -> str:
    """Return the template of the route under the official mount."""
    page: str | None = scope.get(TEMPLATE)
    if page is not None:
        return page
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return UNMATCHED
    return path if path.startswith(MOUNT) else MOUNT + path
