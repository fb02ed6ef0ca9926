"""Bodies are counted while they stream in, so that a lying or absent Content-Length gains nothing."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.errors import error_reply
from shoal.errors import TooLarge
from shoal.settings import Settings

__all__ = ["BodyLimit"]

_DRAINED: Final = 256 * 2**20
_MIB: Final = 2**20
_UPLOAD: Final = "/documents/import"


class BodyLimit:
    """413 for a JSON body over `max_body_mib`, or an upload of the bulk route over `max_upload_mib`."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most(scope["method"], scope["path"])
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > most * _MIB:
            await error_reply(_too_large(most))(scope, receive, _then_drain(receive, send))
            return
        await self._app(scope, _counting(receive, most), send)

    def _most(self, method: str, path: str) -> int:
        # Other methods at such a path mean a document that is called `import`.
        uploads = method == "POST" and path.endswith(_UPLOAD)
        return self._settings.max_upload_mib if uploads else self._settings.max_body_mib


def _counting(receive: Receive, most: int) -> Receive:
    """Raises TooLarge out of `receive`, where the route reads; the error handlers answer it like any other."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most * _MIB:
            raise _too_large(most)
        return message

    return counted


def _then_drain(receive: Receive, send: Send) -> Send:
    """Answers at once, but ends the answer only when the client has sent its body, within reason: closing while it
    writes would reset the connection, and the answer would be lost."""

    async def sent(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({**message, "more_body": True})
        seen, more = 0, True
        while more and seen < _DRAINED:
            part = await receive()
            seen += len(part.get("body", b""))
            more = part["type"] == "http.request" and bool(part.get("more_body"))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sent


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body is larger than {most} MiB. Send it in several parts.", limit_mib=most)
