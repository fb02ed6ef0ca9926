"""A file that a store holds, as the answer to a request: whole, or the one range that was asked for."""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Receive, Scope, Send

__all__ = ["Download"]

_PIECE: Final = 256 * 2**10
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


class Download(Response):
    """Streams a file and closes it.

    A `Range` with one range of bytes is answered with that part (206), one behind the end with 416; several ranges, and
    those that depend on `If-Range`, with the whole file, as RFC 9110 allows.
    """

    def __init__(
        self, content: BinaryIO, size: int, name: str, *, media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._content, self._size = content, size
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers(
            {
                **(headers or {}),
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(size),
                "Accept-Ranges": "bytes",
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head and, unless only that is asked for, the part."""
        try:
            await self._answer(scope)(scope, receive, send)
        finally:
            self._content.close()

    def _answer(self, scope: Scope) -> Response:
        asked = Headers(scope=scope)
        part = None if "if-range" in asked else _part(asked.get("range", ""), self._size)
        start, stop = part or (0, self._size)
        if start >= stop and part is not None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{self._size}"})
        headers = MutableHeaders(raw=list(self.raw_headers))
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{self._size}"
            headers["Content-Length"] = str(stop - start)
        only_head = scope["method"] == "HEAD"
        return StreamingResponse(
            iter(()) if only_head else self._pieces(start, stop),
            200 if part is None else 206,
            headers,
            self.media_type,
        )

    def _pieces(self, start: int, stop: int) -> Iterator[bytes]:
        self._content.seek(start)
        while start < stop and (piece := self._content.read(min(_PIECE, stop - start))):
            start += len(piece)
            yield piece


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """The half-open range of bytes that a header names; empty where it lies behind the end, None where it names none or
    several."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        return max(size - int(found[2]), 0), size
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    return None if last < first < size else (first, min(last + 1, size))
