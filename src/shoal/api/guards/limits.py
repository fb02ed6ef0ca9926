"""Limits on bodies: size, number in memory, and pace. Bytes are counted while they stream in, so that a wrong or absent
Content-Length makes no difference.

A JSON body is read here, whole, before anything else happens for the request, so that a slow client holds nothing that
others wait for. Uploads of the bulk route are not kept in memory; their route reads them under the same limits.
"""

import asyncio
import contextlib
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from shoal.api.errors import error_reply
from shoal.api.guards.body_quota import QUOTA, quota_for
from shoal.api.guards.connections import connection_limit
from shoal.api.idempotency import BODY, BODY_HASH, HEADER
from shoal.errors import Overloaded, ShoalError, TooLarge, TooSlow
from shoal.settings import Settings

__all__ = ["BodyLimit", "has_body", "is_upload", "organization_of", "share"]

_MAX_DRAINED: Final = 256 * 2**20
_MIB: Final = 2**20
_FREE_BYTES: Final = 64 * 1024
_BYTES_PER_SECOND: Final = 32 * 1024
_UPLOAD: Final = "/documents/import"


def is_upload(connection: Connection) -> bool:
    """Whether this is the bulk route. Other methods on such a path address a document with the id `import`."""
    return connection["method"] == "POST" and str(connection["path"]).endswith(_UPLOAD)


def has_body(connection: Connection) -> bool:
    """Whether the request has a body, according to its headers (HTTP/1.1)."""
    headers = Headers(scope=connection)
    return "transfer-encoding" in headers or int(headers.get("content-length", "0")) > 0


def organization_of(connection: Connection) -> str | None:
    """Return the organisation of the caller; None for probes and other requests without a key."""
    caller = connection.get("state", {}).get("caller")
    return None if caller is None else str(caller.organization_id)


def share(total: int) -> int:
    """Return the share of a total that one organisation may take: three quarters, so that others always get some."""
    return max(1, total * 3 // 4)


class BodyLimit:
    """ASGI middleware that reads bodies under their limits.

    413 for a JSON body over the quota of its route, or an upload over `max_upload_mib`; 503 where the bodies in memory
    would exceed `max_bodies_mib`; 408 for one that does not arrive in time.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        largest = settings.max_body_mib * _MIB
        self._memory = _Memory(max(settings.max_bodies_mib * _MIB, largest), largest)
        self._arriving: Counter[str] = Counter()

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        organization = organization_of(scope) if scope["type"] == "http" else None
        if organization is None or not has_body(scope):
            await self._app(scope, receive, send)
            return
        quota = scope["state"][QUOTA] = quota_for(scope, self._settings)
        limit = self._settings.max_upload_mib if is_upload(scope) else quota.mib
        incoming = _Incoming(receive, limit, self._settings.body_timeout_seconds, _hash_upload(scope))
        declared = int(Headers(scope=scope).get("content-length", "0"))
        if declared > limit * _MIB:
            await _refuse(_too_large(limit), scope, incoming, send)
        elif is_upload(scope):
            await self._stream(scope, incoming, send, organization)
        else:
            await self._read_first(scope, incoming, send, self._memory.lease(organization), declared)

    async def _stream(self, scope: Connection, incoming: "_Incoming", send: Send, organization: str) -> None:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._count_arriving(organization))
            except Overloaded as error:
                await _refuse(error, scope, incoming, send)
                return
            await self._app(scope, incoming, send)

    async def _read_first(
        self, scope: Connection, incoming: "_Incoming", send: Send, lease: "_Lease", declared: int
    ) -> None:
        with lease:
            try:
                lease.check(declared)
                with self._count_arriving(lease.organization):
                    body = await _read_body(incoming, lease)
            except ShoalError as error:
                await _refuse(error, scope, incoming, send)
                return
            if body is None:  # the client is gone
                return
            scope["state"][BODY] = body
            await self._app(scope, _replay(body, incoming), lease.until_answered(send))

    @contextlib.contextmanager
    def _count_arriving(self, organization: str) -> Iterator[None]:
        """Count an arriving body. Raises Overloaded where this organisation's bodies occupy three quarters of all
        connections: those are busy, so none would be closed in favour of others."""
        if self._arriving[organization] >= share(connection_limit(self._settings.max_connections)):
            raise Overloaded("Too many requests of this organisation are being received. Retry in a moment.")
        self._arriving[organization] += 1
        try:
            yield
        finally:
            self._arriving[organization] -= 1
            if not self._arriving[organization]:
                del self._arriving[organization]


class _Incoming:
    """An ASGI `receive` under limits: it raises TooLarge or TooSlow where the body is read; the error handlers answer
    these like any other error."""

    def __init__(self, receive: Receive, limit_mib: int, timeout_s: float, hasher: Any) -> None:
        self._receive, self._limit, self._timeout, self._hash = receive, limit_mib, timeout_s, hasher
        self._started = asyncio.get_running_loop().time()
        self._received = 0
        self._ended = False

    async def __call__(self) -> Message:
        message = await self.next()
        self._received += len(message.get("body", b""))
        if self._received > self._limit * _MIB:
            raise _too_large(self._limit)
        if self._hash is not None:
            self._hash.update(message.get("body", b""))
        return message

    async def next(self) -> Message:
        """Return the next message in time, without counting it. After the body there is no timeout: only a disconnect
        follows."""
        if self._ended:
            return await self._receive()
        deadline = self._started + self._timeout + self._received / _BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(min(asyncio.get_running_loop().time() + self._timeout, deadline)):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(
                f"The body did not arrive in time. Send it without pauses of {self._timeout:g} s, and large ones "
                f"with at least {_BYTES_PER_SECOND // 1024} KiB a second.",
                received_bytes=self._received,
            ) from None
        self._ended = not message.get("more_body", False)
        return message


class _Memory:
    """Bytes of bodies in memory, by organisation. Used on the event loop only, so it needs no lock."""

    def __init__(self, limit: int, largest_body: int) -> None:
        self._limit = limit
        self._per_organization = max(share(limit), largest_body)
        self._held = 0
        self._by_organization: Counter[str] = Counter()

    def lease(self, organization: str) -> "_Lease":
        return _Lease(self, organization)

    def fits(self, organization: str, size: int) -> bool:
        return self._held + size <= self._limit and self._by_organization[organization] + size <= self._per_organization

    def add(self, organization: str, size: int) -> None:
        self._held += size
        self._by_organization[organization] += size
        if not self._by_organization[organization]:
            del self._by_organization[organization]


class _Lease:
    """The memory of one body, released when its request is answered. The first 64 KiB are free: every connection
    buffers as much anyway, and small requests should not wait for large ones."""

    def __init__(self, memory: _Memory, organization: str) -> None:
        self._memory, self.organization = memory, organization
        self._size = self._held = 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self.release()

    def check(self, size: int) -> None:
        """Raise Overloaded where a body of this size does not fit now."""
        if size > _FREE_BYTES and not self._memory.fits(self.organization, size - _FREE_BYTES):
            raise Overloaded("Too many large bodies are being processed. Retry in a moment.")

    def reserve(self, size: int) -> None:
        """Reserve so many more bytes. Raises Overloaded."""
        self._size += size
        more = max(0, self._size - _FREE_BYTES) - self._held
        self.check(more + _FREE_BYTES)
        self._memory.add(self.organization, more)
        self._held += more

    def release(self) -> None:
        self._memory.add(self.organization, -self._held)
        self._held = 0

    def until_answered(self, send: Send) -> Send:
        """Wrap `send` to release the memory when the response begins: a client that reads slowly holds none."""

        async def send_and_release(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.release()
            await send(message)

        return send_and_release


async def _read_body(incoming: _Incoming, lease: _Lease) -> bytes | None:
    """Return the body; None where the client disconnected."""
    body = io.BytesIO()  # grows in place and hands its buffer over: a body is never in memory twice
    while True:
        message = await incoming()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        lease.reserve(len(part))
        body.write(part)
        if not message.get("more_body", False):
            return body.getvalue()


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields the body as one message."""
    taken = False

    async def receive_once() -> Message:
        nonlocal taken
        if taken:
            return await receive()
        taken = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_once


def _hash_upload(connection: Connection) -> Any:
    """Return a hash to update while an upload arrives, where it has an idempotency key."""
    if not is_upload(connection) or HEADER.lower() not in Headers(scope=connection):
        return None
    connection["state"][BODY_HASH] = hasher = hashlib.blake2b()
    return hasher


async def _refuse(error: ShoalError, connection: Connection, incoming: _Incoming, send: Send) -> None:
    send_answer = _then_drain(incoming, send) if isinstance(error, TooLarge) else send
    await error_reply(error)(connection, incoming, send_answer)


def _then_drain(incoming: _Incoming, send: Send) -> Send:
    """Wrap `send` to end the response only when the client has sent its body, within limits: closing while it writes
    would reset the connection, and the response would be lost."""

    async def send_then_drain(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({**message, "more_body": True})
        await _drain(incoming)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_then_drain


async def _drain(incoming: _Incoming) -> None:
    drained, more = 0, True
    while more and drained < _MAX_DRAINED:
        try:
            part = await incoming.next()
        except TooSlow:
            return
        drained += len(part.get("body", b""))
        more = part["type"] == "http.request" and bool(part.get("more_body"))


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} MiB. Send it in several parts.", limit_mib=limit)
