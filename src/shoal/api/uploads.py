"""Uploads: the body of a request, written to a file."""

from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync
from fastapi import Request

__all__ = ["spool_body"]

_WRITE_BYTES: Final = 4 * 2**20


async def spool_body(request: Request, path: Path) -> None:
    """Write the body to a file while it arrives, in large chunks and off the event loop."""
    pending = bytearray()
    with path.open("wb") as file:
        async for chunk in request.stream():
            pending += chunk
            if len(pending) >= _WRITE_BYTES:
                await run_sync(file.write, bytes(pending))
                pending.clear()
        await run_sync(file.write, bytes(pending))
