"""Rejection of new data while disk space is low, before it is read; reads, deletions and cancellations go on."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.callers.permissions import permission_of
from shoal.api.errors import error_reply
from shoal.errors import InsufficientStorage
from shoal.storage.local.disk import Disk

__all__ = ["DiskGuard"]

_FREES: Final = ("/cancel", "/kill")
_MAX_DRAINED: Final = 256 * 2**20


class DiskGuard:
    """ASGI middleware that answers 507 to a write whose body does not fit beside the disk reserve."""

    def __init__(self, app: ASGIApp, disk: Disk) -> None:
        self._app, self._disk = app, disk

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_write(scope):
            declared = Headers(scope=scope).get("content-length", "")
            try:
                self._disk.check(int(declared) if declared.isdigit() else 0)
            except InsufficientStorage as error:
                await _drain(receive)
                await error_reply(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_write(scope: Connection) -> bool:
    return permission_of(scope) == "write" and not str(scope["path"]).endswith(_FREES)


async def _drain(receive: Receive) -> None:
    """Read and discard the body, within limits: closing while the client writes would reset the connection, and the
    response would be lost."""
    received, more = 0, True
    while more and received < _MAX_DRAINED:
        part = await receive()
        received += len(part.get("body", b""))
        more = part["type"] == "http.request" and bool(part.get("more_body"))
