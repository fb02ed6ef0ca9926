"""New data are refused while the disk is low, before their bytes are read; reading, deleting and cancelling go on."""

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
_READ_AWAY: Final = 256 * 2**20


class DiskGuard:
    """507 for a call that writes, where its body does not fit beside the reserve."""

    def __init__(self, app: ASGIApp, disk: Disk) -> None:
        self._app, self._disk = app, disk

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _stores(scope):
            declared = Headers(scope=scope).get("content-length", "")
            try:
                self._disk.check(int(declared) if declared.isdigit() else 0)
            except InsufficientStorage as error:
                await _read_away(receive)
                await error_reply(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _stores(scope: Connection) -> bool:
    return permission_of(scope) == "write" and not str(scope["path"]).endswith(_FREES)


async def _read_away(receive: Receive) -> None:
    """Let the client send its body, within reason: closing while it writes would reset the connection, and the answer
    would be lost."""
    seen, more = 0, True
    while more and seen < _READ_AWAY:
        part = await receive()
        seen += len(part.get("body", b""))
        more = part["type"] == "http.request" and bool(part.get("more_body"))
