"""A stored file as a response, whole or one byte range of it."""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Receive, Scope, Send

__all__ = ["Download"]

_CHUNK_BYTES: Final = 256 * 2**10
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


class Download(Response):
    """Stream a file and close it.

    A `Range` header with a single byte range is answered with that range (206), or with 416 where it starts beyond the
    end; several ranges, and a range with an `If-Range` other than the entity tag, are answered with the whole file, as
    RFC 9110 allows. `etag` identifies the content.
    """

    def __init__(
        self,
        content: BinaryIO,
        size: int,
        name: str,
        *,
        etag: str,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._content, self._size, self._etag = content, size, f'"{etag}"'
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers(
            {
                **(headers or {}),
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Length": str(size),
                "Accept-Ranges": "bytes",
                "ETag": self._etag,
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers and, except for HEAD, the requested bytes."""
        try:
            await self._build_response(scope)(scope, receive, send)
        finally:
            self._content.close()

    def _build_response(self, scope: Scope) -> Response:
        request_headers = Headers(scope=scope)
        is_same = request_headers.get("if-range", self._etag) == self._etag
        window = _parse_range(request_headers.get("range", ""), self._size) if is_same else None
        start, stop = window or (0, self._size)
        if start >= stop and window is not None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{self._size}"})
        headers = MutableHeaders(raw=list(self.raw_headers))
        if window is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{self._size}"
            headers["Content-Length"] = str(stop - start)
        is_head = scope["method"] == "HEAD"
        return StreamingResponse(
            iter(()) if is_head else self._read_chunks(start, stop),
            200 if window is None else 206,
            headers,
            self.media_type,
        )

    def _read_chunks(self, start: int, stop: int) -> Iterator[bytes]:
        self._content.seek(start)
        while start < stop and (chunk := self._content.read(min(_CHUNK_BYTES, stop - start))):
            start += len(chunk)
            yield chunk


def _parse_range(request_headers: str, size: int) -> tuple[int, int] | None:
    """Return the half-open byte range of a header: empty where it starts beyond the end, None where there is no single
    range."""
    match = _RANGE.fullmatch(request_headers.strip())
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        return max(size - int(match[2]), 0), size
    first, last = int(match[1]), int(match[2]) if match[2] else size - 1
    return None if last < first < size else (first, min(last + 1, size))
